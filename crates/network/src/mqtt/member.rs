//! One broker of a pool, as one shard speaks to it: events as publications of one session.

use super::link::{Link, Owner};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;
use windrose_event::{Event, Moment, Outcome};
use windrose_protocol::mqtt::ClientOutput;

/// A broker, and the publications that are at it.
pub(super) struct BrokerMember {
    link: Rc<Link>,
    /// Whom the answers are for.
    flights: RefCell<HashMap<u64, oneshot::Sender<Outcome>>>,
}

impl BrokerMember {
    /// A member whose session is connected from now on, until this is dropped.
    pub(super) fn new(link: impl FnOnce(Weak<dyn Owner>) -> Rc<Link>) -> Rc<Self> {
        Rc::new_cyclic(|member: &Weak<Self>| Self {
            link: link(member.clone() as Weak<dyn Owner>),
            flights: RefCell::default(),
        })
    }

    /// Publishes an event. The answer comes with the broker's acknowledgement, or when there will be none.
    ///
    /// A member that is not connected is called at once: if it cannot be reached, the event is in no doubt and another
    /// member may have it. An event of exactly once that the broker has not acknowledged when the connection ends is
    /// kept for the next one, because only this broker can tell whether it has it.
    pub(super) async fn send(&self, token: u64, event: &Arc<Event>, limit: Duration) -> Outcome {
        let (answer, mut answered) = oneshot::channel();
        self.flights.borrow_mut().insert(token, answer);
        let begun = self.link.with(|client, now| {
            client.publish(now, token, Arc::clone(event));
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
}

impl Owner for BrokerMember {
    fn hear(&self, output: ClientOutput) {
        match output {
            ClientOutput::Settled { token, outcome } => {
                let answer = self.flights.borrow_mut().remove(&token);
                if let Some(answer) = answer {
                    // Whoever waited may have run out of time.
                    let _ = answer.send(outcome);
                }
            }
            // It subscribes to nothing: whatever comes all the same is for nobody.
            ClientOutput::Message { tag, .. } => {
                self.link.with(|client, now| client.settle(now, tag, &Outcome::Accepted));
            }
            ClientOutput::Opened { .. }
            | ClientOutput::Sent { .. }
            | ClientOutput::Released { .. }
            | ClientOutput::Subscribed { .. }
            | ClientOutput::Close { .. } => {}
        }
    }
}

impl Drop for BrokerMember {
    fn drop(&mut self) {
        self.link.end();
    }
}
