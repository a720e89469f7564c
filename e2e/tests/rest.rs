//! REST, both directions: callers publish, read, stream and ask; services get CloudEvents.

use windrose_e2e::clients::{request, stream};
use windrose_e2e::documents::{DELIVERED, OPEN, open};
use windrose_e2e::mqtt::{Client, Options, Packet, property};
use windrose_e2e::process::Process;
use windrose_e2e::wait::SOON;
use windrose_e2e::{Answer, Node, Sink, wait_until};

fn start() -> (Sink, Node) {
    let sink = Sink::start();
    let node = Node::start_with(&sink, &open(DELIVERED));
    (sink, node)
}

/// The data of the next event of a stream that contains `text`, as JSON.
fn event(stream: &Process, text: &str) -> serde_json::Value {
    let line = stream.line(text, |line| line.starts_with("data:") && line.contains(text));
    let data = line.trim_start_matches("data:").trim();
    serde_json::from_str(data).unwrap_or_else(|error| panic!("no JSON: {error}: {data}"))
}

/// Waits until the node has so many subscriptions: streams subscribe a moment after they are open.
fn wait_subscriptions(node: &Node, count: f64) {
    wait_until("subscriptions", || node.metric("windrose_subscriptions", &[]) >= count);
}

#[test]
fn a_post_reaches_things() {
    let (_sink, node) = start();
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    thing.subscribe("devices/car-7/commands/#", 1);
    let url = node.url("/v1/events/devices/car-7/commands/honk");
    let answer = request(&["-d", "{\"times\":2}", "-H", "Content-Type: application/json", &url]);
    assert_eq!(answer.status, 202, "{answer:?}");
    let delivery = thing.delivery(SOON);
    let Ok(Packet::Publish { topic, payload, properties, .. }) = delivery else { panic!("{delivery:?}") };
    assert_eq!(
        (topic.as_str(), payload.as_slice()),
        ("devices/car-7/commands/honk", b"{\"times\":2}".as_slice())
    );
    assert_eq!(properties.text(property::CONTENT_TYPE).as_deref(), Some("application/json"));
}

#[test]
fn a_post_is_answered_as_the_service_answers() {
    let (sink, node) = start();
    let url = node.url("/v1/events/devices/car-7/telemetry");
    assert_eq!(request(&["-d", "81", &url]).status, 202);
    sink.wait_for_text("81");
    sink.answer(Answer::problem(404, "No such device", "car-7 was never built"));
    let refused = request(&["-d", "82", &url]);
    assert_eq!(refused.status, 422, "{refused:?}");
    assert_eq!(refused.field("content-type"), Some("application/problem+json"));
    assert!(refused.body.contains("car-7 was never built"), "{refused:?}");
}

#[test]
fn a_dead_service_is_503_at_the_deadline() {
    let sink = Sink::start();
    sink.stop();
    let document = open(&DELIVERED.replace("acknowledge: delivered", "acknowledge: delivered, deadline: 1s"));
    let node = Node::start_with(&sink, &document);
    let answer = request(&["-d", "81", &node.url("/v1/events/devices/car-7/telemetry")]);
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.field("content-type"), Some("application/problem+json"));
}

#[test]
fn last_values_are_put_read_and_deleted() {
    let (_sink, node) = start();
    let url = node.url("/v1/events/settings/car-7");
    assert_eq!(request(&[&url]).status, 404);
    let put = request(&["-X", "PUT", "-d", "{\"limit\":80}", "-H", "Content-Type: application/json", &url]);
    assert!((200..300).contains(&put.status), "{put:?}");
    wait_until("the last value", || request(&[&url]).status == 200);
    let read = request(&[&url]);
    assert_eq!((read.status, read.body.as_str()), (200, "{\"limit\":80}"));
    assert_eq!(read.field("content-type"), Some("application/json"));
    assert_eq!(read.field("ce-subject"), Some("settings/car-7"));

    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    thing.subscribe("settings/+", 1);
    assert_eq!(thing.message().1, "{\"limit\":80}", "it is the retained message of MQTT too");

    let deleted = request(&["-X", "DELETE", &url]);
    assert!((200..300).contains(&deleted.status), "{deleted:?}");
    wait_until("no last value", || request(&[&url]).status == 404);
    assert_eq!(request(&[&url]).field("content-type"), Some("application/problem+json"));
}

