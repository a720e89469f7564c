//! One broker of a pool, as one shard speaks to it: events as publications of one session.

use super::client::Replied;
use super::link::{Link, Owner};
use super::machine::{Machine, Said};
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;
use windrose_engine::Reply;
use windrose_event::{Event, Moment, Outcome};

/// The most events whose answers are waited for; of more the oldest are not.
const MOST_ASKED: usize = 16_384;

/// A broker, and the publications that are at it.
pub(super) struct Member<M: Machine> {
    link: Rc<Link<M>>,
    /// Whom the outcomes are for.
    flights: RefCell<HashMap<u64, oneshot::Sender<Outcome>>>,
    /// Events that want an answer.
    asked: RefCell<Asked>,
}

/// Events that want an answer, and who is told of it.
#[derive(Default)]
struct Asked {
    events: HashMap<u64, (Arc<Event>, Replied)>,
    /// Oldest first; those that were answered are here still.
    order: VecDeque<u64>,
}

impl Asked {
    fn insert(&mut self, token: u64, event: &Arc<Event>, replied: Replied) {
        while self.order.len() >= MOST_ASKED
            && let Some(oldest) = self.order.pop_front()
        {
            self.events.remove(&oldest);
        }
        self.events.insert(token, (Arc::clone(event), replied));
        self.order.push_back(token);
    }
}

impl<M: Machine> Member<M> {
    /// A member whose session is connected from now on, until this is dropped.
    pub(super) fn new(link: impl FnOnce(Weak<dyn Owner>) -> Rc<Link<M>>) -> Rc<Self> {
        Rc::new_cyclic(|member: &Weak<Self>| Self {
            link: link(member.clone() as Weak<dyn Owner>),
            flights: RefCell::default(),
            asked: RefCell::default(),
        })
    }

    /// Publishes an event. The outcome comes with the broker's acknowledgement, or when there will be none.
    ///
    /// A member that is not connected is called at once: if it cannot be reached, the event is in no doubt and another
    /// member may have it. An event of exactly once that an MQTT broker has not acknowledged when the connection ends is
    /// kept for the next one, because only this broker can tell whether it has it.
    pub(super) async fn send(
        &self,
        token: u64,
        event: Arc<Event>,
        limit: Duration,
        replied: Option<Replied>,
    ) -> Outcome {
        if let Some(replied) = replied {
            self.asked.borrow_mut().insert(token, &event, replied);
        }
        let (answer, mut answered) = oneshot::channel();
        self.flights.borrow_mut().insert(token, answer);
        let begun = self.link.with(|client, now| {
            client.publish(now, token, event);
            now.moment
        });
        self.link.call();
        let first = limit.min(self.link.timeout());
        for wait in [first, limit.saturating_sub(first)] {
            if let Ok(outcome) = timeout(wait, &mut answered).await {
                return outcome.unwrap_or(Outcome::unavailable());
            }
            self.look_after(begun);
        }
        self.flights.borrow_mut().remove(&token);
        self.link.with(|client, _| client.abandon(token));
        Outcome::TimedOut
    }

    /// An answer is overdue: if nothing at all was heard since it was asked for, another connection may be better.
    fn look_after(&self, begun: Moment) {
        let silent = self.link.with(|client, now| {
            let silent = client.is_open() && client.last_heard() < begun;
            if silent {
                client.give_up(now);
            }
            silent
        });
        if silent {
            self.link.warn(format_args!("no answer within {} ms", self.link.timeout().as_millis()));
        }
    }

    fn replied(&self, token: u64, reply: Reply) {
        let asked = self.asked.borrow_mut().events.remove(&token);
        if let Some((event, replied)) = asked {
            replied(&event, reply);
        }
    }
}

impl<M: Machine> Owner for Member<M> {
    fn hear(&self, said: Said) {
        match said {
            Said::Settled { token, outcome } => {
                if !outcome.is_accepted() {
                    self.asked.borrow_mut().events.remove(&token);
                }
                let answer = self.flights.borrow_mut().remove(&token);
                if let Some(answer) = answer {
                    // Whoever waited may have run out of time.
                    let _ = answer.send(outcome);
                }
            }
            Said::Replied { token, reply } => self.replied(token, reply),
            // It subscribes to nothing: whatever comes all the same is for nobody.
            Said::Message(message) => {
                self.link.with(|client, now| client.settle(now, message.tag, &Outcome::Accepted));
            }
            Said::Opened { .. }
            | Said::Sent { .. }
            | Said::Released { .. }
            | Said::Subscribed { .. }
            | Said::Close { .. } => {}
        }
    }
}

impl<M: Machine> Drop for Member<M> {
    fn drop(&mut self) {
        self.link.end();
    }
}
