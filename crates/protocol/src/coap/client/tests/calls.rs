//! Requests of ours, against a server made by hand.

use crate::coap::client::calls::{CallId, CallOutput, Calls};
use crate::coap::client::{Failure, Outgoing};
use crate::coap::codec::{Block, Code, option};
use crate::coap::{Remote, Response, Token};
use std::time::Duration;
use windrose_event::Moment;

fn remote(port: u16) -> Remote {
    Remote::udp(([127, 0, 0, 1], port).into())
}

fn post(payload: impl Into<bytes::Bytes>) -> Outgoing {
    Outgoing { code: Code::POST, options: Default::default(), payload: payload.into() }
}

fn deadline() -> Moment {
    Moment::default() + Duration::from_secs(10)
}

fn block(number: u32, more: bool, exponent: u8) -> Block {
    Block { number, more, exponent }
}

/// What is sent next.
fn sent(calls: &mut Calls) -> (Token, Outgoing) {
    loop {
        match calls.poll_output().expect("something is sent") {
            CallOutput::Send { token, message, .. } => return (token, message),
            CallOutput::Forget { .. } => {}
            other @ CallOutput::Done { .. } => panic!("{other:?}"),
        }
    }
}

fn done(calls: &mut Calls) -> (CallId, Result<Response, Failure>) {
    loop {
        match calls.poll_output().expect("the call is over") {
            CallOutput::Done { call, result } => return (call, result),
            CallOutput::Forget { .. } => {}
            other @ CallOutput::Send { .. } => panic!("{other:?}"),
        }
    }
}

fn answer(calls: &mut Calls, token: &Token, response: &Response) {
    let Response { code, options, payload } = response;
    calls.handle_response(remote(1), token, *code, options.as_options(), payload);
}

fn block_of(message: &Outgoing, number: u16) -> Option<Block> {
    message.options.as_options().get(number).and_then(Block::parse)
}

fn start(payload: impl Into<bytes::Bytes>) -> (Calls, CallId) {
    let mut calls = Calls::new(7, 10_000, 1_152);
    let call = calls.start(remote(1), post(payload), deadline());
    (calls, call)
}

#[test]
fn a_response_is_taken_from_the_peer_that_was_asked_and_with_its_token_only() {
    let (mut calls, call) = start("x");
    let (token, message) = sent(&mut calls);
    assert_eq!((message.code, &message.payload[..], token.len()), (Code::POST, &b"x"[..], 8));
    assert!(
        !calls.knows(remote(2), &token)
            && !calls.knows(remote(1), &token[..4])
            && !calls.knows(remote(1), b"")
    );
    assert!(calls.knows(remote(1), &token));
    answer(&mut calls, &token, &Response::diagnostic(Code::CONTENT, "y"));
    assert_eq!(done(&mut calls), (call, Ok(Response::diagnostic(Code::CONTENT, "y"))));
    assert!(!calls.knows(remote(1), &token) && calls.len() == 0 && calls.next_timeout().is_none());
}

#[test]
fn a_large_payload_goes_in_blocks_as_small_as_the_server_wants_them() {
    let payload: Vec<u8> = (0..2_500u32).map(|index| index as u8).collect();
    let (mut calls, call) = start(payload.clone());
    let (token, first) = sent(&mut calls);
    assert_eq!(block_of(&first, option::BLOCK1), Some(block(0, true, 6)));
    assert_eq!(first.options.as_options().uint(option::SIZE1), Some(2_500));
    let tag = first.options.as_options().get(option::REQUEST_TAG).unwrap().to_vec();
    let smaller = |number| {
        Response::new(Code::CONTINUE).with(option::BLOCK1, block(number, true, 4).value().as_bytes())
    };
    answer(&mut calls, &token, &smaller(0));
    let mut received = first.payload.to_vec();
    let mut last = token;
    loop {
        let (token, message) = sent(&mut calls);
        assert_ne!(token, last, "a late answer must not pass for this one's");
        assert_eq!(message.options.as_options().get(option::REQUEST_TAG), Some(&tag[..]));
        let place = block_of(&message, option::BLOCK1).unwrap();
        assert_eq!((place.offset(), place.exponent), (received.len(), 4));
        received.extend_from_slice(&message.payload);
        last = token.clone();
        if !place.more {
            answer(&mut calls, &token, &Response::new(Code::CHANGED));
            break;
        }
        answer(&mut calls, &token, &smaller(place.number));
    }
    assert_eq!(received, payload);
    assert_eq!(done(&mut calls), (call, Ok(Response::new(Code::CHANGED))));
}

#[test]
fn a_payload_that_is_too_large_in_one_piece_is_cut() {
    let (mut calls, _) = start(vec![1; 600]);
    let (token, first) = sent(&mut calls);
    assert_eq!((block_of(&first, option::BLOCK1), first.payload.len()), (None, 600));
    let cut = Response::new(Code::REQUEST_ENTITY_TOO_LARGE)
        .with(option::BLOCK1, block(0, true, 5).value().as_bytes());
    answer(&mut calls, &token, &cut);
    let (token, again) = sent(&mut calls);
    assert_eq!((block_of(&again, option::BLOCK1), again.payload.len()), (Some(block(0, true, 5)), 512));
    answer(&mut calls, &token, &Response::new(Code::REQUEST_ENTITY_TOO_LARGE));
    assert_eq!(done(&mut calls).1.unwrap().code, Code::REQUEST_ENTITY_TOO_LARGE);
}