#[test]
fn a_stream_of_events_with_wildcards() {
    let (_sink, node) = start();
    let events = stream(&node.url("/v1/events/devices/+/telemetry"), &[]);
    wait_subscriptions(&node, 1.0);
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    thing.publish("devices/car-7/telemetry", "{\"speed\":81}", 1);
    let seen = event(&events, "car-7");
    assert_eq!(seen["specversion"], "1.0");
    assert_eq!(seen["subject"], "devices/car-7/telemetry");
    assert_eq!(seen["data"]["speed"], 81);
    thing.publish("devices/car-7/other", "elsewhere", 1);
    thing.publish("devices/car-8/telemetry", "{\"speed\":82}", 1);
    assert_eq!(event(&events, "car-8")["data"]["speed"], 82);
    assert_eq!(events.out.count(|line| line.starts_with("data:")), 2, "nothing from elsewhere");
    drop(events);
    wait_until("the subscription's end", || node.metric("windrose_subscriptions", &[]) == 0.0);
}

#[test]
fn the_members_of_a_group_share_the_events() {
    let (_sink, node) = start();
    let url = node.url("/v1/events/jobs/%23?group=workers");
    let members: Vec<_> = (0..3).map(|_| stream(&url, &[])).collect();
    wait_subscriptions(&node, 3.0);
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    for number in 0..60 {
        thing.publish("jobs/one", format!("{{\"job\":{number}}}"), 1);
    }
    let count = || -> Vec<usize> {
        members.iter().map(|member| member.out.count(|line| line.starts_with("data:"))).collect()
    };
    wait_until("all jobs", || count().iter().sum::<usize>() == 60);
    assert!(count().iter().all(|count| *count > 0), "each member gets some: {:?}", count());
}

#[test]
fn a_thing_answers_a_request() {
    let (_sink, node) = start();
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    thing.subscribe("devices/car-7/commands/#", 1);
    let url = node.url("/v1/requests/devices/car-7/commands/locate?wait=10s");
    let asking = std::thread::spawn(move || request(&["-X", "POST", "-d", "{}", &url]));
    let asked = thing.delivery(SOON);
    let Ok(Packet::Publish { properties, .. }) = asked else { panic!("{asked:?}") };
    let reply_to = properties.text(property::RESPONSE_TOPIC).expect("the request says where its answer goes");
    let correlation = properties.bytes(property::CORRELATION_DATA).expect("and how it is recognised");
    let mut answer = vec![property::CORRELATION_DATA];
    answer.extend(windrose_e2e::mqtt::string(correlation));
    answer.push(property::CONTENT_TYPE);
    answer.extend(windrose_e2e::mqtt::string("application/json"));
    let id = thing.publish_with(&reply_to, "{\"lat\":52.5}", 1, false, &answer);
    assert!(thing.answer(4, id, SOON).0 < 0x80);
    let answer = asking.join().expect("curl ends");
    assert_eq!((answer.status, answer.body.as_str()), (200, "{\"lat\":52.5}"), "{answer:?}");
    assert_eq!(answer.field("content-type"), Some("application/json"));
}

#[test]
fn a_request_that_is_not_answered_is_504_and_one_that_nobody_hears_503() {
    let (_sink, node) = start();
    let mut silent = Client::connect(node.mqtt(), &Options::v5("silent"));
    silent.subscribe("devices/car-7/commands/#", 1);
    let locate = |device: &str| {
        let url = node.url(&format!("/v1/requests/devices/{device}/commands/locate?wait=500ms"));
        request(&["-X", "POST", "-d", "{}", &url])
    };
    let unanswered = locate("car-7");
    assert_eq!(unanswered.status, 504, "{unanswered:?}");
    assert_eq!(unanswered.json()["status"], 504);
    let unheard = locate("car-8");
    assert_eq!(unheard.status, 503, "{unheard:?}");
}

#[test]
fn a_service_may_answer_a_request() {
    let (sink, node) = start();
    sink.answer(Answer::Full(200, "Content-Type: text/plain\r\n", "from the service".to_owned()));
    let url = node.url("/v1/requests/devices/car-7/telemetry?wait=5s");
    let answer = request(&["-X", "POST", "-d", "{}", &url]);
    assert_eq!((answer.status, answer.body.as_str()), (200, "from the service"), "{answer:?}");
}

