//! Requests: exchanges that wait for a thing's reply, each at an address that only the asked one learns.

use crate::io::ShardId;
use rustc_hash::FxHashMap;
use windrose_event::{Address, ConnectionId, Tag};

const PREFIX: &str = "$reply/";

/// A reply address, taken apart: `$reply/SHARD-TOKEN`. Whoever knows it may answer, so the token cannot be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReplyAddress {
    pub(crate) shard: ShardId,
    pub(crate) token: u128,
}

impl ReplyAddress {
    /// Whether a path is meant as one; not whether it is well made.
    pub(crate) fn is_meant(address: &Address) -> bool {
        address.as_bytes().starts_with(PREFIX.as_bytes())
    }

    /// Takes an address apart; `None` if it is no reply address.
    pub(crate) fn parse(address: &Address) -> Option<Self> {
        let (shard, token) = address.as_str().strip_prefix(PREFIX)?.split_once('-')?;
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if token.len() != 32 || !plain(token) || !plain(shard) {
            return None;
        }
        let token = u128::from_str_radix(token, 16).ok()?;
        Some(Self { shard: ShardId(shard.parse().ok()?), token })
    }

    /// The address as text.
    pub(crate) fn to_address(self) -> Option<Address> {
        Address::new(format!("{PREFIX}{}-{:032x}", self.shard.0, self.token)).ok()
    }
}

/// This shard's requests that wait, by token.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    waiting: FxHashMap<u128, (ConnectionId, Tag)>,
}

impl Requests {
    /// A request waits.
    pub(crate) fn insert(&mut self, token: u128, connection: ConnectionId, tag: Tag) {
        self.waiting.insert(token, (connection, tag));
    }

    /// Takes out who waits for the reply with that token.
    pub(crate) fn take(&mut self, token: u128) -> Option<(ConnectionId, Tag)> {
        self.waiting.remove(&token)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_reply_address_reads_as_it_was_written_and_others_do_not() {
        let address = ReplyAddress { shard: ShardId(3), token: 0xabc };
        assert_eq!(ReplyAddress::parse(&address.to_address().unwrap()), Some(address));
        for bad in [
            "$reply/3",
            "$reply/3-abc",
            "$reply/x-00000000000000000000000000000abc",
            "a/b",
            "$reply/+3-00000000000000000000000000000abc",
            "$reply/99999-00000000000000000000000000000abc",
        ] {
            let parsed = Address::new(bad).ok().and_then(|address| ReplyAddress::parse(&address));
            assert_eq!(parsed, None, "{bad}");
        }
    }
}
