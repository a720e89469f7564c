//! Commands to CoAP things that observe, and their answers: whoever asks need not know what they speak.

use std::thread;
use windrose_e2e::Node;
use windrose_e2e::clients::{mosquitto_pub, request, subscribe};
use windrose_e2e::coap::{Client, Kind, Message, code, option};
use windrose_e2e::documents::open_coap;

/// A thing that observes its commands.
fn thing(node: &Node) -> Client {
    let mut thing = Client::new(node.coap());
    let observe = thing.start(Message::get("devices/meter-1/commands/+").uint(option::OBSERVE, 0));
    let first = thing.response(&observe);
    assert_eq!(first.code, code::CONTENT);
    assert!(first.number(option::OBSERVE).is_some() && first.payload.is_empty(), "nothing yet: {first:?}");
    thing
}

/// The next command, acknowledged: where it is for and what it says.
fn command(thing: &Client) -> (String, Message) {
    let notification = thing.expect();
    assert_eq!(notification.code, code::CONTENT);
    if notification.kind == Kind::Con {
        thing.acknowledge(&notification);
    }
    (notification.texts(option::LOCATION_PATH).join("/"), notification)
}

/// A value of the notification's Location-Query.
fn query(notification: &Message, name: &str) -> Option<String> {
    let queries = notification.texts(option::LOCATION_QUERY);
    queries.iter().find_map(|query| query.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
}

#[test]
fn curl_asks_a_thing_that_observes_and_gets_its_answer() {
    let node = Node::start(&open_coap(""));
    let mut thing = thing(&node);
    let url = node.url("/v1/requests/devices/meter-1/commands/read?wait=10s");
    let asker = thread::spawn(move || {
        request(&["-X", "POST", "-H", "Content-Type: application/json", "-d", "{\"register\":7}", &url])
    });
    let (address, asked) = command(&thing);
    assert_eq!(
        (address.as_str(), asked.text().as_str()),
        ("devices/meter-1/commands/read", "{\"register\":7}")
    );
    assert_eq!(asked.number(option::CONTENT_FORMAT), Some(50));
    let reply_to = query(&asked, "windrose-reply-to").expect("it says where the answer goes");
    let mut answer = Message::post(&reply_to, "{\"kwh\":3}").format(50);
    if let Some(correlation) = query(&asked, "windrose-correlation") {
        answer = answer.with(option::URI_QUERY, format!("windrose-correlation={correlation}"));
    }
    assert_eq!(thing.ask(answer).code, code::CHANGED);
    let answered = asker.join().expect("curl ends");
    assert_eq!((answered.status, answered.body.as_str()), (200, "{\"kwh\":3}"));
    assert_eq!(answered.field("content-type"), Some("application/json"));
}

#[test]
fn what_mqtt_publishes_is_confirmable_as_its_qos_says() {
    let node = Node::start(&open_coap(""));
    let thing = thing(&node);
    for (qos, kind) in [("1", Kind::Con), ("0", Kind::Non)] {
        mosquitto_pub(node.mqtt(), &["-t", "devices/meter-1/commands/on", "-q", qos, "-m", qos]).fine();
        let (address, told) = command(&thing);
        assert_eq!((address.as_str(), told.text().as_str()), ("devices/meter-1/commands/on", qos));
        assert_eq!(told.kind, kind);
    }
}

#[test]
fn what_a_coap_thing_publishes_has_the_qos_of_its_message() {
    let node = Node::start(&open_coap(""));
    let listener =
        subscribe(node.mqtt(), &["-t", "devices/#", "-q", "1", "-V", "5", "-F", "%q %t %p", "-C", "2"]);
    let mut thing = Client::new(node.coap());
    assert_eq!(thing.ask(Message::post("devices/meter-1/telemetry", "con")).code, code::CHANGED);
    listener.line("the confirmable one", |line| line == "1 devices/meter-1/telemetry con");
    assert_eq!(thing.ask(Message::post("devices/meter-1/telemetry", "non").non()).code, code::CHANGED);
    listener.line("the other", |line| line == "0 devices/meter-1/telemetry non");
}
