//! How a request wants to be answered.

use super::{Asker, Binding, Output};
use crate::coap::Response;
use crate::coap::codec::{Block, Code, option};

/// What an answer must know of its request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    /// Pairs it.
    pub(super) ask: u32,
    /// Bytes of payload that it may have.
    pub(super) room: u32,
    /// The last block of the request's body, if it came in blocks (RFC 7959 §2.3).
    pub(super) block1: Option<Block>,
    /// The classes of codes that the client does not want to hear of (RFC 7967 §2.1), by bit.
    pub(super) quiet: u8,
}

impl Reply {
    pub(super) const fn new(asker: Asker) -> Self {
        Self { ask: asker.ask, room: asker.room, block1: None, quiet: 0 }
    }

    /// Whether the client does not want to hear of such a code. Bit 2 stands for 2.xx, 8 for 4.xx, 16 for 5.xx.
    const fn is_quiet(&self, code: Code) -> bool {
        matches!(code.class(), 2 | 4 | 5) && self.quiet & (1 << (code.class() - 1)) != 0
    }
}

impl Binding {
    /// Answers a request.
    pub(super) fn respond(&mut self, reply: Reply, mut response: Response) {
        if let Some(block) = reply.block1
            && !response.options.as_options().has(option::BLOCK1)
        {
            response.options.insert(option::BLOCK1, block.value().as_bytes());
        }
        let response = (!reply.is_quiet(response.code)).then_some(response);
        self.outputs.push_back(Output::Respond { ask: reply.ask, response });
    }
}
