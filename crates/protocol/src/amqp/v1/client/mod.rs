//! The client's side of AMQP 1.0: not there yet, it says so to whoever connects.
use crate::Transmit;
use crate::amqp::client::{ClientConfig, ClientOutput};
use std::collections::VecDeque;
use std::sync::Arc;
use windrose_event::{Event, Filter, Moment, Now, Outcome, Tag};

/// One session with a server.
pub struct Client {
    outputs: VecDeque<ClientOutput>,
    transmit: Transmit,
}
#[allow(unused_variables)]
impl Client {
    pub(crate) fn new(config: Arc<ClientConfig>) -> Self {
        Self { outputs: VecDeque::new(), transmit: Transmit::default() }
    }
    pub(crate) fn handle_connected(&mut self, now: Now) {
        self.leave(Some("the server does not speak AMQP 0-9-1".into()));
    }
    pub(crate) fn handle_bytes(&mut self, now: Now, bytes: &[u8]) {}
    pub(crate) fn handle_eof(&mut self, now: Now) {}
    pub(crate) fn handle_timeout(&mut self, now: Now) {}
    pub(crate) fn next_timeout(&self) -> Option<Moment> {
        None
    }
    pub(crate) fn poll_output(&mut self) -> Option<ClientOutput> {
        self.outputs.pop_front()
    }
    pub(crate) fn put_all(&mut self, outputs: Vec<ClientOutput>) {
        self.outputs.extend(outputs);
    }
    pub(crate) fn take_waiting(&mut self) -> Vec<(u64, Arc<Event>)> {
        Vec::new()
    }
    pub(crate) fn transmit(&mut self) -> &mut Transmit {
        &mut self.transmit
    }
    pub(crate) fn publish(&mut self, now: Now, token: u64, event: Arc<Event>) {
        self.outputs.push_back(ClientOutput::Settled { token, outcome: Outcome::unavailable() });
    }
    pub(crate) fn abandon(&mut self, token: u64) {}
    pub(crate) fn subscribe(&mut self, now: Now, filter: &Filter, identifier: u32) -> bool {
        false
    }
    pub(crate) fn unsubscribe(&mut self, now: Now, filter: &Filter) -> bool {
        false
    }
    pub(crate) fn settle(&mut self, now: Now, tag: Tag, outcome: &Outcome) {}
    pub(crate) fn set_paused(&mut self, now: Now, paused: bool) {}
    pub(crate) fn disconnect(&mut self, now: Now) {}
    pub(crate) fn leave(&mut self, problem: Option<String>) {
        self.outputs.push_back(ClientOutput::Close { problem });
    }
    pub(crate) fn is_open(&self) -> bool {
        false
    }
    pub(crate) fn is_connected(&self) -> bool {
        true
    }
    pub(crate) fn last_heard(&self) -> Moment {
        Moment::default()
    }
}
