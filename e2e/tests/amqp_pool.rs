//! In front of a RabbitMQ: each event is confirmed there before it is acknowledged here.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use windrose_e2e::Node;
use windrose_e2e::amqp091;
use windrose_e2e::documents::open;
use windrose_e2e::fleet::{Fleet, Pace, assert_undisturbed};
use windrose_e2e::mqtt::{Client, End, Options, Packet, property};
use windrose_e2e::node::Setup;
use windrose_e2e::rabbitmq::RabbitMq;
use windrose_e2e::wait::{SOON, within};

/// A pool of brokers, and all of the devices' events delivered to it.
const POOL: &str = r##"
pools:
  brokers: {protocol: amqp, members: [MEMBERS], timeout: 5s, OPTIONS}
routes:
  - {name: telemetry, match: "#", deliver: {pool: brokers}, acknowledge: delivered, deadline: 120s}
"##;

fn node(members: &[String], options: &str) -> Node {
    let members: Vec<_> = members.iter().map(|url| format!("{url:?}")).collect();
    let document = POOL.replace("MEMBERS", &members.join(", ")).replace("OPTIONS", options);
    Setup::new().start(&open(&document))
}

/// How RabbitMQ's plugin is spoken to.
const V1: &str =
    "amqp_version: \"1.0\", address: \"/topic/{key}\", username: guest, password: guest, backoff: 50ms";

/// A broker for all tests of this file that do it no harm.
fn broker() -> Arc<RabbitMq> {
    static BROKER: Mutex<Weak<RabbitMq>> = Mutex::new(Weak::new());
    let mut shared = BROKER.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let broker = Arc::new(RabbitMq::start());
        *shared = Arc::downgrade(&broker);
        broker
    })
}

/// A durable queue that all events get into whose address begins with its name.
fn service(broker: &RabbitMq, root: &str) -> amqp091::Client {
    let mut service = amqp091::Client::connect(broker.address());
    service.declare(root, true);
    service.bind(root, "amq.topic", &format!("{root}.#"));
    service
}

fn early(device: &mut Client, wait: Duration) -> Result<Packet, End> {
    device.wait(wait, |packet| matches!(packet, Packet::Answer { .. }))
}

#[test]
fn an_event_gets_into_a_queue_and_is_acknowledged_then() {
    let broker = broker();
    let v091 = "amqp_version: \"0-9-1\", username: guest, password: guest";
    for (root, options) in [("cars", ""), ("trucks", v091), ("vans", V1)] {
        let mut service = service(&broker, root);
        let node = node(&[broker.url()], options);
        let mut device = Client::connect(node.mqtt(), &Options::v5("device"));
        let properties =
            [property::text(property::CONTENT_TYPE, "application/json"), property::user("room", "7")]
                .concat();
        let id = device.publish_with(&format!("{root}/a-7/telemetry"), "{}", 1, false, &properties);
        assert_eq!(device.answer(4, id, SOON * 3).0, 0);
        service.consume(root, 0);
        let delivery = service.delivery(SOON).expect("the event");
        assert_eq!((delivery.key.clone(), delivery.text()), (format!("{root}.a-7.telemetry"), "{}".into()));
        assert_eq!(delivery.property(0).as_deref(), Some("application/json"));
        let said = String::from_utf8_lossy(&delivery.properties).into_owned();
        for part in ["room", "windrose-via", "e2e"] {
            assert!(said.contains(part), "{part} is missing in {said}");
        }
        service.ack(delivery.tag, false);
        // What is larger than a frame, and what is nothing at all.
        for (payload, qos) in [("x".repeat(200_000), 1), (String::new(), 2), ("0".to_owned(), 0)] {
            device.publish(&format!("{root}/a"), &payload, qos);
            let delivery = service.delivery(SOON).expect("the event");
            assert_eq!(delivery.text(), payload);
            service.ack(delivery.tag, false);
        }
    }
}

#[test]
fn an_event_that_no_queue_takes_waits_for_one() {
    let broker = broker();
    // RabbitMQ's plugin for 1.0 accepts what no queue takes.
    let node = node(&[broker.url()], "backoff: 50ms");
    let mut device = Client::connect(node.mqtt(), &Options::v5("device"));
    let id = device.publish_only("unrouted/a", "x", 1);
    node.wait_metric("windrose_pool_attempts_total", &["unavailable"], 2.0);
    assert_eq!(early(&mut device, Duration::from_millis(300)), Err(End::Timeout), "no queue has it");
    let mut service = service(&broker, "unrouted");
    assert_eq!(device.answer(4, id, SOON).0, 0);
    assert_eq!(service.drain("unrouted"), ["x"]);
}

