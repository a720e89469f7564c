//! Time: heartbeats both ways, and how long the beginning and the end may take (AMQP 0-9-1 §4.2.7).

use super::{LAST_WORDS, Server, State};
use crate::amqp::v091::codec::{ConnectionBlocked, ConnectionUnblocked, heartbeat};
use std::time::Duration;
use windrose_event::{CloseCause, Moment, Now};

/// After how long without credit a client is told that it is blocked: shorter brakes are the socket's.
const BLOCKED_AFTER: Duration = Duration::from_secs(1);

/// What is known of the connection's times.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Beat {
    /// The interval in seconds, as the client decided; zero: none.
    pub(super) seconds: u16,
    /// When it was last seen to that something is said, and how many frames had been said then.
    last: Moment,
    said: u64,
    /// Since when nothing is read from the client, if so.
    paused: Option<Moment>,
    /// Whether the client was told so.
    told: bool,
}

impl Server {
    /// When it wants [`Server::handle_timeout`].
    pub fn next_timeout(&self) -> Option<Moment> {
        match self.state {
            State::Closed | State::Asking => None,
            State::Closing | State::Leaving => Some(self.heard + LAST_WORDS),
            State::Open => {
                let pause = self.blocks_at();
                if self.beat.seconds == 0 {
                    return pause;
                }
                let said = self.beat.last + self.beat_every();
                let heard = self.beat.paused.is_none().then(|| self.heard + self.silence());
                [Some(said), heard, pause].into_iter().flatten().min()
            }
            _ => Some(self.heard + self.config.connect_timeout),
        }
    }

    /// [`Server::next_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.next_timeout().is_none_or(|due| due > now.moment) {
            return;
        }
        match self.state {
            State::Closed | State::Asking => {}
            State::Closing | State::Leaving => self.end_as_said(),
            State::Open => {
                if self.blocks_at().is_some_and(|due| due <= now.moment) {
                    self.beat.told = true;
                    self.say(0, ConnectionBlocked { reason: "the node takes no more publications for now" });
                }
                if self.beat.seconds == 0 {
                    return;
                }
                if self.beat.paused.is_none() && self.heard + self.silence() <= now.moment {
                    // Nobody is there to be told (AMQP 0-9-1 §4.2.7: without the close handshake).
                    return self.end(CloseCause::KeepAlive);
                }
                if self.beat.last + self.beat_every() <= now.moment {
                    if self.beat.said == self.said {
                        heartbeat(self.transmit.buffer());
                        self.count(1);
                    }
                    (self.beat.last, self.beat.said) = (now.moment, self.said);
                }
            }
            _ => self.end(CloseCause::NoOpen),
        }
    }

    /// Credit is gone: nothing more is to be published for now. Returns whether it is read from all the same: it is not,
    /// and is told so if that lasts (RabbitMQ: connection.blocked).
    pub fn handle_pause(&mut self, now: Now) -> bool {
        self.beat.paused = Some(now.moment);
        false
    }

    /// It may publish again, and is read from again: its silence meanwhile was ours.
    pub fn handle_resume(&mut self, now: Now) {
        self.heard = now.moment;
        self.beat.paused = None;
        if std::mem::take(&mut self.beat.told) && self.state == State::Open {
            self.say(0, ConnectionUnblocked {});
        }
    }

    /// The client decided on an interval.
    pub(super) fn begin_beats(&mut self, now: Now, seconds: u16) {
        self.beat.seconds = seconds;
        (self.beat.last, self.beat.said) = (now.moment, self.said);
    }

    fn blocks_at(&self) -> Option<Moment> {
        let since = self.beat.paused.filter(|_| self.capabilities.blocked && !self.beat.told)?;
        Some(since + BLOCKED_AFTER)
    }

    fn beat_every(&self) -> Duration {
        Duration::from_millis(u64::from(self.beat.seconds) * 500)
    }

    fn silence(&self) -> Duration {
        Duration::from_secs(u64::from(self.beat.seconds) * 2)
    }
}
