//! Events on their way out: as they came, from other protocols, and from dead-letter exchanges.

use super::*;
use windrose_event::{Death, Details, Text};

fn delivery(link: &mut Link, consumer: ConsumerId, event: Event) -> (String, Vec<u8>, Vec<u8>) {
    link.supply(consumer, 1, event, false);
    let mut heard = link.read();
    assert_eq!(heard.len(), 2, "{heard:?}");
    let Heard::Content(properties, body) = heard.remove(1) else { panic!("no content") };
    let Heard::Method(_, method) = heard.remove(0) else { panic!("no method") };
    (method, properties, body)
}

#[test]
fn what_came_by_0_9_1_goes_as_it_came() {
    let (mut link, consumer) = Link::consumer(0, false);
    let mut headers = TableBuf::new();
    headers.put("f", Value::F32(1.5)).put("v", Value::Void);
    let properties = Properties {
        headers: Some(headers.table()),
        priority: Some(3),
        kind: Some(b"kind"),
        timestamp: Some(5),
        cluster_id: Some(b"c"),
        ..Properties::default()
    };
    link.publish(BasicPublish { exchange: "logs", ..to("a.b") }, &properties, &[7; 10_000]);
    let (_, _, publication) = link.publications().remove(0);
    let (method, list, body) = delivery(&mut link, consumer, event_of(publication));
    assert!(method.contains(r#"exchange: "logs", routing_key: "a.b""#), "{method}");
    assert_eq!(Properties::read(&list).unwrap(), properties);
    assert_eq!(body, [7; 10_000], "over two frames");
}

#[test]
fn what_came_otherwise_has_the_topic_exchange_and_what_is_known_of_it() {
    let (mut link, consumer) = Link::consumer(0, false);
    let mut event = event("devices/7/t.x", b"{}");
    event.expires = Some(event.time + Duration::from_secs(3));
    event.details = Some(Box::new(Details {
        content_type: Some(Text::from("application/json")),
        reply_to: Some(Address::new("a/b").unwrap()),
        correlation: Some(Bytes::from_static(b"c")),
        headers: vec![(Text::from("h"), Text::from("v")), (Text::from("message-id"), Text::from("m"))],
        ..Details::default()
    }));
    let (method, list, _) = delivery(&mut link, consumer, event);
    assert!(method.contains(r#"exchange: "amq.topic", routing_key: "devices.7.t/x""#), "{method}");
    let properties = Properties::read(&list).unwrap();
    assert_eq!(properties.content_type, Some(&b"application/json"[..]));
    assert_eq!(properties.reply_to, Some(&b"a.b"[..]));
    assert_eq!(properties.correlation_id, Some(&b"c"[..]));
    assert_eq!(properties.message_id, Some(&b"m"[..]));
    assert_eq!(properties.expiration, Some(&b"3000"[..]));
    assert_eq!(properties.delivery_mode, Some(2));
    let headers = properties.headers.unwrap();
    assert_eq!(headers.get("h"), Some(Value::Text(b"v")));
    assert_eq!(headers.iter().count(), 1);
}

#[test]
fn an_address_that_no_key_can_be_is_cut_and_told_whole() {
    let (mut link, consumer) = Link::consumer(0, false);
    let address = "é".repeat(200);
    let (method, list, _) = delivery(&mut link, consumer, event(&address, b""));
    assert!(method.contains(&format!("routing_key: \"{}\"", "é".repeat(127))), "{method}");
    let headers = Properties::read(&list).unwrap().headers.unwrap();
    assert_eq!(headers.get("x-address"), Some(Value::Text(address.as_bytes())));
}

#[test]
fn dead_letters_say_why_and_expire_no_more() {
    let (mut link, consumer) = Link::consumer(0, false);
    link.publish(to("q"), &Properties { expiration: Some(b"100"), ..Properties::default() }, b"x");
    let (_, _, publication) = link.publications().remove(0);
    let mut event = event_of(publication);
    let death = |queue: &str, reason, count| Death {
        queue: Text::from(queue),
        reason,
        count,
        time: Timestamp::from_micros(1_700_000_000_000_000),
        exchange: Text::from("e"),
        key: Text::from("k"),
    };
    let details = event.details.as_mut().unwrap();
    details.deaths = vec![death("second", "rejected", 1), death("first", "expired", 2)];
    details.original = details.original.as_ref().and_then(|original| original.routed("dlx", "dead"));
    let (method, list, _) = delivery(&mut link, consumer, event);
    assert!(method.contains(r#"exchange: "dlx", routing_key: "dead""#), "{method}");
    let properties = Properties::read(&list).unwrap();
    assert_eq!(properties.expiration, None);
    let headers = properties.headers.unwrap();
    assert_eq!(headers.get("x-first-death-queue"), Some(Value::Text(b"first")));
    assert_eq!(headers.get("x-first-death-reason"), Some(Value::Text(b"expired")));
    assert_eq!(headers.get("x-first-death-exchange"), Some(Value::Text(b"e")));
    let Some(Value::Array(deaths)) = headers.get("x-death") else { panic!("no x-death") };
    let deaths: Vec<_> = deaths.iter().collect();
    let [Value::Table(second), Value::Table(first)] = deaths[..] else { panic!("{deaths:?}") };
    assert_eq!(second.get("queue"), Some(Value::Text(b"second")));
    assert_eq!(first.get("count"), Some(Value::I64(2)));
    assert_eq!(first.get("time"), Some(Value::Timestamp(1_700_000_000)));
    assert_eq!(first.get("original-expiration"), Some(Value::Text(b"100")));
    let Some(Value::Array(keys)) = first.get("routing-keys") else { panic!("no keys") };
    assert_eq!(keys.iter().collect::<Vec<_>>(), [Value::Text(b"k")]);
}

#[test]
fn headers_that_no_frame_of_the_client_holds_are_left_out() {
    let mut config = config();
    config.frame_bytes = FRAME_MIN;
    let mut link = Link::open_with(config, 0);
    link.open_channel(1);
    link.send(1, BasicConsume { queue: "q", consumer_tag: "c", ..BasicConsume::default() });
    let consumer = link.consume().consumer;
    link.tell(Directive::Consuming { consumer, result: Ok(Consuming::default()) });
    link.read();
    let mut event = event("a", b"body");
    let headers = vec![(Text::from("h"), Text::from("v".repeat(5_000)))];
    event.details = Some(Box::new(Details { headers, ..Details::default() }));
    let (_, list, body) = delivery(&mut link, consumer, event);
    assert_eq!(Properties::read(&list).unwrap().headers, None);
    assert_eq!(body, b"body");
}
