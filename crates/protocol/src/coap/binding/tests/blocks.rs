//! Bodies in blocks.

use super::*;

fn block(number: u32, more: bool, exponent: u8) -> Block {
    Block { number, more, exponent }
}

/// Sends a body in blocks; the answer to the last.
fn upload(world: &mut World, wish: &Wish, body: &[u8], exponent: u8) -> Response {
    let chunks: Vec<_> = body.chunks(16 << exponent).collect();
    for (index, chunk) in chunks.iter().enumerate() {
        let block = block(index as u32, index + 1 < chunks.len(), exponent);
        let response = world.ask(&wish.clone().payload(chunk).block(option::BLOCK1, block));
        if !block.more {
            return response;
        }
        assert_eq!(response.code, Code::CONTINUE);
        assert_eq!(block_of(&response, option::BLOCK1), Some(block));
    }
    panic!("there is no body")
}

#[test]
fn a_body_in_blocks_is_one_event() {
    let mut world = World::new();
    let body: Vec<u8> = (0..1_000).map(|index| index as u8).collect();
    let wish = Wish::new(Code::PUT, "/a").uint(option::CONTENT_FORMAT, 60);
    let response = upload(&mut world, &wish, &body, 2);
    assert_eq!(response.code, Code::CREATED);
    assert_eq!(block_of(&response, option::BLOCK1), Some(block(15, false, 2)));
    assert_eq!(world.published.len(), 1);
    assert_eq!(world.published[0].1.publication.payload, body);
    let one = world.ask(&post("/a", "x").block(option::BLOCK1, block(0, false, 6)));
    assert_eq!((one.code, block_of(&one, option::BLOCK1)), (Code::CHANGED, Some(block(0, false, 6))));
}

#[test]
fn bodies_of_different_requests_do_not_mix() {
    let mut world = World::new();
    let part = |path: &str, tag: &[u8], number, more, payload: &[u8]| {
        post(path, "")
            .payload(payload)
            .with(option::REQUEST_TAG, tag)
            .block(option::BLOCK1, block(number, more, 0))
    };
    for (path, tag, port, byte) in
        [("/a", &b"1"[..], 1, b'a'), ("/a", b"2", 1, b'b'), ("/b", b"1", 1, b'c'), ("/a", b"1", 2, b'd')]
    {
        assert_eq!(world.ask_from(port, &part(path, tag, 0, true, &[byte; 16])).code, Code::CONTINUE);
    }
    assert_eq!(world.ask_from(1, &part("/a", b"2", 1, false, b"!")).code, Code::CHANGED);
    assert_eq!(world.ask_from(2, &part("/a", b"1", 1, false, b"!")).code, Code::CHANGED);
    let payloads: Vec<_> =
        world.published.iter().map(|(_, publish)| publish.publication.payload[0]).collect();
    assert_eq!(payloads, *b"bd");
}

#[test]
fn holes_sizes_and_reserved_blocks_are_refused() {
    let mut world = World::with(|config| config.payload_bytes = 100);
    let part = |number, more, exponent, payload: &[u8]| {
        post("/a", "").payload(payload).block(option::BLOCK1, block(number, more, exponent))
    };
    assert_eq!(world.ask(&part(1, true, 0, &[0; 16])).code, Code::REQUEST_ENTITY_INCOMPLETE);
    assert_eq!(world.ask(&part(0, true, 7, &[0; 16])).code, Code::BAD_REQUEST);
    assert_eq!(world.ask(&part(0, true, 0, &[0; 15])).code, Code::BAD_REQUEST);
    let large = world.ask(&part(0, true, 6, &[0; 1_024]));
    assert_eq!((large.code, uint(&large, option::SIZE1)), (Code::REQUEST_ENTITY_TOO_LARGE, Some(100)));
    let announced = world.ask(&part(0, true, 0, &[0; 16]).uint(option::SIZE1, 101));
    assert_eq!(announced.code, Code::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(world.ask(&part(Block::NUMBER_MAX, false, 6, &[0; 1])).code, Code::REQUEST_ENTITY_TOO_LARGE);
    for number in 0..6 {
        assert_eq!(world.ask(&part(number, true, 0, &[0; 16])).code, Code::CONTINUE);
    }
    assert_eq!(world.ask(&part(6, true, 0, &[0; 16])).code, Code::REQUEST_ENTITY_TOO_LARGE);
    assert!(world.published.is_empty());
    assert_eq!(world.ask(&get("/a").block(option::BLOCK2, block(0, false, 7))).code, Code::BAD_REQUEST);
}

#[test]
fn a_last_value_is_read_at_random_block_by_block() {
    let mut world = World::new();
    let body: Vec<u8> = (0..2_000).map(|index| (index / 7) as u8).collect();
    upload(&mut world, &Wish::new(Code::PUT, "/a"), &body, 6);
    let first = world.ask(&get("/a"));
    assert_eq!(block_of(&first, option::BLOCK2), Some(block(0, true, 6)));
    assert_eq!(uint(&first, option::SIZE2), Some(2_000));
    for number in [7, 3, 30] {
        let part = world.ask(&get("/a").block(option::BLOCK2, block(number, false, 2)));
        assert_eq!(block_of(&part, option::BLOCK2), Some(block(number, number < 31, 2)));
        let start = number as usize * 64;
        assert_eq!(part.payload, body[start..start + 64]);
        assert_eq!(etag_of(&part), etag_of(&first));
    }
    let past = world.ask(&get("/a").block(option::BLOCK2, block(32, false, 2)));
    assert_eq!(past.code, Code::BAD_REQUEST);
    let far = world.ask(&get("/a").block(option::BLOCK2, block(Block::NUMBER_MAX, false, 6)));
    assert_eq!(far.code, Code::BAD_REQUEST);
}

#[test]
fn blocks_are_as_small_as_there_is_room_for() {
    let mut world = World::new();
    world.ask(&put("/a", &"x".repeat(500)));
    world.room = 100;
    let part = world.ask(&get("/a").block(option::BLOCK2, block(1, false, 4)));
    assert_eq!(block_of(&part, option::BLOCK2), Some(block(4, true, 2)), "the same place in smaller blocks");
    assert_eq!(part.payload.len(), 64);
    world.room = 3;
    assert_eq!(world.ask(&get("/a")).payload.len(), 500, "whoever sends it knows what to do");
}