/// Lets one broker fail in every way, over and over, amid traffic: what was acknowledged is in its durable queue.
#[test]
fn a_broker_that_is_stopped_killed_and_started_under_load_loses_nothing() {
    let mut broker = RabbitMq::start();
    drop(service(&broker, "devices"));
    let node = node(&[broker.url()], "");
    let fleet = Fleet::start(node.mqtt(), Pace { devices: 10, window: 16, pause: Duration::from_millis(10) });
    let more = |count| {
        let goal = fleet.acknowledged() + count;
        within(Duration::from_secs(120), "traffic", || (fleet.acknowledged() >= goal).then_some(()));
    };
    more(500);
    for fail in [RabbitMq::stop, RabbitMq::kill, RabbitMq::kill] {
        fail(&mut broker);
        let held = fleet.acknowledged();
        std::thread::sleep(Duration::from_millis(500));
        // What was on its way when it went may have been acknowledged; nothing more is.
        let late = fleet.acknowledged();
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(
            fleet.acknowledged(),
            late,
            "acknowledged while nobody could have confirmed ({held} before)"
        );
        broker.restart();
        more(500);
    }
    let reports = fleet.stop();
    assert_undisturbed(&reports);
    let mut service = amqp091::Client::connect(broker.address());
    let came: BTreeSet<_> = service.drain("devices").into_iter().collect();
    let accepted: Vec<_> = reports.iter().flat_map(|report| report.accepted()).collect();
    let missing: Vec<_> = accepted.iter().filter(|(payload, _)| !came.contains(*payload)).collect();
    println!("{} events were acknowledged", accepted.len());
    assert!(missing.is_empty(), "{} were acknowledged and are lost: {missing:?}", missing.len());
}

#[test]
fn what_local_clients_subscribe_to_is_bound_and_what_is_asked_for_is_consumed() {
    let broker = broker();
    let mut at_broker = amqp091::Client::connect(broker.address());
    for (root, orders, options) in [
        ("weather", "orders", "consume: orders".to_owned()),
        ("climate", "ordered", format!("{V1}, consume: /amq/queue/ordered")),
    ] {
        at_broker.declare(orders, true);
        let node = node(&[broker.url()], &format!("subscribe: [\"{root}/#\"], {options}"));
        let mut subscriber = Client::connect(node.mqtt(), &Options::v5("subscriber"));
        subscriber.subscribe(&format!("{root}/+/rain"), 1);
        subscriber.subscribe(orders, 1);
        let key = format!("{root}.*.rain");
        let is_bound = || broker.control(&["list_bindings", "routing_key"]).contains(&key);
        within(SOON * 2, "the binding", || is_bound().then_some(()));
        at_broker.publish("amq.topic", &format!("{root}.north.rain"), b"1", "", "");
        assert_eq!(subscriber.message(), (format!("{root}/north/rain"), "1".to_owned()));
        at_broker.publish("amq.topic", &format!("{root}.north.sun"), b"2", "", "");
        at_broker.publish("", orders, b"3", "", "");
        assert_eq!(subscriber.message(), (orders.to_owned(), "3".to_owned()));
        within(SOON, "acknowledgements", || {
            let said = broker.control(&["list_queues", "-q", "name", "messages"]);
            let mut mine = said.lines().filter(|line| line.starts_with(orders));
            mine.all(|line| line.ends_with("\t0")).then_some(())
        });
        subscriber.unsubscribe(&format!("{root}/+/rain"));
        // RabbitMQ's plugin for 1.0 keeps the queue of a link until the session ends.
        if root == "weather" {
            within(SOON * 3, "no binding", || (!is_bound()).then_some(()));
        }
    }
}

#[test]
fn a_service_behind_the_broker_answers() {
    let broker = broker();
    // RabbitMQ's plugin for 1.0 has no dynamic sources.
    answers(&broker, "asks", "");
}

/// Asks by way of a broker, where a service answers what begins with `root`.
fn answers(broker: &RabbitMq, root: &str, options: &str) {
    let mut service = amqp091::Client::connect(broker.address());
    service.declare(root, false);
    service.bind(root, "amq.topic", &format!("{root}.*.ask"));
    service.consume(root, 1);
    let document = POOL
        .replace("MEMBERS", &format!("{:?}", broker.url()))
        .replace("OPTIONS", options)
        .replace("acknowledge: delivered", "acknowledge: delivered, reply_to: \"{address}/reply\"");
    let node = Setup::new().start(&open(&document));
    let answer = std::thread::spawn(move || {
        for number in 0..2 {
            let ask = service.delivery(SOON * 3).expect("a request");
            let (reply_to, correlation) = (ask.property(6).unwrap(), ask.property(5).unwrap());
            service.publish("", &reply_to, format!("answer {number}").as_bytes(), &correlation, "");
            service.ack(ask.tag, false);
        }
        service
    });
    // It names the address, and gets its own correlation data back.
    let mut device = Client::connect(node.mqtt(), &Options::v5("new"));
    device.subscribe("answers/new", 1);
    let properties = [
        property::text(property::RESPONSE_TOPIC, "answers/new"),
        property::text(property::CORRELATION_DATA, "c-1"),
    ]
    .concat();
    let id = device.publish_with(&format!("{root}/1/ask"), "?", 1, false, &properties);
    let Ok(Packet::Publish { topic, payload, properties, .. }) = device.delivery(SOON * 3) else {
        panic!("no answer came")
    };
    assert_eq!((topic.as_str(), &payload[..]), ("answers/new", &b"answer 0"[..]));
    assert!(format!("{properties:?}").contains(&format!("{:?}", &b"c-1"[..]).replace(['[', ']'], "")));
    assert_eq!(device.answer(4, id, SOON).0, 0);
    // MQTT 3.1.1 cannot name one: its answer comes where the route says.
    let mut old = Client::connect(node.mqtt(), &Options::v3("old"));
    old.subscribe(&format!("{root}/2/ask/reply"), 1);
    old.publish_only(&format!("{root}/2/ask"), "?", 1);
    assert_eq!(old.message(), (format!("{root}/2/ask/reply"), "answer 1".to_owned()));
    answer.join().unwrap();
}
