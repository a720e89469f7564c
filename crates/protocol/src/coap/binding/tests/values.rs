//! Last values: GET, PUT, DELETE and the patches.

use super::*;
use windrose_event::Cause;

#[test]
fn a_last_value_is_set_read_and_cleared() {
    let mut world = World::new();
    assert_eq!(world.ask(&get("/a/b")).code, Code::NOT_FOUND);
    assert_eq!(world.ask(&put("/a/b", "one").uint(option::CONTENT_FORMAT, 0)).code, Code::CREATED);
    assert_eq!(world.ask(&put("/a/b", "two").uint(option::CONTENT_FORMAT, 50)).code, Code::CHANGED);
    assert!(world.published.iter().all(|(_, publish)| publish.publication.retain));
    assert_eq!(world.synced, 2, "whoever is told that it is set reads it on every shard");
    let value = world.ask(&get("/a/b"));
    assert_eq!((value.code, &value.payload[..]), (Code::CONTENT, &b"two"[..]));
    assert_eq!(uint(&value, option::CONTENT_FORMAT), Some(50));
    assert_eq!(uint(&value, option::MAX_AGE), None);
    assert_eq!(world.ask(&Wish::new(Code::DELETE, "/a/b")).code, Code::DELETED);
    assert_eq!(world.ask(&get("/a/b")).code, Code::NOT_FOUND);
    assert_eq!(world.ask(&Wish::new(Code::DELETE, "/a/b")).code, Code::DELETED, "RFC 7252 §5.8.4");
}

#[test]
fn a_value_that_expires_is_fresh_for_as_long_as_it_lives() {
    let mut world = World::new();
    world.ask(&put("/a", "x").query("windrose-expiry=90s"));
    world.advance(Duration::from_secs(30));
    assert_eq!(uint(&world.ask(&get("/a")), option::MAX_AGE), Some(60));
}

#[test]
fn a_client_that_has_the_value_is_told_so() {
    let mut world = World::new();
    world.ask(&put("/a", "x"));
    let etag = etag_of(&world.ask(&get("/a")));
    let valid = world.ask(&get("/a").with(option::ETAG, b"other").with(option::ETAG, &etag));
    assert_eq!((valid.code, valid.payload.len()), (Code::VALID, 0));
    assert_eq!(etag_of(&valid), etag);
    world.ask(&put("/a", "y"));
    assert_eq!(world.ask(&get("/a").with(option::ETAG, &etag)).code, Code::CONTENT);
}

#[test]
fn conditions_are_kept() {
    let mut world = World::new();
    let if_match = |wish: Wish, etag: &[u8]| wish.with(option::IF_MATCH, etag);
    let none = |wish: Wish| wish.with(option::IF_NONE_MATCH, b"");
    assert_eq!(world.ask(&if_match(put("/a", "x"), b"")).code, Code::PRECONDITION_FAILED, "nothing is there");
    assert_eq!(world.ask(&none(put("/a", "x"))).code, Code::CREATED);
    assert_eq!(world.ask(&none(put("/a", "y"))).code, Code::PRECONDITION_FAILED);
    let etag = etag_of(&world.ask(&get("/a")));
    assert_eq!(world.ask(&if_match(put("/a", "y"), b"")).code, Code::CHANGED);
    assert_eq!(world.ask(&if_match(put("/a", "z"), &etag)).code, Code::PRECONDITION_FAILED, "it has changed");
    assert_eq!(world.ask(&if_match(put("/a", "z"), b"abc")).code, Code::PRECONDITION_FAILED);
    let etag = etag_of(&world.ask(&get("/a")));
    let either = if_match(if_match(put("/a", "z"), b"abc"), &etag);
    assert_eq!(world.ask(&either).code, Code::CHANGED);
    for wish in [post("/a", "x"), Wish::new(Code::DELETE, "/a"), get("/a")] {
        assert_eq!(
            world.ask(&if_match(wish.clone(), &etag)).code,
            Code::PRECONDITION_FAILED,
            "{:?}",
            wish.code
        );
    }
    let etag = etag_of(&world.ask(&get("/a")));
    assert_eq!(world.ask(&if_match(Wish::new(Code::DELETE, "/a"), &etag)).code, Code::DELETED);
    assert_eq!(world.ask(&none(post("/a", "x"))).code, Code::CHANGED);
}

#[test]
fn who_may_write_and_not_read_is_not_told_what_was_there() {
    let mut world = World::new();
    world.forbidden = Some(Rejection { cause: Cause::NotPermitted, detail: None });
    assert_eq!(world.ask(&put("/a", "x")).code, Code::CHANGED);
    assert_eq!(world.ask(&put("/a", "x").with(option::IF_NONE_MATCH, b"")).code, Code::FORBIDDEN);
    assert_eq!(world.ask(&get("/a")).code, Code::FORBIDDEN);
}

#[test]
fn what_is_accepted_is_told_or_nothing_is() {
    let mut world = World::new();
    world.ask(&put("/json", "{}").uint(option::CONTENT_FORMAT, 50));
    world.ask(&put("/odd", "{}").uint(option::CONTENT_FORMAT, 65_000));
    world.ask(&put("/plain", "{}"));
    for (path, accept, format) in [
        ("/json", 50, Some(50)),
        ("/json", 0, None),
        ("/odd", 65_000, Some(65_000)),
        ("/plain", 0, Some(0)),
        ("/plain", 42, Some(42)),
        ("/plain", 50, Some(50)),
        ("/plain", 60, None),
    ] {
        let response = world.ask(&get(path).uint(option::ACCEPT, accept));
        let code = if format.is_some() { Code::CONTENT } else { Code::NOT_ACCEPTABLE };
        assert_eq!(
            (response.code, uint(&response, option::CONTENT_FORMAT)),
            (code, format),
            "{path} {accept}"
        );
    }
    assert_eq!(uint(&world.ask(&get("/plain")), option::CONTENT_FORMAT), None);
    let stored = &world.values["odd"];
    assert_eq!(stored.content_type().unwrap().as_str(), "application/coap-payload;cf=65000");
}

#[test]
fn patches_change_a_part_of_a_value() {
    let mut world = World::new();
    let patch = |code, body: &str| Wish::new(code, "/a").payload(body).uint(option::CONTENT_FORMAT, 52);
    assert_eq!(world.ask(&patch(Code::IPATCH, "{\"x\":1,\"y\":2}")).code, Code::CREATED);
    assert_eq!(world.ask(&patch(Code::PATCH, "{\"x\":null,\"z\":{\"n\":1.5}}")).code, Code::CHANGED);
    let value = world.ask(&get("/a"));
    assert_eq!(value.payload, "{\"y\":2,\"z\":{\"n\":1.5}}");
    assert_eq!(uint(&value, option::CONTENT_FORMAT), Some(50));
    assert_eq!(world.ask(&patch(Code::PATCH, "{")).code, Code::BAD_REQUEST);
    let other = Wish::new(Code::PATCH, "/a").payload("[]").uint(option::CONTENT_FORMAT, 51);
    assert_eq!(world.ask(&other).code, Code::UNSUPPORTED_CONTENT_FORMAT);
    let late = patch(Code::IPATCH, "{}").with(option::IF_MATCH, b"12345678");
    assert_eq!(world.ask(&late).code, Code::PRECONDITION_FAILED);
    world.ask(&put("/a", "21.5 degrees"));
    assert_eq!(world.ask(&patch(Code::PATCH, "{}")).code, Code::CONFLICT);
}
