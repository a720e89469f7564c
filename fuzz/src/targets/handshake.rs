//! The request that opens a WebSocket.

use crate::signature::Signature;
use windrose_protocol::websocket::{Carried, head};

/// A request that is there is within the bytes, and each has an answer.
pub fn run(data: &[u8]) -> u64 {
    let mut signature = Signature::new();
    let refused = match head(data) {
        Ok(None) => return 1,
        Err(error) => error.refusal(),
        Ok(Some(head)) => {
            assert!((1..=data.len()).contains(&head.len()), "{head:?} of {} bytes", data.len());
            signature.add((head.path().len().min(4), head.wants_websocket()));
            match head.into_answer(Carried::MQTT) {
                Ok(_) => return signature.finish(),
                Err(refused) => refused,
            }
        }
    };
    assert!(refused.response().starts_with(b"HTTP/1.1 "), "{refused:?}");
    signature.add(refused.to_string());
    signature.finish()
}
