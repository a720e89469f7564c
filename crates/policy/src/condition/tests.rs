#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]
use super::*;
use bytes::Bytes;
use windrose_event::{Address, Assurance, Details, EventId, Identity, Origin, Principal, Timestamp};

fn event(payload: &'static str) -> Event {
    Event {
        id: EventId::new(Timestamp::default(), 0, 0),
        time: Timestamp::default(),
        address: Address::new("devices/car-7/telemetry").unwrap(),
        origin: Arc::new(Origin {
            identity: Identity {
                principal: Principal::Device { id: "car-7".into(), owner: Some("alice".into()) },
                ..Identity::anonymous()
            },
            session: "client-1".into(),
            protocol: "mqtt",
            listener: "mqtts".into(),
        }),
        assurance: Assurance::AtLeastOnce,
        retain: true,
        expires: None,
        payload: Bytes::from_static(payload.as_bytes()),
        details: Some(Box::new(Details {
            content_type: Some("application/json".into()),
            headers: vec![("kind".into(), "a".into()), ("kind".into(), "b".into())],
            ..Details::default()
        })),
    }
}

fn holds(text: &str, event: &Event) -> Result<bool, String> {
    Condition::new(text).unwrap_or_else(|errors| panic!("{text}: {errors:?}")).holds(event)
}

#[test]
fn conditions_can_be_shared_by_shards() {
    fn shared<T: Send + Sync>() {}
    shared::<Condition>();
}

#[test]
fn every_field_is_what_it_says() {
    let event = event(r#"{"speed": 81, "tags": ["a", "b"], "big": 18446744073709551615}"#);
    for text in [
        "event.size == 62",
        "event.address == 'devices/car-7/telemetry'",
        "event.address.startsWith('devices/')",
        "event.levels[1] == 'car-7' && event.levels.size() == 3 && size(event.levels) == 3",
        "event.levels.exists(level, level == 'telemetry')",
        "event.content_type == 'application/json'",
        "event.retain",
        "event.assurance == 1",
        "event.device == 'car-7' && event.owner == 'alice'",
        "event.session == 'client-1' && event.protocol == 'mqtt' && event.listener == 'mqtts'",
        "event.headers['kind'] == 'b'",
        "event.headers.kind == 'b' && !('other' in event.headers) && !has(event.headers.other)",
        "event.json.speed > 80 && event.json.speed + 1 == 82",
        "event.json.tags.exists(tag, tag == 'b') && has(event.json.speed) && !has(event.json.none)",
        "event.address.matches('^devices/car-[0-9]+/')",
        "int(event.size) > 0 && type(event.size) == int",
        "event.json.tags.filter(tag, tag != 'a').map(tag, tag + '!') == ['b!']",
    ] {
        assert_eq!(holds(text, &event), Ok(true), "{text}");
    }
}

#[test]
fn a_payload_that_is_not_json_is_null() {
    assert_eq!(holds("event.json == null", &event("81 km/h")), Ok(true));
    assert_eq!(holds("event.json != null && event.json.speed > 80", &event("81 km/h")), Ok(false));
    assert!(holds("event.json.speed > 80", &event("81 km/h")).is_err(), "it cannot be told");
}

#[test]
fn large_payloads_are_not_read_as_json() {
    let mut event = event("{}");
    event.payload = vec![b' '; MAX_JSON_BYTES + 1].into();
    assert!(holds("event.json == null", &event).is_err());
    assert_eq!(holds("event.size > 65536", &event), Ok(true));
}

#[test]
fn failures_in_operation_are_told_and_bounded() {
    let mut event = event("{}");
    event.payload = format!("\"{}\"", "x".repeat(10_000)).into();
    let error = holds("event.json.speed > 80", &event).unwrap_err();
    assert!(error.chars().count() <= 200, "{error}");
    assert!(holds("event.levels[7] == 'x'", &event).is_err());
}

/// The message, what it points at, and the help.
fn mistake(text: &str) -> (String, &str, String) {
    let error = Condition::new(text).expect_err(text).remove(0);
    let part = error.part.map_or("", |part| &text[part]);
    (error.message, part, error.help.unwrap_or_default())
}

#[test]
fn mistakes_are_found_when_compiled() {
    let (message, part, help) = mistake("event.retain && event.sise < 10");
    assert_eq!(
        (&*message, part, &*help),
        ("an event has no field `sise`", "sise", "did you mean `event.size`?")
    );
    let (message, part, help) = mistake("size < 10");
    assert_eq!((&*message, part, &*help), ("there is no variable `size`", "size", "write `event.size`"));
    let (message, part, _) = mistake("evnt.size < 10");
    assert_eq!((&*message, part), ("there is no variable `evnt`", "evnt"));
    let (message, part, _) = mistake("event.retain || event.address.beginsWith('a')");
    assert_eq!((&*message, part), ("there is no function `beginsWith`", "beginsWith"));
    let (message, ..) = mistake("event == 1");
    assert_eq!(message, "`event` can only be used by its fields");
    let (message, ..) = mistake("has(event.device)");
    assert_eq!(message, "`has(event.device)` is always true");
    let (message, ..) = mistake("event.size");
    assert_eq!(message, "it gives int instead of true or false");
    let (message, ..) = mistake("event.size < 'x'");
    assert!(message.contains("overload"), "{message}");
    let (message, part, _) = mistake("event.size <");
    assert!(message.starts_with("this is not CEL"), "{message} at {part}");
    let (message, part, _) = mistake("event.size < 10 )");
    assert_eq!(part, ")", "{message}");
    assert!(mistake("").0.starts_with("this is not CEL"));
}

#[test]
fn work_is_bounded() {
    assert!(mistake(&"x".repeat(5000)).0.contains("4096"));
    let (message, ..) = mistake("event.json.a.exists(x, event.json.b.exists(y, x == y))");
    assert!(message.contains("inside one another"), "{message}");
    let deep = format!("event.size {} > 0", "+ 1".repeat(1000));
    assert!(mistake(&deep).0.contains("nested"), "{}", mistake(&deep).0);
    let deep = format!("{}event.retain{}", "(".repeat(1900), ")".repeat(1900));
    assert!(Condition::new(&deep).is_err());
    let deep = format!("{}event.retain", "!".repeat(4000));
    let _either = Condition::new(&deep);
    let deep = format!("event.json{} == 1", ".a".repeat(1900));
    assert!(mistake(&deep).0.contains("nested"));
}

proptest::proptest! {
    #[test]
    fn no_text_brings_the_compiler_down(text in "(event|\\.|size|json|\\(|\\)|\\[|\\]|\\{|\\}|'|\"|<|==|&&|\\?|:|,| |1|x|map|exists|has|\\\\|é){0,24}") {
        if let Ok(condition) = Condition::new(&text) {
            let _either = condition.holds(&event("{}"));
        }
    }
}

/// Prints what an evaluation costs: `cargo test -p windrose-policy -- --ignored --nocapture cost`.
#[test]
#[ignore = "a measurement"]
#[allow(clippy::print_stdout)]
fn cost_of_an_evaluation() {
    let event = event(r#"{"speed": 81}"#);
    for text in ["event.size < 65536", "event.address.startsWith('devices/')", "event.json.speed > 80"] {
        let condition = Condition::new(text).unwrap();
        let start = std::time::Instant::now();
        for _ in 0..100_000 {
            assert_eq!(condition.holds(&event), Ok(true));
        }
        println!("{text}: {} ns", start.elapsed().as_nanos() / 100_000);
    }
}
