//! What the sessions with brokers have in common, whatever they speak.

use std::sync::Arc;
use windrose_engine::Reply;
use windrose_event::{Event, Filter, Moment, Now, Outcome, Publication, Tag};
use windrose_protocol::Transmit;

/// The client's side of one session, sans-IO: see [`windrose_protocol::mqtt::Client`] for what each word means.
pub(super) trait Machine: 'static {
    fn handle_connected(&mut self, now: Now);
    fn handle_bytes(&mut self, now: Now, bytes: &[u8]);
    fn handle_eof(&mut self, now: Now);
    fn handle_timeout(&mut self, now: Now);
    fn next_timeout(&self) -> Option<Moment>;
    fn poll_output(&mut self) -> Option<Said>;
    fn transmit(&mut self) -> &mut Transmit;
    /// Whether no more is to be read until something is settled.
    fn is_full(&self) -> bool;
    fn is_open(&self) -> bool;
    fn last_heard(&self) -> Moment;
    fn set_paused(&mut self, now: Now, paused: bool);
    fn give_up(&mut self, now: Now);
    fn disconnect(&mut self, now: Now);
    fn publish(&mut self, now: Now, token: u64, event: Arc<Event>);
    fn abandon(&mut self, token: u64);
    fn settle(&mut self, now: Now, tag: Tag, outcome: &Outcome);
    fn subscribe(&mut self, now: Now, filter: &Filter, identifier: u32) -> bool;
    fn unsubscribe(&mut self, now: Now, filter: &Filter) -> bool;
}

/// What a session says to its owner.
#[derive(Debug)]
pub(super) enum Said {
    /// It is open.
    Opened {
        /// Whether the broker knows still what was subscribed to.
        resumed: bool,
    },
    /// A publication is among what waits to be written, and nothing more will be heard of it.
    Sent { token: u64 },
    /// What became of a publication.
    Settled { token: u64, outcome: Outcome },
    /// Somebody answered to a publication.
    Replied { token: u64, reply: Reply },
    /// A message.
    Message(Message),
    /// A message of exactly once is over.
    Released { tag: Tag },
    /// The answer to `subscribe`.
    Subscribed { identifier: u32, granted: bool },
    /// Close the transport.
    Close { problem: Option<String> },
}

/// A message from a broker.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) tag: Tag,
    pub(super) publication: Publication,
    /// Whether it may have come before.
    pub(super) again: bool,
    /// What it came for.
    pub(super) because: Because,
}

/// What a message came for.
#[derive(Debug)]
pub(super) enum Because {
    /// Subscriptions of these numbers, if the broker tells them.
    Subscriptions(smallvec::SmallVec<[u32; 2]>),
    /// A queue that the document has consumed from.
    Queue,
}
