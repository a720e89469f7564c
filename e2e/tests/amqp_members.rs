//! Several brokers of AMQP behind one pool, and brokers behind TLS.

use std::time::Duration;
use windrose_e2e::certs::Authority;
use windrose_e2e::documents::{open, open_amqp};
use windrose_e2e::fleet::{Fleet, Pace, assert_undisturbed};
use windrose_e2e::mqtt::{Client, End, Options, Packet};
use windrose_e2e::node::Setup;
use windrose_e2e::wait::{SOON, within};
use windrose_e2e::{Node, amqp091};

fn behind(name: &str) -> Node {
    Setup::new().start(&open_amqp("").replace("name: e2e", &format!("name: {name}")))
}

fn pool(members: &[String], options: &str) -> String {
    let members: Vec<_> = members.iter().map(|url| format!("{url:?}")).collect();
    format!(
        "pools:\n  estate: {{protocol: amqp, members: [{}], timeout: 2s, backoff: 50ms, {options}}}\nroutes:\n  \
         - {{name: all, match: \"devices/#\", deliver: {{pool: estate}}, acknowledge: delivered, deadline: 30s}}\n",
        members.join(", ")
    )
}

/// A queue of all of the devices' events.
fn queue(node: &Node) -> amqp091::Client {
    let mut service = amqp091::Client::connect(node.amqp());
    service.declare("devices", true);
    service.bind("devices", "amq.topic", "devices.#");
    service
}

#[test]
fn events_of_one_device_spread_over_the_members_and_those_that_stay_take_all() {
    for version in ["0-9-1", "1.0"] {
        let mut nodes = [behind("left"), behind("right")];
        let mut queues = nodes.each_ref().map(queue);
        let members = nodes.each_ref().map(|node| format!("amqp://{}", node.amqp()));
        let front = Setup::new().start(&open(&pool(&members, &format!("amqp_version: \"{version}\""))));
        let mut device = Client::connect(front.mqtt(), &Options::v5("device"));
        for number in 0..20 {
            assert_eq!(device.publish("devices/a", format!("{number}"), 1), 0, "{version}");
        }
        let came = queues.each_mut().map(|queue| queue.drain("devices"));
        assert!(came.iter().all(|came| came.len() >= 5), "{version}: both have a part: {came:?}");
        assert_eq!(came[0].len() + came[1].len(), 20, "{version}: each once: {came:?}");
        let pace = Pace { devices: 5, window: 16, pause: Duration::from_millis(10) };
        let fleet = Fleet::start(front.mqtt(), pace);
        within(SOON, "traffic", || (fleet.acknowledged() >= 100).then_some(()));
        nodes[0].kill();
        let goal = fleet.acknowledged() + 200;
        within(SOON, "traffic without it", || (fleet.acknowledged() >= goal).then_some(()));
        assert_undisturbed(&fleet.stop());
    }
}

#[test]
fn members_are_reached_by_tls_if_their_certificate_is_vouched_for() {
    let authority = Authority::new("the right one");
    let pair = authority.server(&["127.0.0.1"]);
    let listener = "  - {name: amqps, protocol: amqp, bind: \"127.0.0.1:${AMQPS}\", tls: edge}\nidentity:";
    let document = format!(
        "{}tls:\n  edge: {{certificate: edge.pem, key: edge.key}}\n",
        open("").replacen("identity:", listener, 1).replace("name: e2e", "name: behind")
    );
    let behind =
        Setup::new().file("edge.pem", &pair.certificate).file("edge.key", &pair.key).start(&document);
    let mut subscriber = Client::connect(behind.mqtt(), &Options::v5("subscriber"));
    subscriber.subscribe("devices/#", 1);
    let start = |authority: &Authority, version: &str| {
        let options = format!("ca: ca.pem, amqp_version: \"{version}\"");
        let document = open(&pool(&[format!("amqps://{}", behind.amqps())], &options));
        let front = Setup::new().file("ca.pem", &authority.certificate).start(&document);
        let mut device = Client::connect(front.mqtt(), &Options::v5("device"));
        let id = device.publish_only("devices/a", version, 1);
        (front, device, id)
    };
    for version in ["0-9-1", "1.0"] {
        let (_front, mut device, id) = start(&authority, version);
        assert_eq!(device.answer(4, id, SOON).0, 0, "{version}");
        assert_eq!(subscriber.message(), ("devices/a".to_owned(), version.to_owned()));
    }
    let (front, mut device, _) = start(&Authority::new("another"), "auto");
    front.wait_log(&["trouble with a broker", "TLS"]);
    let early = device.wait(Duration::from_millis(500), |packet| matches!(packet, Packet::Answer { .. }));
    assert_eq!(early, Err(End::Timeout));
}
