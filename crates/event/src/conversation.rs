//! Conversations: proof of identity by more than one message, as SASL (RFC 4422) and enhanced authentication (MQTT 5 §4.12)
//! have it.

use crate::{Identity, Refusal, Secret};
use bytes::Bytes;

/// How many challenges a peer is sent in one conversation at most.
pub const MOST_CHALLENGES: usize = 8;

/// One peer's conversation with the registry, by one method: what both have said so far is its state.
///
/// There is at most one for each connection. It is dropped when the connection ends or the peer was sent
/// [`MOST_CHALLENGES`], so what it holds is bounded by what it makes of that many responses.
pub trait Conversation: Send {
    /// Takes what the peer says: first what came with its claim, then its answer to each challenge. However long it takes:
    /// called off the shards' threads.
    fn step(&mut self, response: Option<&Secret>) -> Step;
}

/// What a conversation comes to with one more word of the peer's.
#[derive(Debug)]
pub enum Step {
    /// The peer is to answer this.
    Challenge(Option<Bytes>),
    /// The peer is known. The data is for it: a method may prove the server to the client, too.
    Known {
        /// Who it is.
        identity: Identity,
        /// What the peer is told besides.
        data: Option<Bytes>,
    },
    /// The peer is not let in.
    Refused(Refusal),
}
