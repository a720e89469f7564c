//! The header of the PROXY protocol.

use crate::signature::Signature;
use windrose_protocol::proxy;

/// A header that is there is within the bytes, and no part of it is one.
pub fn run(data: &[u8]) -> u64 {
    let mut signature = Signature::new();
    match proxy::read(data) {
        Ok(Some(header)) => {
            assert!((1..=data.len()).contains(&header.length), "{header:?} of {} bytes", data.len());
            for end in [0, 1, header.length / 2, header.length - 1] {
                let part = proxy::read(&data[..end]);
                assert_eq!(part, Ok(None), "{end} bytes of {header:?}");
            }
            signature.add((header.source.is_some(), header.tls.is_some()));
        }
        Ok(None) => signature.add(data.len().min(16)),
        Err(error) => signature.add(error.0),
    }
    signature.finish()
}
