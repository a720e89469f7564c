//! TD_COAP_BLOCK: block-wise transfer (RFC 7959).

use crate::support::{client, long, node, valued};
use windrose_e2e::coap::{Client, Message, code, option};

/// GETs a value block by block with blocks of `16 << szx` bytes, the size said in the first request already or not.
fn get(client: &mut Client, path: &str, szx: u32, early: bool) -> (String, u32) {
    let mut all = Vec::new();
    let mut etag = None;
    for block in 0.. {
        let mut request = Message::get(path);
        if early || block > 0 {
            request = request.block(option::BLOCK2, block, false, szx);
        }
        let response = client.ask(request);
        assert_eq!(response.code, code::CONTENT);
        let (number, more, size) = response.block_of(option::BLOCK2).expect("a large value comes in blocks");
        assert_eq!(number, block);
        let tag = response.option(option::ETAG).map(<[u8]>::to_vec);
        assert!(tag.is_some() && (etag.is_none() || etag == tag), "all blocks have the value's ETag");
        etag = tag;
        if block == 0 && !early {
            // The server's size is taken over, if the client wanted none.
            all.extend_from_slice(&response.payload);
            if more {
                let (rest, count) = rest(client, path, size);
                all.extend(rest);
                return (String::from_utf8(all).expect("text"), count + 1);
            }
        } else {
            assert!(size <= szx, "no larger than asked for");
            all.extend_from_slice(&response.payload);
        }
        if !more {
            return (String::from_utf8(all).expect("text"), block + 1);
        }
    }
    unreachable!("blocks end")
}

fn rest(client: &mut Client, path: &str, szx: u32) -> (Vec<u8>, u32) {
    let mut all = Vec::new();
    for block in 1.. {
        let response = client.ask(Message::get(path).block(option::BLOCK2, block, false, szx));
        assert_eq!(response.code, code::CONTENT);
        all.extend_from_slice(&response.payload);
        if !response.block_of(option::BLOCK2).expect("a block").1 {
            return (all, block);
        }
    }
    unreachable!("blocks end")
}

/// Sends a request with a large payload block by block; returns the last response.
fn send(client: &mut Client, request: &Message, szx: u32) -> Message {
    let size = 16 << szx;
    let blocks: Vec<&[u8]> = request.payload.chunks(size).collect();
    for (number, block) in blocks.iter().enumerate() {
        let more = number + 1 < blocks.len();
        let part = Message { payload: block.to_vec(), ..request.clone() };
        let response = client.ask(part.block(option::BLOCK1, number as u32, more, szx));
        assert_eq!(
            response.block_of(option::BLOCK1).map(|(own, ..)| own),
            Some(number as u32),
            "{response:?}"
        );
        if !more {
            return response;
        }
        assert_eq!(response.code, code::CONTINUE);
    }
    unreachable!("there is a last block")
}

#[test]
fn block_01_06_a_large_value_is_read_in_blocks_of_the_size_that_is_asked_for() {
    let node = node();
    let value = long(1_300);
    let (mut client, path) = valued(&node, &value[..1_000]);
    let large = Message { payload: value.clone().into_bytes(), ..Message::put(&path, "") }.format(0);
    send(&mut client, &large, 6);
    assert_eq!(get(&mut client, &path, 6, true), (value.clone(), 2));
    assert_eq!(get(&mut client, &path, 2, true), (value.clone(), 21));
    assert_eq!(get(&mut client, &path, 0, true), (value, 82));
}

#[test]
fn block_02_without_a_size_the_servers_is_taken() {
    let node = node();
    let value = long(3_000);
    let (mut client, path) = client(&node);
    let large = Message::put(&path, value.clone()).format(0);
    send(&mut client, &large, 6);
    assert_eq!(get(&mut client, &path, 6, false).0, value);
    // Late negotiation: the server's first block may be larger than what the client goes on with.
    let first = client.ask(Message::get(&path));
    let (_, _, szx) = first.block_of(option::BLOCK2).expect("a block");
    let next = (16 << szx) / 64;
    let second = client.ask(Message::get(&path).block(option::BLOCK2, next, false, 2));
    assert_eq!(second.text(), value[next as usize * 64..][..64]);
}

#[test]
fn block_03_a_large_value_is_set() {
    let node = node();
    let value = long(2_000);
    let (mut client, path) = client(&node);
    let large = Message::put(&path, value.clone()).format(0);
    assert_eq!(send(&mut client, &large, 6).code, code::CREATED);
    assert_eq!(send(&mut client, &large, 2).code, code::CHANGED);
    assert_eq!(get(&mut client, &path, 6, true).0, value);
}

#[test]
fn block_04_05_a_large_event_is_published() {
    let node = node();
    let (mut client, path) = client(&node);
    let large = Message::post(&path, long(5_000)).format(0);
    assert_eq!(send(&mut client, &large, 5).code, code::CHANGED);
}

#[test]
fn block_a_hole_is_told() {
    let node = node();
    let (mut client, path) = client(&node);
    let part = |number: u32| Message::put(&path, long(64)).block(option::BLOCK1, number, true, 2);
    assert_eq!(client.ask(part(0)).code, code::CONTINUE);
    assert_eq!(client.ask(part(2)).code, code::INCOMPLETE);
    let (mut other, _) = crate::support::client(&node);
    assert_eq!(other.ask(part(1)).code, code::INCOMPLETE, "another endpoint's first block is not this one's");
    assert_eq!(client.ask(Message::get(&path)).code, code::NOT_FOUND, "nothing is set by halves");
}

#[test]
fn block_numbers_past_the_value_and_reserved_sizes_are_refused() {
    let node = node();
    let (mut client, path) = valued(&node, "short");
    let past = client.ask(Message::get(&path).block(option::BLOCK2, (1 << 20) - 1, false, 6));
    assert_eq!(past.code, code::BAD_REQUEST, "{past:?}");
    let reserved = client.ask(Message::get(&path).block(option::BLOCK2, 0, false, 7));
    assert_eq!(reserved.code, code::BAD_REQUEST, "{reserved:?}");
}
