//! Things that are CoAP servers: they register, and what is asked of their resources reaches them.

use windrose_e2e::coap_service::CoapService;
use windrose_e2e::documents::open_coap;
use windrose_e2e::mqtt::{Client, Options};
use windrose_e2e::node::Setup;
use windrose_e2e::{Node, clients};

fn directory(node: &Node) -> String {
    format!("coap://{}/rd", node.coap())
}

fn registered(thing: &CoapService) -> String {
    thing.process().line("how registering went", |line| line.starts_with("registered"))
}

fn ask(node: &Node, path: &str, body: &str) -> (u16, String) {
    let said = clients::curl(&[
        "-s",
        "-w",
        "\n%{http_code}",
        "-X",
        "POST",
        "-H",
        "content-type: application/json",
        "-d",
        body,
        &node.url(&format!("/v1/requests/{path}?wait=8s")),
    ]);
    let said = said.fine().out;
    let (body, status) = said.rsplit_once('\n').expect("curl writes the status last");
    (status.parse().expect("a status is a number"), body.to_owned())
}

#[test]
fn a_rest_request_to_a_thing_returns_the_things_response() {
    let node = Node::start(&open_coap(""));
    let thing = CoapService::register(&directory(&node), "meter-1");
    assert!(registered(&thing).starts_with("registered 2.01 rd/"));
    assert_eq!(ask(&node, "devices/meter-1/valve", "{\"open\":true}"), (200, "{\"open\":true}".to_owned()));
    let request = thing.wait_for(&["valve"]);
    assert_eq!(
        (request["payload"].as_str(), request["format"].as_u64()),
        (Some("{\"open\":true}"), Some(50))
    );
    // The answer comes in a message of its own, and from several blocks.
    assert_eq!(ask(&node, "devices/meter-1/slow", "{}"), (200, "{\"open\":true}".to_owned()));
    let (status, body) = ask(&node, "devices/meter-1/large", &"{}".repeat(2_000));
    assert_eq!((status, body.len()), (200, 5_000));
    let (status, body) = ask(&node, "devices/meter-1/no", "{}");
    assert_eq!(status, 422, "{body}");
    assert!(body.contains("CoAP 4.04 Not Found: no such meter"), "{body}");
    let (status, body) = ask(&node, "devices/meter-1/unknown", "{}");
    assert_eq!(status, 503, "nobody listens there: {body}");
}

#[test]
fn an_mqtt_publication_commands_a_thing_that_told_its_links_when_asked() {
    let node = Node::start(&open_coap(""));
    let simple = format!("coap://{}/.well-known/rd", node.coap());
    let thing = CoapService::register(&simple, "meter-1");
    assert!(registered(&thing).starts_with("registered 2.04"));
    let mut commander = Client::connect(node.mqtt(), &Options::v5("commander"));
    windrose_e2e::wait_until("the thing is subscribed", || {
        commander.publish("devices/meter-1/events", "{\"led\":1}", 1);
        thing.count() > 0
    });
    assert_eq!(thing.wait_for(&["led"])["path"], "events");
}

#[test]
fn a_thing_registers_only_what_it_may_subscribe_to() {
    let document = open_coap("").replace("may: [publish, subscribe", "may: [publish");
    assert_ne!(document, open_coap(""), "the document had the rule that is changed here");
    let node = Node::start(&document);
    let thing = CoapService::register(&directory(&node), "meter-1");
    assert!(registered(&thing).starts_with("registered 4.03"), "{}", registered(&thing));
}

#[test]
fn a_device_is_asked_where_its_record_says_it_is() {
    let thing = CoapService::start();
    let elsewhere = CoapService::start();
    let record = |service: &CoapService| {
        format!(
            "devices:\n  - {{id: meter-1, credentials: [], coap: \"coap://{}\", resources: [valve, no]}}\n",
            service.address()
        )
    };
    let document = open_coap("")
        .replace("identity: {anonymous: allow}", "identity: {anonymous: allow, devices: devices.yaml}");
    let document = document.replace("who: anonymous", "who: anyone");
    let node = Setup::new().file("devices.yaml", &record(&thing)).start(&document);
    let ask_until_there = || {
        let mut answer = (0, String::new());
        windrose_e2e::wait_until("the device is there", || {
            answer = ask(&node, "devices/meter-1/valve", "{\"open\":true}");
            answer.0 != 503
        });
        answer
    };
    assert_eq!(ask_until_there(), (200, "{\"open\":true}".to_owned()));
    assert_eq!(thing.wait_for(&["valve"])["payload"], "{\"open\":true}");
    assert_eq!(ask(&node, "devices/meter-1/no", "{}").0, 422);
    // It moves, and its record with it.
    node.write_file("devices.yaml", &record(&elsewhere));
    windrose_e2e::wait_until("the device is asked elsewhere", || {
        ask(&node, "devices/meter-1/valve", "{}");
        elsewhere.count() > 0
    });
}
