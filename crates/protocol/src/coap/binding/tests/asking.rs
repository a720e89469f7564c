//! Things are asked, and answer.

use super::*;
use windrose_event::{Cause, Details};

fn reply(world: &mut World, index: usize, payload: &str, media_type: Option<&str>) {
    let (lane, tag) = (world.requested[index].0, world.requested[index].1.tag);
    let details = Details { content_type: media_type.map(Into::into), ..Details::default() };
    let answer = publication("$reply/0-1", payload, Q1);
    let event = world.event(Publication { details: Some(Box::new(details)), ..answer });
    world.direct(lane, Directive::Reply { tag, event });
}

#[test]
fn a_question_is_answered_by_the_things_reply() {
    let mut world = World::new();
    for wish in [
        Wish::new(Code::FETCH, "/devices/7/state").payload("?"),
        post("/devices/7/state", "?").query("wait=5s"),
    ] {
        let ask = world.send(endpoint(1), &wish);
        assert!(world.answers.is_empty());
        assert_eq!(world.requested[0].1.publication.address.as_str(), "devices/7/state");
        assert!(world.requested[0].1.publication.details.is_none(), "'wait' is no value of the event");
        reply(&mut world, 0, "{\"on\":true}", Some("application/json"));
        let answer = world.answer(ask);
        assert_eq!((answer.code, uint(&answer, option::CONTENT_FORMAT)), (Code::CONTENT, Some(50)));
        assert_eq!(answer.payload, "{\"on\":true}");
        world.requested.clear();
    }
}

#[test]
fn a_question_that_fails_says_how() {
    let mut world = World::new();
    let ask = world.send(endpoint(1), &Wish::new(Code::FETCH, "/a"));
    let (lane, tag) = (world.requested[0].0, world.requested[0].1.tag);
    let outcome = Outcome::rejected(Cause::NotPermitted);
    world.direct(lane, Directive::Settle { tag, outcome, heard: true });
    assert_eq!(world.answer(ask).code, Code::FORBIDDEN);
    let accepting = Wish::new(Code::FETCH, "/a").uint(option::ACCEPT, 60);
    let ask = world.send(endpoint(1), &accepting);
    reply(&mut world, 1, "{}", Some("application/json"));
    assert_eq!(world.answer(ask).code, Code::NOT_ACCEPTABLE);
    let conditional = Wish::new(Code::FETCH, "/a").with(option::IF_MATCH, b"");
    assert_eq!(world.ask(&conditional).code, Code::BAD_OPTION);
}

#[test]
fn an_answer_that_comes_too_late_is_for_nobody_else() {
    let mut world = World::new();
    let ask = world.send(endpoint(1), &post("/a", "?").query("wait=2s"));
    world.advance(Duration::from_millis(1_900));
    assert!(world.answers.is_empty());
    world.advance(Duration::from_millis(100));
    assert_eq!(world.answer(ask).code, Code::GATEWAY_TIMEOUT);
    let next = world.send(endpoint(2), &Wish::new(Code::FETCH, "/b"));
    assert_ne!(world.requested[0].1.tag, world.requested[1].1.tag);
    reply(&mut world, 0, "late", None);
    assert!(world.answers.is_empty());
    reply(&mut world, 1, "right", None);
    assert_eq!(world.answer(next).payload, "right");
    let tags: Vec<_> = (0..300)
        .map(|_| {
            world.send(endpoint(1), &post("/a", "?").query("wait=1s"));
            world.advance(Duration::from_secs(1));
            world.requested.last().unwrap().1.tag
        })
        .collect();
    assert_eq!(world.answers.len(), 300, "abandoned questions do not use up the lane");
    assert!(tags.iter().all(|tag| tag.0 <= 256));
}

#[test]
fn a_large_answer_goes_block_by_block() {
    let mut world = World::new();
    let ask = world.send(endpoint(1), &Wish::new(Code::FETCH, "/a").payload("?"));
    reply(&mut world, 0, &"z".repeat(3_000), None);
    let first = world.answer(ask);
    assert_eq!(first.payload.len(), 1_024);
    let block = |number| Block { number, more: false, exponent: 6 };
    let third = world.ask(&Wish::new(Code::FETCH, "/a").block(option::BLOCK2, block(2)));
    assert_eq!((third.code, third.payload.len()), (Code::CONTENT, 952));
    assert_eq!(etag_of(&third), etag_of(&first));
    assert_eq!(world.requested.len(), 1, "it is asked once");
    world.advance(Duration::from_secs(94));
    let late = world.ask(&Wish::new(Code::FETCH, "/a").block(option::BLOCK2, block(2)));
    assert_eq!(late.code, Code::REQUEST_ENTITY_INCOMPLETE);
    let other = world.ask_from(2, &Wish::new(Code::FETCH, "/a").block(option::BLOCK2, block(2)));
    assert_eq!(other.code, Code::REQUEST_ENTITY_INCOMPLETE);
}
