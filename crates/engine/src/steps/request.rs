//! Requests: an exchange asks a thing and waits for its one reply.

use crate::engine::Engine;
use crate::io::ShardMessage;
use crate::requests::ReplyAddress;
use std::sync::Arc;
use windrose_event::{Address, ConnectionId, Directive, Event, Now, Outcome, Publish, Tag};

impl Engine {
    /// Publishes a request on the ordinary way of events; the reply finds its way by the address made for it.
    pub(crate) fn request(&mut self, now: Now, connection: ConnectionId, publish: Publish) {
        let Some(identified) = self.identify(connection) else { return };
        let Some(inspected) = self.inspect_request(now, identified, publish) else { return };
        let routed = self.route(now, inspected);
        self.deliver(now, routed);
    }

    /// Remembers who waits for a reply. A connection that has too many waiting forgets its oldest: its caller, who owns
    /// the time limit, has long given up.
    pub(crate) fn await_reply(&mut self, id: ConnectionId, tag: Tag, token: u128) {
        let most = usize::from(self.limits().receive_maximum).max(1);
        let Some(connection) = self.connections.get_mut(id) else { return };
        let stale = connection.requests.iter().position(|(_, earlier)| *earlier == tag);
        let stale = stale.or((connection.requests.len() >= most).then_some(0));
        if let Some(stale) = stale {
            let (token, _) = connection.requests.remove(stale);
            self.requests.take(token);
        }
        connection.requests.push((token, tag));
        self.requests.insert(token, id, tag);
    }

    /// Nobody waits for that reply any more. `false`: nobody did.
    pub(crate) fn forget_request(&mut self, token: u128) -> Option<(ConnectionId, Tag)> {
        let (id, tag) = self.requests.take(token)?;
        if let Some(connection) = self.connections.get_mut(id) {
            connection.requests.retain(|(waiting, _)| *waiting != token);
        }
        Some((id, tag))
    }

    /// A reply came. `false`: nobody waits for it.
    pub(crate) fn reply(&mut self, now: Now, address: ReplyAddress, event: Arc<Event>) -> bool {
        if address.shard == self.shards.here() {
            if self.reply_to_consumer(now, address.token, &event) {
                return true;
            }
            let Some((connection, tag)) = self.forget_request(address.token) else { return false };
            self.direct(connection, Directive::Reply { tag, event });
            return true;
        }
        // Whether somebody waits there is known there only.
        let exists = self.shards.others().any(|shard| shard == address.shard);
        if exists {
            let message = ShardMessage::Reply { address: event.address.clone(), event };
            self.tell(address.shard, message);
        }
        exists
    }

    /// Whoever was asked will not answer: the exchange that waits is told why. One that asked otherwise than by a request
    /// waits for no answer in particular.
    pub(crate) fn decline(&mut self, address: Address, outcome: Outcome) {
        let Some(reply) = ReplyAddress::parse(&address) else { return };
        if reply.shard != self.shards.here() {
            if self.shards.others().any(|shard| shard == reply.shard) {
                self.tell(reply.shard, ShardMessage::Decline { address, outcome });
            }
            return;
        }
        // To accept without an answer is no answer.
        if !outcome.is_accepted()
            && let Some((connection, tag)) = self.forget_request(reply.token)
        {
            self.direct(connection, Directive::Settle { tag, outcome, heard: true });
        }
    }

    /// A reply came to another shard, for an exchange of this one.
    pub(crate) fn reply_elsewhere(&mut self, now: Now, address: &Address, event: Arc<Event>) {
        let here = self.shards.here();
        if let Some(address) = ReplyAddress::parse(address).filter(|address| address.shard == here) {
            self.reply(now, address, event);
        }
    }
}
