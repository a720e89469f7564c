//! What a service answers to a request of HTTP/1.1.

use super::Script;
use crate::signature::Signature;
use windrose_protocol::http::{Ended, MAX_BODY, Response, ResponseReader};

/// The answer is the same however it is cut, and of a success only as much is kept as is wanted.
pub fn run(data: &[u8]) -> u64 {
    let mut signature = Signature::new();
    let mut script = Script(data);
    let cut = usize::from(script.byte().unwrap_or_default() % 40) + 1;
    let rest = script.0;
    let whole = read(rest.len().max(1), rest, true);
    let pieces = read(cut, rest, true);
    let frugal = read(cut, rest, false);
    match (whole, pieces, frugal) {
        (Ok(whole), Ok(pieces), Ok(frugal)) => {
            assert_eq!((whole.status, &whole.headers), (pieces.status, &pieces.headers));
            assert_eq!(whole.body, pieces.body);
            assert_eq!(whole.status, frugal.status);
            if whole.status.is_success() {
                assert!(frugal.headers.is_empty() && frugal.body.is_none_or(|body| body.is_empty()));
            } else {
                assert_eq!((&whole.headers, &whole.body), (&frugal.headers, &frugal.body));
            }
            let length = whole.body.as_ref().map_or(MAX_BODY, |body| body.len());
            assert!(length <= rest.len(), "nothing is made up");
            signature.add((whole.status.as_u16() / 100, whole.reusable, whole.headers.len(), length.min(8)));
        }
        (Err(whole), Err(_), Err(_)) => signature.add(whole),
        other => panic!("{other:?} of {rest:02x?} in pieces of {cut}"),
    }
    signature.finish()
}

/// What becomes of an answer in pieces of that size, and then the end.
fn read(cut: usize, bytes: &[u8], keep: bool) -> Result<Response, String> {
    let mut reader = ResponseReader::default();
    reader.begin(keep);
    for piece in bytes.chunks(cut) {
        match reader.handle_bytes(piece) {
            Ok(None) => {}
            Ok(Some(response)) => return Ok(response),
            Err(violation) => return Err(violation.to_string()),
        }
    }
    reader.handle_eof().map_err(|ended| match ended {
        Ended::Before => "before".to_owned(),
        Ended::Amid => "amid".to_owned(),
    })
}
