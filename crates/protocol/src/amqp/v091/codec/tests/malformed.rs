//! What is malformed is refused, by the code that says how, and never waited for.

use super::*;
use proptest::prelude::*;

#[test]
fn frames_that_are_none_are_refused_at_once() {
    let whole = [8, 0, 0, 0, 0, 0, 0, 206];
    assert!(frame(&whole, FRAME_MIN).unwrap().is_some());
    for end in 0..whole.len() {
        assert_eq!(frame(&whole[..end], FRAME_MIN), Ok(None), "{end} bytes");
    }
    for (bytes, problem) in [
        (&[9][..], "kind"),
        (&[1, 0, 0, 0xff, 0xff, 0xff, 0xff], "larger"),
        (&[3, 0, 1, 0, 0, 0x0f, 0xf9], "larger"),
        (&[8, 0, 0, 0, 0, 0, 0, 205], "end"),
    ] {
        let error = frame(bytes, FRAME_MIN).unwrap_err();
        assert_eq!(error.code, ReplyCode::FRAME_ERROR);
        assert!(error.problem.contains(problem), "{error}");
    }
}

#[test]
fn tables_ten_thousand_deep_are_refused() {
    for kind in [b'F', b'A'] {
        let mut bytes = Vec::new();
        for _ in 0..10_000 {
            let mut outer = if kind == b'F' { vec![1, b'a', kind] } else { vec![kind] };
            outer.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
            outer.extend_from_slice(&bytes);
            bytes = outer;
        }
        if kind == b'A' {
            bytes = [&[1, b'a'][..], &bytes].concat();
        }
        assert_eq!(Table::read(&bytes).unwrap_err().code, ReplyCode::SYNTAX_ERROR);
    }
}

#[test]
fn fields_beyond_the_end_and_unknown_ones_are_refused() {
    for bytes in [
        &[5, b'a'][..],
        &[1, b'a'],
        &[1, b'a', b'?'],
        &[1, b'a', b'S', 0xff, 0xff, 0xff, 0xff],
        &[1, b'a', b'F', 0, 0, 0, 1, 1],
        &[1, 0xff, b'V'],
    ] {
        assert_eq!(Table::read(bytes).unwrap_err().code, ReplyCode::SYNTAX_ERROR, "{bytes:?}");
    }
    for bytes in [&[0x80, 0][..], &[0], &[0, 1], &[0x10, 0], &[0, 0, 0]] {
        assert_eq!(Properties::read(bytes).unwrap_err().code, ReplyCode::SYNTAX_ERROR, "{bytes:?}");
    }
    assert_eq!(Method::read(&[0, 60, 0, 41]).unwrap_err().code, ReplyCode::NOT_IMPLEMENTED);
    assert_eq!(Method::read(&[0, 60, 0]).unwrap_err().code, ReplyCode::SYNTAX_ERROR);
    assert_eq!(Method::read(&[0, 60, 0, 30, 1, 0xff, 0]).unwrap_err().code, ReplyCode::SYNTAX_ERROR);
}

proptest! {
    #[test]
    fn nothing_that_comes_panics_and_what_is_read_is_written_again(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = frame(&bytes, FRAME_MIN);
        let _ = ContentHeader::read(&bytes);
        if let Ok(table) = Table::read(&bytes) {
            let mut again = TableBuf::new();
            table.iter().for_each(|(name, value)| { again.put(name, value); });
            prop_assert_eq!(table.iter().count(), Table::read(again.table().as_bytes()).unwrap().iter().count());
        }
        if let Ok(method) = Method::read(&bytes) {
            let mut again = Vec::new();
            method.write(&mut again);
            prop_assert_eq!(format!("{:?}", Method::read(&again).unwrap()), format!("{method:?}"));
        }
    }
}