#[test]
fn cloud_events_come_in_all_three_modes() {
    let (sink, node) = start();
    let url = node.url("/v1/events/devices/car-7/telemetry");
    let binary = [
        "-H",
        "ce-specversion: 1.0",
        "-H",
        "ce-id: mine-1",
        "-H",
        "ce-source: urn:e2e",
        "-H",
        "ce-type: e2e.binary",
        "-H",
        "Content-Type: application/json",
        "-d",
        "{\"mode\":\"binary\"}",
    ];
    assert_eq!(request(&[&binary[..], &[&url]].concat()).status, 202);
    let event = sink.wait_for_text("{\"mode\":\"binary\"}");
    assert_eq!((event.attribute("id"), event.attribute("type")), (Some("mine-1"), Some("e2e.binary")));
    assert_eq!(event.attribute("source"), Some("urn:e2e"));

    let structured = serde_json::json!({
        "specversion": "1.0", "id": "mine-2", "source": "urn:e2e", "type": "e2e.structured",
        "datacontenttype": "application/json", "data": {"mode": "structured"},
    });
    let media = "Content-Type: application/cloudevents+json";
    assert_eq!(request(&["-H", media, "-d", &structured.to_string(), &url]).status, 202);
    let event = sink.wait_for_text("{\"mode\":\"structured\"}");
    assert_eq!((event.attribute("id"), event.attribute("type")), (Some("mine-2"), Some("e2e.structured")));

    let batch: Vec<_> = (3..6)
        .map(|number| {
            serde_json::json!({
                "specversion": "1.0", "id": format!("mine-{number}"), "source": "urn:e2e", "type": "e2e.batch",
                "subject": format!("devices/car-{number}/telemetry"),
                "datacontenttype": "text/plain", "data": format!("batch {number}"),
            })
        })
        .collect();
    let media = "Content-Type: application/cloudevents-batch+json";
    let answer =
        request(&["-H", media, "-d", &serde_json::json!(batch).to_string(), &node.url("/v1/events")]);
    assert_eq!(answer.status, 202, "{answer:?}");
    for number in 3..6 {
        let event = sink.wait_for_text(&format!("batch {number}"));
        assert_eq!(event.attribute("subject"), Some(format!("devices/car-{number}/telemetry").as_str()));
    }
}

#[test]
fn a_cloud_event_that_is_none_is_400_and_says_why() {
    let (sink, node) = start();
    let url = node.url("/v1/events/devices/car-7/telemetry");
    let media = "Content-Type: application/cloudevents+json";
    for (body, word) in
        [("{\"specversion\":\"1.0\",\"id\":\"1\",\"type\":\"t\"}", "source"), ("not json", "JSON")]
    {
        let answer = request(&["-H", media, "-d", body, &url]);
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.body.contains(word), "{answer:?}");
    }
    assert_eq!(sink.count(), 0);
}

#[test]
fn services_get_cloud_events_in_all_three_modes() {
    let sinks: Vec<Sink> = (0..3).map(|_| Sink::start()).collect();
    let document = open(
        r#"
pools:
  binary: {protocol: http, members: ["http://127.0.0.1:${BINARY}/b"], headers: {X-Token: secret}}
  structured: {protocol: http, members: ["http://127.0.0.1:${STRUCTURED}/s"], mode: structured}
  batch: {protocol: http, members: ["http://127.0.0.1:${BATCH}/many"], mode: batch, batch: {events: 10, wait: 100ms}}
routes:
  - {name: binary, match: "devices/#", deliver: {pool: binary}, acknowledge: received}
  - {name: structured, match: "devices/#", deliver: {pool: structured}, acknowledge: received}
  - {name: batch, match: "devices/#", deliver: {pool: batch}, acknowledge: received}
"#,
    );
    let setup = windrose_e2e::node::Setup::new()
        .set("BINARY", sinks[0].port())
        .set("STRUCTURED", sinks[1].port())
        .set("BATCH", sinks[2].port());
    let node = setup.start(&document);
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    let mut properties = vec![property::CONTENT_TYPE];
    properties.extend(windrose_e2e::mqtt::string("application/json"));
    properties.push(property::USER_PROPERTY);
    properties.extend(windrose_e2e::mqtt::string("colour"));
    properties.extend(windrose_e2e::mqtt::string("red"));
    for number in 0..10 {
        thing.publish_with(
            "devices/car-7/telemetry",
            format!("{{\"speed\":{number}}}"),
            1,
            false,
            &properties,
        );
    }

    let event = sinks[0].wait_for_text("{\"speed\":3}");
    assert_eq!((event.request.method(), event.request.target()), ("POST", "/b"));
    assert_eq!(event.request.header("x-token"), Some("secret"));
    assert_eq!(event.request.header("content-type"), Some("application/json"));
    assert_eq!(event.attribute("specversion"), Some("1.0"));
    assert_eq!(event.attribute("subject"), Some("devices/car-7/telemetry"));
    assert_eq!(event.attribute("source"), Some("windrose://e2e/anonymous/thing"));
    assert_eq!(event.attribute("colour"), Some("red"), "user properties travel as extensions");
    assert!(event.attribute("time").is_some_and(|time| time.contains('T') && time.ends_with('Z')));

    let event = sinks[1].wait_for("of event 3", |received| received.request.json()["data"]["speed"] == 3);
    assert_eq!(
        event.request.header("content-type").map(|media| media.starts_with("application/cloudevents+json")),
        Some(true)
    );
    assert_eq!(event.request.json()["subject"], "devices/car-7/telemetry");

    wait_until("ten events in batches", || {
        let batches = sinks[2].received();
        let count =
            batches.iter().map(|batch| batch.request.json().as_array().map_or(0, Vec::len)).sum::<usize>();
        assert!(batches.len() <= 10);
        count == 10
    });
    let batch = &sinks[2].received()[0];
    assert_eq!(
        batch
            .request
            .header("content-type")
            .map(|media| media.starts_with("application/cloudevents-batch+json")),
        Some(true)
    );
    assert!(sinks[2].count() < 10, "several events share a request");
}

