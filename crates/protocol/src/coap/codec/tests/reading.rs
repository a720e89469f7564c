//! What is read of bytes, by hand-made examples.

use crate::coap::codec::*;

fn read(bytes: &[u8]) -> Result<Message<'_>, MessageError> {
    Message::parse(bytes, 32)
}

fn problem(bytes: &[u8]) -> Malformed {
    match read(bytes) {
        Err(MessageError::Malformed(_, problem)) => problem,
        other => panic!("not malformed: {other:?}"),
    }
}

#[test]
fn a_request_is_read_in_all_its_parts() {
    let bytes = b"\x42\x02\x12\x34tk\xb1a\x02bc\x10\x47q=value\xffhello";
    let message = read(bytes).unwrap();
    assert_eq!((message.kind, message.code, message.id), (Kind::Con, Code::POST, 0x1234));
    assert_eq!((message.token, message.payload), (&b"tk"[..], &b"hello"[..]));
    let options: Vec<_> = message.options.iter().map(|option| (option.number, option.value)).collect();
    assert_eq!(options, [(11, &b"a"[..]), (11, b"bc"), (12, b""), (16, b"q=value")]);
    assert_eq!(message.options.values(option::URI_PATH).collect::<Vec<_>>(), [&b"a"[..], b"bc"]);
    assert_eq!(message.options.uint(option::CONTENT_FORMAT), Some(0));
    let mut again = Vec::new();
    message.encode(&mut again);
    assert_eq!(again, bytes);
}

#[test]
fn format_errors_are_told_apart() {
    assert_eq!(read(b"\x40\x01\x00"), Err(MessageError::TooShort));
    assert_eq!(read(b"\x80\x01\x00\x01"), Err(MessageError::Version));
    assert_eq!(problem(b"\x41\x01\x00\x01"), Malformed::Truncated, "token");
    assert_eq!(problem(b"\x4f\x01\x00\x01"), Malformed::ReservedTokenLength);
    assert_eq!(problem(b"\x4d\x01\x00\x01\x20"), Malformed::TokenTooLong);
    assert_eq!(problem(b"\x4e\x01\x00\x01\x20"), Malformed::Truncated, "extended token length");
    assert_eq!(problem(b"\x40\x01\x00\x01\xb2a"), Malformed::Truncated, "option value");
    assert_eq!(problem(b"\x40\x01\x00\x01\xd0"), Malformed::Truncated, "extended delta");
    assert_eq!(problem(b"\x40\x01\x00\x01\xf1a"), Malformed::ReservedDelta);
    assert_eq!(problem(b"\x40\x01\x00\x01\x1fa"), Malformed::ReservedLength);
    assert_eq!(problem(b"\x40\x01\x00\x01\xff"), Malformed::EmptyPayload);
    assert_eq!(problem(b"\x40\x01\x00\x01\xe0\xfe\xf2\x10"), Malformed::NumberTooLarge);
    assert_eq!(problem(b"\x41\x00\x00\x01a"), Malformed::NotEmpty);
    assert_eq!(problem(b"\x40\x00\x00\x01\xffa"), Malformed::NotEmpty);
    let Err(MessageError::Malformed(header, _)) = read(b"\x50\x45\x00\x07\xff") else { panic!("malformed") };
    assert_eq!(header, Header { kind: Kind::Non, code: Code::CONTENT, id: 7 });
}

#[test]
fn tokens_up_to_the_limit_are_written_and_read() {
    for length in [0, 8, 9, 12, 13, 31, 32] {
        let token = vec![7; length];
        let mut bytes = Vec::new();
        Message { token: &token, payload: b"p", ..Message::empty(Kind::Con, 1) }.encode(&mut bytes);
        bytes[1] = Code::GET.0;
        let message = read(&bytes).unwrap();
        assert_eq!((message.token, message.payload), (&token[..], &b"p"[..]));
    }
    let mut bytes = Vec::new();
    Message { code: Code::GET, token: &[7; 300], ..Message::empty(Kind::Con, 1) }.encode(&mut bytes);
    assert_eq!(problem(&bytes), Malformed::TokenTooLong);
    assert_eq!(Message::parse(&bytes, 300).unwrap().token, [7; 300]);
}