#[test]
fn a_server_that_lost_blocks_gets_all_of_them_once_more() {
    let (mut calls, _) = start(vec![1; 3_000]);
    let (token, _) = sent(&mut calls);
    answer(&mut calls, &token, &Response::new(Code::CONTINUE));
    let incomplete = Response::new(Code::REQUEST_ENTITY_INCOMPLETE);
    let (token, second) = sent(&mut calls);
    assert_eq!(block_of(&second, option::BLOCK1), Some(block(1, true, 6)));
    answer(&mut calls, &token, &incomplete);
    let (token, again) = sent(&mut calls);
    assert_eq!(block_of(&again, option::BLOCK1), Some(block(0, true, 6)));
    answer(&mut calls, &token, &incomplete);
    assert_eq!(done(&mut calls).1, Ok(incomplete));
}

#[test]
fn a_large_response_is_put_together() {
    let (mut calls, _) = start("ask");
    let (mut token, _) = sent(&mut calls);
    let body: Vec<u8> = (0..150u8).collect();
    for (index, part) in body.chunks(64).enumerate() {
        let place = block(index as u32, index < 2, 2);
        let part = Response::diagnostic(Code::CONTENT, part.to_vec())
            .with(option::ETAG, b"e")
            .with_uint(option::CONTENT_FORMAT, 50)
            .with(option::BLOCK2, place.value().as_bytes());
        answer(&mut calls, &token, &part);
        if index < 2 {
            let (next, message) = sent(&mut calls);
            assert_eq!(block_of(&message, option::BLOCK2), Some(block(index as u32 + 1, false, 2)));
            assert!(message.payload.is_empty() && message.code == Code::POST);
            token = next;
        }
    }
    let response = done(&mut calls).1.unwrap();
    assert_eq!(response.payload, body);
    assert_eq!(response.options.as_options().uint(option::CONTENT_FORMAT), Some(50));
    assert!(!response.options.as_options().has(option::BLOCK2));
}

#[test]
fn a_response_that_makes_no_sense_is_none() {
    let part = |number, more, payload: Vec<u8>| {
        Response::diagnostic(Code::CONTENT, payload)
            .with(option::BLOCK2, block(number, more, 0).value().as_bytes())
    };
    let bad = [
        part(1, true, vec![0; 16]),
        part(0, true, vec![0; 15]),
        Response::new(Code::CONTENT).with(option::BLOCK2, &[7]),
        Response::new(Code::CONTINUE),
        Response::new(Code::CONTENT).with(9, b"object security"),
        Response::diagnostic(Code::CONTENT, vec![0; 10_001]),
    ];
    for response in bad {
        let (mut calls, _) = start("x");
        let (token, _) = sent(&mut calls);
        answer(&mut calls, &token, &response);
        assert!(matches!(done(&mut calls).1, Err(Failure::Nonsense(_) | Failure::TooLarge)), "{response:?}");
    }
    let (mut calls, _) = start("x");
    let (token, _) = sent(&mut calls);
    answer(&mut calls, &token, &part(0, true, vec![0; 16]).with(option::ETAG, b"a"));
    let (token, _) = sent(&mut calls);
    answer(&mut calls, &token, &part(1, false, vec![0; 16]).with(option::ETAG, b"b"));
    assert!(matches!(done(&mut calls).1, Err(Failure::Nonsense(_))));
}

#[test]
fn a_body_without_end_is_given_up_at_its_bound() {
    let (mut calls, _) = start("x");
    for number in 0..=9 {
        let (token, _) = sent(&mut calls);
        let place = block(number, true, 6).value();
        let part = Response::diagnostic(Code::CONTENT, vec![0; 1_024]).with(option::BLOCK2, place.as_bytes());
        answer(&mut calls, &token, &part);
    }
    assert_eq!(done(&mut calls).1, Err(Failure::TooLarge));
}

#[test]
fn the_servers_echo_is_shown_to_it_once() {
    let (mut calls, _) = start("x");
    let (token, _) = sent(&mut calls);
    let who = Response::new(Code::UNAUTHORIZED).with(option::ECHO, b"fresh");
    answer(&mut calls, &token, &who);
    let (token, message) = sent(&mut calls);
    assert_eq!(message.options.as_options().get(option::ECHO), Some(&b"fresh"[..]));
    assert_eq!(&message.payload[..], b"x");
    answer(&mut calls, &token, &who);
    assert_eq!(done(&mut calls).1, Ok(who));
}

#[test]
fn a_call_ends_by_its_deadline_by_failure_or_when_nobody_waits() {
    let (mut calls, call) = start("x");
    let before = deadline();
    assert_eq!(calls.next_timeout(), Some(before));
    calls.handle_timeout(Moment::default());
    assert_eq!(calls.len(), 1);
    let (token, _) = sent(&mut calls);
    calls.handle_timeout(before);
    assert!(
        matches!(calls.poll_output(), Some(CallOutput::Forget { call: forgotten, .. }) if forgotten == call)
    );
    assert_eq!(done(&mut calls), (call, Err(Failure::TimedOut)));
    answer(&mut calls, &token, &Response::new(Code::CHANGED));
    assert!(calls.poll_output().is_none(), "late answers are for nobody");

    let (mut calls, call) = start("x");
    sent(&mut calls);
    calls.handle_failure(call, Failure::Reset);
    assert_eq!(done(&mut calls), (call, Err(Failure::Reset)));
    let (mut calls, call) = start("x");
    sent(&mut calls);
    calls.cancel(call);
    assert!(matches!(calls.poll_output(), Some(CallOutput::Forget { .. })));
    assert!(calls.poll_output().is_none() && calls.len() == 0);
}