#[test]
fn connections_to_services_are_kept() {
    let (sink, node) = start();
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    for number in 0..50 {
        thing.publish("devices/car-7/telemetry", number.to_string(), 1);
    }
    let connections: std::collections::BTreeSet<_> =
        sink.received().iter().map(|received| received.connection).collect();
    assert_eq!(connections.len(), 1, "one sender, one event at a time, one connection");
}

#[test]
fn conditions_choose_the_events_of_a_route() {
    let sink = Sink::start();
    let document =
        open(&DELIVERED.replace("deliver:", "when: 'event.size < 10 && event.json.speed > 80', deliver:"));
    let node = Node::start_with(&sink, &document);
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    for (payload, code) in [("{\"speed\":8}", 0x10), ("{\"speed\": 8}", 0x10), ("no json", 0x10)] {
        assert_eq!(thing.publish("devices/car-7/telemetry", payload, 1), code, "{payload}");
    }
    assert_eq!(sink.count(), 0);
    let document =
        open(&DELIVERED.replace("deliver:", "when: 'event.size < 20 && event.json.speed > 80', deliver:"));
    node.write_document(&document);
    node.wait_log(&["the document is reloaded"]);
    assert_eq!(thing.publish("devices/car-7/telemetry", "{\"speed\":8}", 1), 0x10);
    assert_eq!(thing.publish("devices/car-7/telemetry", "{\"speed\":81}", 1), 0);
    assert_eq!(sink.wait_for_text("{\"speed\":81}").request.method(), "POST");
    assert_eq!(sink.count(), 1);
}

#[test]
fn mistakes_of_callers_are_problems() {
    let (_sink, node) = start();
    let cases: [(&[&str], &str, u16); 5] = [
        (&["-X", "PATCH", "-d", "x"], "/v1/events/devices/car-7/telemetry", 405),
        (&[], "/v2/nothing", 404),
        (&["-d", "x"], "/v1/events/devices/+/telemetry", 400),
        (&["-d", "x"], "/v1/events/devices/%ff/telemetry", 400),
        (&["-X", "POST", "-d", "x"], "/v1/requests/devices/car-7/commands/x?wait=soon", 400),
    ];
    for (arguments, path, status) in cases {
        let answer = request(&[arguments, &[&node.url(path)]].concat());
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert_eq!(answer.field("content-type"), Some("application/problem+json"), "{path}");
        let problem = answer.json();
        assert_eq!(problem["status"], status, "{problem}");
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
    }
    let wrong = request(&["-X", "PATCH", "-d", "x", &node.url("/v1/events/devices/car-7/telemetry")]);
    assert!(wrong.field("allow").is_some_and(|allow| allow.contains("post")), "{wrong:?}");
}

#[test]
fn a_payload_above_the_limit_is_413() {
    let node = Node::start(&format!("{OPEN}limits: {{payload_bytes: 1000}}\n"));
    let url = node.url("/v1/events/big");
    assert_eq!(request(&["-d", &"x".repeat(1000), &url]).status, 202);
    let large = request(&["-d", &"x".repeat(1001), &url]);
    assert_eq!(large.status, 413, "{large:?}");
    let chunked = request(&["-H", "Transfer-Encoding: chunked", "-d", &"x".repeat(5000), &url]);
    assert_eq!(chunked.status, 413, "whatever length it claims, or none: {chunked:?}");
}

#[test]
fn the_description_of_the_api_is_served() {
    let (_sink, node) = start();
    let answer = request(&[&node.url("/v1/openapi.json")]);
    assert_eq!(answer.status, 200);
    let description = answer.json();
    assert!(description["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let paths = description["paths"].as_object().expect("it has paths");
    for part in ["/v1/events", "/v1/requests", "/v1/openapi.json"] {
        assert!(paths.keys().any(|path| path.starts_with(part)), "{part} is described: {:?}", paths.keys());
    }
}