/// RFC 7252 §5.4.1, §5.4.3, §5.4.5.
#[test]
fn critical_options_are_unknown_by_number_by_length_and_when_one_too_many() {
    let unknown = |options: &[(u16, &'static [u8])]| {
        options.iter().copied().collect::<OptionsBuf>().as_options().unknown_critical()
    };
    assert_eq!(unknown(&[(option::URI_PATH, b"a"), (option::URI_PATH, b"b")]), None);
    assert_eq!(unknown(&[(2_049, b"")]), Some(2_049));
    assert_eq!(unknown(&[(2_048, b"")]), None, "elective");
    assert_eq!(unknown(&[(option::OSCORE, b"")]), Some(9));
    assert_eq!(unknown(&[(option::URI_HOST, b"")]), Some(3), "too short");
    assert_eq!(unknown(&[(option::URI_PORT, b"abc")]), Some(7), "too long");
    assert_eq!(unknown(&[(option::ACCEPT, b"a"), (option::ACCEPT, b"b")]), Some(17), "one too many");
    assert_eq!(unknown(&[(option::ETAG, b"123456789")]), None, "elective: ignored");
    let options: OptionsBuf = [(option::ETAG, &b"123456789"[..]), (option::ETAG, b"e")].into_iter().collect();
    assert_eq!(options.as_options().get(option::ETAG), Some(&b"e"[..]));
}

#[test]
fn options_are_sent_in_order_however_they_were_given() {
    let mut options = OptionsBuf::default();
    options.insert_uint(option::MAX_AGE, 60);
    options.insert(option::ETAG, b"tag");
    options.insert_uint(option::SIZE2, 70_000);
    options.insert_uint(option::CONTENT_FORMAT, 50);
    options.insert(option::ETAG, b"second");
    let numbers = |options: &OptionsBuf| options.as_options().iter().map(|o| o.number).collect::<Vec<_>>();
    assert_eq!(numbers(&options), [4, 4, 12, 14, 28]);
    assert_eq!(options.as_options().values(4).collect::<Vec<_>>(), [&b"tag"[..], b"second"]);
    assert_eq!(options.as_options().uint(28), Some(70_000));
    options.replace(4, b"third");
    options.remove(14);
    options.insert_uint(option::NO_RESPONSE, 2);
    assert_eq!(numbers(&options), [4, 12, 28, 258]);
    assert_eq!(options.as_options().get(4), Some(&b"third"[..]));
}

#[test]
fn blocks_and_numbers_are_written_as_short_as_they_are() {
    for (block, bytes) in [
        (Block { number: 0, more: false, exponent: 0 }, &b""[..]),
        (Block { number: 1, more: true, exponent: 6 }, b"\x1e"),
        (Block { number: Block::NUMBER_MAX, more: true, exponent: 6 }, b"\xff\xff\xfe"),
    ] {
        assert_eq!(block.value().as_bytes(), bytes);
        assert_eq!(Block::parse(bytes), Some(block));
    }
    assert_eq!(Block::parse(b"\x00\x00\x00\x1e"), None);
    assert_eq!(Block { number: 3, more: false, exponent: 2 }.offset(), 192);
    assert_eq!(read_uint(b"\x00\x01\x00"), Some(256));
    assert_eq!(read_uint(b"\x00\x00\x00\x01\x00"), None);
}

#[test]
fn codes_read_as_the_registry_writes_them() {
    assert_eq!(Code::NOT_FOUND.to_string(), "4.04");
    assert_eq!(Code::CONTINUE.to_string(), "2.31");
    assert_eq!(format!("{:?}", Code::TOO_MANY_REQUESTS), "4.29 Too Many Requests");
    assert!(Code::IPATCH.is_request() && !Code::EMPTY.is_request());
    assert!(Code::CONTENT.is_response() && !Code::new(1, 1).is_response() && !Code::CSM.is_response());
}
