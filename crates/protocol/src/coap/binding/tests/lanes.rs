//! Lanes: who shares them, how long they last, what happens when they are refused or full.

use super::*;
use windrose_event::{CloseReason, Refusal, RefusalCause, Secret};

fn refuse(cause: RefusalCause) -> Directive {
    Directive::Refuse(Refusal { cause, detail: "for the log only".into() })
}

#[test]
fn anonymous_endpoints_share_a_lane_and_sessions_have_their_own() {
    let mut world = World::new();
    for port in 1..=100 {
        world.ask_from(port, &post("/a", "x"));
    }
    assert_eq!(world.opened.len(), 1);
    let (_, remote, open) = &world.opened[0];
    assert_eq!((*remote, open.protocol, open.keep), (None, "coap", Duration::ZERO));
    assert!(open.claim.is_anonymous());
    assert_eq!(&*open.claim.listener, "coap");
    let session = SessionId(9);
    let claim = Claim { username: Some("car".into()), password: Some(Secret::new("x")), ..Claim::default() };
    world.binding.handle_session(world.now, session, claim);
    world.run();
    assert_eq!(world.opened.len(), 1, "not before it asks for something");
    let ask = world.send(Remote::Session(session), &post("/a", "x"));
    assert_eq!(world.answer(ask).code, Code::CHANGED);
    let (lane, remote, open) = &world.opened[1];
    assert_eq!((*remote, open.claim.username.as_deref()), (Some(Remote::Session(session)), Some("car")));
    let lane = *lane;
    let ask = world.send(Remote::Session(session), &get("/a").uint(option::OBSERVE, 0));
    assert!(uint(&world.answer(ask), option::OBSERVE).is_some());
    assert_eq!(world.opened.len(), 2, "its observations go by the same lane");
    world.outcome = None;
    let ask = world.send(Remote::Session(session), &post("/a", "x"));
    world.binding.handle_session_end(world.now, session);
    world.run();
    assert_eq!(world.answer(ask).code, Code::SERVICE_UNAVAILABLE);
    assert_eq!(world.closed, [lane]);
    let ask = world.send(Remote::Session(session), &post("/a", "x"));
    assert_eq!(world.answer(ask).code, Code::UNAUTHORIZED);
}

#[test]
fn requests_wait_for_their_lane_and_keep_their_order() {
    let mut world = World::new();
    world.accepts = false;
    let asks: Vec<_> =
        (0..3).map(|index| world.send(endpoint(1), &post(&format!("/{index}"), "x"))).collect();
    assert!(world.published.is_empty());
    let lane = world.opened[0].0;
    world.direct(lane, accept(256));
    let addresses: Vec<_> =
        world.published.iter().map(|(_, publish)| publish.publication.address.to_string()).collect();
    assert_eq!(addresses, ["0", "1", "2"]);
    assert!(asks.into_iter().all(|ask| world.answer(ask).code == Code::CHANGED));
}

#[test]
fn who_is_not_let_in_is_told_so_and_not_asked_about_each_time() {
    let mut world = World::new();
    world.accepts = false;
    let ask = world.send(endpoint(1), &post("/a", "x"));
    let lane = world.opened[0].0;
    world.direct(lane, refuse(RefusalCause::AnonymousDenied));
    let refused = world.answer(ask);
    assert_eq!(refused.code, Code::UNAUTHORIZED);
    assert!(!String::from_utf8_lossy(&refused.payload).contains("log only"));
    assert_eq!(world.ask_from(2, &post("/a", "x")).code, Code::UNAUTHORIZED);
    assert_eq!(world.opened.len(), 1);
    world.accepts = true;
    world.advance(Duration::from_secs(1));
    assert_eq!(world.ask(&post("/a", "x")).code, Code::CHANGED);
    world.accepts = false;
    let ask = world.send(endpoint(3), &get("/a").uint(option::OBSERVE, 0));
    let lane = world.opened.last().unwrap().0;
    world.direct(lane, refuse(RefusalCause::Quota));
    assert_eq!(world.answer(ask).code, Code::SERVICE_UNAVAILABLE);
    assert_eq!(world.binding.owners.len(), 0);
}

#[test]
fn lanes_are_opened_as_others_are_full_up_to_a_bound() {
    let mut world = World::with(|config| config.lanes = 2);
    world.outcome = None;
    let asks: Vec<_> = (0..600).map(|_| world.send(endpoint(1), &post("/a", "x"))).collect();
    assert_eq!(world.opened.len(), 2);
    assert_eq!(world.published.len(), 512);
    assert_eq!(world.answers.len(), 88);
    let busy = world.answer(asks[599]);
    assert_eq!((busy.code, uint(&busy, option::MAX_AGE)), (Code::TOO_MANY_REQUESTS, Some(1)));
    let (lane, tag) = (world.published[0].0, world.published[0].1.tag);
    world.direct(lane, Directive::Settle { tag, outcome: Outcome::Accepted, heard: true });
    world.send(endpoint(1), &post("/a", "x"));
    assert_eq!(world.published.len(), 513);
}

#[test]
fn a_lane_without_credit_publishes_nothing_and_reads() {
    let mut world = World::new();
    world.ask(&put("/a", "x"));
    let lane = world.opened[0].0;
    world.binding.handle_brake(world.now, lane, true);
    for wish in [post("/a", "x"), put("/a", "x"), Wish::new(Code::FETCH, "/a")] {
        assert_eq!(world.ask(&wish).code, Code::TOO_MANY_REQUESTS);
    }
    assert_eq!(world.ask(&get("/a")).code, Code::CONTENT);
    world.binding.handle_brake(world.now, lane, false);
    assert_eq!(world.ask(&post("/a", "x")).code, Code::CHANGED);
}

#[test]
fn lanes_that_nobody_uses_are_closed() {
    let mut world = World::new();
    world.ask(&post("/a", "x"));
    world.advance(Duration::from_secs(40));
    world.ask(&post("/a", "x"));
    world.advance(Duration::from_secs(40));
    assert!(world.closed.is_empty(), "it was used");
    world.advance(Duration::from_secs(60));
    assert_eq!(world.closed.len(), 1);
    assert_eq!(world.binding.next_timeout(), None);
    world.ask(&get("/a").uint(option::OBSERVE, 0));
    world.outcome = None;
    let ask = world.send(endpoint(1), &post("/a", "x"));
    world.advance(Duration::from_secs(600));
    assert_eq!(world.closed.len(), 1, "one is observed by, the other owes an answer");
    let lane = world.published.last().unwrap().0;
    world.direct(lane, Directive::Close(CloseReason::ShuttingDown));
    assert_eq!(world.answer(ask).code, Code::SERVICE_UNAVAILABLE);
}

#[test]
fn a_node_that_shuts_down_answers_what_is_under_way_and_takes_nothing_new() {
    let mut world = World::new();
    world.outcome = None;
    let ask = world.send(endpoint(1), &post("/a", "x"));
    world.binding.drain();
    for wish in [post("/a", "x"), put("/a", "x"), Wish::new(Code::FETCH, "/a")] {
        let refused = world.ask(&wish);
        assert_eq!((refused.code, uint(&refused, option::MAX_AGE)), (Code::SERVICE_UNAVAILABLE, Some(1)));
    }
    let (lane, tag) = (world.published[0].0, world.published[0].1.tag);
    world.direct(lane, Directive::Settle { tag, outcome: Outcome::Accepted, heard: true });
    assert_eq!(world.answer(ask).code, Code::CHANGED);
    assert_eq!(world.published.len(), 1);
}
