//! Things enrol over CoAP (RFC 9148).

use super::*;
use windrose_event::{EnrolCause, EnrolRefusal, Enrolled};

/// A node with an authority, and a session that is known.
fn world() -> (World, Remote) {
    let mut world = World::with(|config| config.enrolment = true);
    let session = SessionId(7);
    world.binding.handle_session(world.now, session, Claim::default());
    (world, Remote::Session(session))
}

fn answer(world: &mut World, result: Result<Enrolled, EnrolRefusal>) {
    let (lane, tag, _) = world.enrolling.remove(0);
    world.direct(lane, Directive::Enrolled { tag, result: Box::new(result) });
}

#[test]
fn a_request_in_blocks_gets_a_certificate_in_blocks() {
    let (mut world, thing) = world();
    world.room = 64;
    let path = "/.well-known/est/sen";
    let csr: Vec<u8> = (0..100).collect();
    for (number, part) in csr.chunks(64).enumerate() {
        let block = Block { number: number as u32, more: number == 0, exponent: 2 };
        let wish = Wish::new(Code::POST, path).uint(option::CONTENT_FORMAT, 286);
        let mut wish = wish.with(option::BLOCK1, block.value().as_bytes());
        wish.payload = part.to_vec();
        let ask = world.send(thing, &wish);
        if number == 0 {
            assert_eq!(world.answer(ask).code, Code::CONTINUE);
        }
    }
    let EnrolRequest::Certificate { request, renew: false } = &world.enrolling[0].2 else { panic!() };
    assert_eq!(request[..], csr[..]);
    let asked = world.asks;
    answer(&mut world, Ok(Enrolled::Certificate(vec![0x30; 100].into())));
    let first = world.answer(asked);
    assert_eq!((first.code, uint(&first, option::CONTENT_FORMAT)), (Code::CHANGED, Some(281)));
    let mut whole = first.payload.to_vec();
    let mut more = first.options.as_options().get(option::BLOCK2).and_then(Block::parse).unwrap();
    assert!(more.more);
    while more.more {
        let next = Block { number: more.number + 1, more: false, exponent: more.exponent };
        let wish = Wish::new(Code::POST, path).uint(option::CONTENT_FORMAT, 286);
        let ask = world.send(thing, &wish.with(option::BLOCK2, next.value().as_bytes()));
        let part = world.answer(ask);
        whole.extend_from_slice(&part.payload);
        more = part.options.as_options().get(option::BLOCK2).and_then(Block::parse).unwrap();
    }
    assert!(world.enrolling.is_empty(), "it is not signed again");
    assert!(whole.windows(100).any(|part| part == [0x30; 100]));
}

#[test]
fn formats_are_what_is_accepted() {
    let (mut world, thing) = world();
    let ask = world.send(thing, &Wish::new(Code::GET, "/.well-known/est/crts").uint(option::ACCEPT, 287));
    answer(
        &mut world,
        Ok(Enrolled::Authorities(vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")])),
    );
    let told = world.answer(ask);
    assert_eq!((uint(&told, option::CONTENT_FORMAT), &told.payload[..]), (Some(287), &b"one"[..]));
    let ask = world.send(thing, &Wish::new(Code::GET, "/.well-known/est/att"));
    answer(&mut world, Ok(Enrolled::Attributes(Bytes::from_static(b"attributes"))));
    assert_eq!(uint(&world.answer(ask), option::CONTENT_FORMAT), Some(285));
    for (code, path, wanted) in [
        (Code::GET, "/.well-known/est/crts", Code::NOT_ACCEPTABLE),
        (Code::POST, "/.well-known/est/crts", Code::METHOD_NOT_ALLOWED),
        (Code::GET, "/.well-known/est/sen", Code::METHOD_NOT_ALLOWED),
        (Code::POST, "/.well-known/est/skg", Code::NOT_IMPLEMENTED),
    ] {
        let ask = world.send(thing, &Wish::new(code, path).uint(option::ACCEPT, 50));
        assert_eq!(world.answer(ask).code, wanted, "{path}");
    }
    let wish = Wish::new(Code::POST, "/.well-known/est/sen").uint(option::CONTENT_FORMAT, 50).payload("{}");
    let ask = world.send(thing, &wish);
    assert_eq!(world.answer(ask).code, Code::UNSUPPORTED_CONTENT_FORMAT);
}

#[test]
fn who_gets_none_is_told_so() {
    let (mut world, thing) = world();
    for (cause, code) in [
        (EnrolCause::BadRequest, Code::BAD_REQUEST),
        (EnrolCause::NotAllowed, Code::FORBIDDEN),
        (EnrolCause::NoAuthority, Code::NOT_FOUND),
        (EnrolCause::Unavailable, Code::SERVICE_UNAVAILABLE),
    ] {
        let ask = world.send(thing, &Wish::new(Code::POST, "/.well-known/est/sren").payload("x"));
        answer(&mut world, Err(EnrolRefusal { cause, reason: "reason", detail: "detail".into() }));
        let told = world.answer(ask);
        assert_eq!((told.code, &told.payload[..]), (code, &b"reason"[..]));
    }
}

#[test]
fn nobody_enrols_in_the_clear_or_without_an_authority() {
    let (mut world, thing) = world();
    let wish = Wish::new(Code::GET, "/.well-known/est/crts");
    assert_eq!(world.ask(&wish).code, Code::NOT_FOUND);
    let links = Wish::new(Code::GET, "/.well-known/core");
    assert!(!String::from_utf8_lossy(&world.ask(&links).payload).contains("ace.est"));
    let ask = world.send(thing, &links.query("rt=ace.est.sen"));
    let told = world.answer(ask);
    assert_eq!(&told.payload[..], b"</.well-known/est/sen>;rt=\"ace.est.sen\";ct=281");
    let mut without = World::new();
    assert_eq!(without.ask(&wish).code, Code::NOT_FOUND);
}
