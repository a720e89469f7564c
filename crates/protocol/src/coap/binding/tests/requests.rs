//! What is wrong with requests, and how they want to be answered.

use super::*;
use windrose_event::Cause;

#[test]
fn a_post_is_an_event_and_is_answered_when_it_is_settled() {
    let mut world = World::new();
    world.outcome = None;
    let wish = post("/devices/meter-1/telemetry", "{\"kwh\":3}").uint(option::CONTENT_FORMAT, 50);
    let ask = world.send(endpoint(1), &wish.query("ce-type=reading").query("flag"));
    assert!(world.answers.is_empty());
    let (lane, publish) = world.published.pop().unwrap();
    let publication = publish.publication;
    assert_eq!(publication.address.as_str(), "devices/meter-1/telemetry");
    assert_eq!((publication.assurance, publication.retain), (Q1, false));
    assert_eq!(publication.payload, "{\"kwh\":3}");
    let details = publication.details.unwrap();
    assert_eq!(details.content_type.as_deref(), Some("application/json"));
    assert_eq!(details.headers, [("ce-type".into(), "reading".into()), ("flag".into(), "".into())]);
    world.direct(lane, Directive::Settle { tag: publish.tag, outcome: Outcome::Accepted, heard: true });
    assert_eq!(world.answer(ask), Response::new(Code::CHANGED));
}

#[test]
fn what_comes_without_confirmation_is_published_at_most_once() {
    let mut world = World::new();
    assert_eq!(world.ask(&post("/a", "x").non()).code, Code::CHANGED);
    assert_eq!(world.published[0].1.publication.assurance, Q0);
    assert_ne!(world.published[0].1.tag, Tag::NONE, "it is answered all the same");
}

#[test]
fn wishes_travel_as_queries() {
    let mut world = World::new();
    let wish = post("/a", "x").query("windrose-expiry=30s").query("windrose-reply-to=b/c");
    assert_eq!(world.ask(&wish.query("windrose-correlation=00ff")).code, Code::CHANGED);
    let publication = &world.published[0].1.publication;
    assert_eq!(publication.expiry, Some(Duration::from_secs(30)));
    let details = publication.details.as_ref().unwrap();
    assert_eq!(details.reply_to, Address::new("b/c").ok());
    assert_eq!(details.correlation.as_deref(), Some(&[0, 0xff][..]));
    for bad in ["windrose-expiry=soon", "windrose-reply-to=a/#", "windrose-correlation=0g", "wait=0s"] {
        assert_eq!(world.ask(&post("/a", "x").query(bad)).code, Code::BAD_REQUEST, "{bad}");
    }
    let flood = (0..65).fold(post("/a", "x"), |wish, index| wish.query(&format!("n{index}=1")));
    assert_eq!(world.ask(&flood).code, Code::BAD_REQUEST);
}

#[test]
fn requests_that_mean_nothing_here_are_refused() {
    let mut world = World::new();
    let path = |segments: &[&[u8]]| {
        let post = Wish::new(Code::POST, "").payload("x");
        segments.iter().fold(post, |wish, segment| wish.with(option::URI_PATH, segment))
    };
    for (wish, code) in [
        (get(""), Code::NOT_FOUND),
        (get("/"), Code::NOT_FOUND),
        (post("", "x"), Code::METHOD_NOT_ALLOWED),
        (post("/.well-known/core", "x"), Code::METHOD_NOT_ALLOWED),
        (Wish::new(Code::new(0, 8), "/a"), Code::METHOD_NOT_ALLOWED),
        (Wish::new(Code::new(0, 31), "/a"), Code::METHOD_NOT_ALLOWED),
        (path(&[b"a/b"]), Code::BAD_REQUEST),
        (path(&[b"a", b".."]), Code::BAD_REQUEST),
        (path(&[b"."]), Code::BAD_REQUEST),
        (path(&[b"a\0"]), Code::BAD_REQUEST),
        (path(&[b"\xff"]), Code::BAD_REQUEST),
        (path(&[b"a", b"+"]), Code::BAD_REQUEST),
        (get("/a/#"), Code::BAD_REQUEST),
        (get("/a+b").uint(option::OBSERVE, 0), Code::BAD_REQUEST),
        (post("/a", "x").with(option::PROXY_URI, b"coap://b/a"), Code::PROXYING_NOT_SUPPORTED),
        (get("/a").with(option::PROXY_SCHEME, b"http"), Code::PROXYING_NOT_SUPPORTED),
        (post("/a", "x").query("a=\u{fffd}").with(option::URI_QUERY, b"\xff"), Code::BAD_REQUEST),
        (put("/a", ""), Code::BAD_REQUEST),
    ] {
        assert_eq!(world.ask(&wish).code, code, "{:?} {:?}", wish.code, wish.options);
    }
    assert!(world.published.is_empty());
    let host = post("/a", "x").with(option::URI_HOST, b"elsewhere").uint(option::URI_PORT, 9);
    assert_eq!(world.ask(&host).code, Code::CHANGED, "we are whoever we are called");
    assert_eq!(world.ask(&path(&[b"", b"a", b""])).code, Code::CHANGED);
    assert_eq!(world.published[1].1.publication.address.as_str(), "/a/", "an empty segment is one");
}

#[test]
fn outcomes_become_codes() {
    let mut world = World::new();
    world.outcome = Some(Outcome::Busy { retry_after: Some(Duration::from_secs(5)) });
    let busy = world.ask(&post("/a", "x"));
    assert_eq!((busy.code, uint(&busy, option::MAX_AGE)), (Code::TOO_MANY_REQUESTS, Some(5)));
    world.outcome = Some(Outcome::rejected_because(Cause::ByService, "HTTP 422: too fast"));
    let rejected = world.ask(&post("/a", "x"));
    assert_eq!((rejected.code, &rejected.payload[..]), (Code::BAD_REQUEST, &b"HTTP 422: too fast"[..]));
    let large = world.ask(&post("/a", &"x".repeat(262_145)));
    assert_eq!(large.code, Code::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(uint(&large, option::SIZE1), Some(262_144));
}

#[test]
fn a_client_that_does_not_want_an_answer_gets_none() {
    let mut world = World::new();
    for (quiet, outcome, is_quiet) in [
        (2, Outcome::Accepted, true),
        (24, Outcome::Accepted, false),
        (8, Outcome::rejected(Cause::NotPermitted), true),
        (2, Outcome::rejected(Cause::NotPermitted), false),
        (16, Outcome::unavailable(), true),
        (26, Outcome::unavailable(), true),
        (0, Outcome::Accepted, false),
    ] {
        world.outcome = Some(outcome.clone());
        let ask = world.send(endpoint(1), &post("/a", "x").non().uint(option::NO_RESPONSE, quiet));
        let answer = world.answers.remove(&ask).expect("it is settled in any case");
        assert_eq!(answer.is_none(), is_quiet, "{quiet} {outcome:?}");
    }
}
