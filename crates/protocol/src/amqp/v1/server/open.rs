//! The connection's opening, and signs of life on it (part 2 §2.4).

use super::{Failure, Server, State};
use crate::amqp::v1::codec::{
    FrameKind, MIN_MAX_FRAME_SIZE, MapWriter, Open, Performative, Symbols, Value, condition, finish_frame,
    start_frame,
};
use std::time::Duration;
use windrose_event::{Accepted, Claim, Intent, Moment, Now, Refusal};

/// The shortest idle time-out of a peer that is kept to: one that is shorter asks for nothing but heartbeats.
const SHORTEST_IDLE: Duration = Duration::from_millis(200);

/// What we have besides (part 2 §2.8.5): links whose messages say themselves where they are for.
const CAPABILITIES: &[&str] = &["ANONYMOUS-RELAY"];

impl Server {
    /// Asks the engine whether the peer is let in.
    pub(super) fn ask(&mut self, claim: Claim) {
        self.state = State::Asked;
        self.intend(Intent::Open(Box::new(windrose_event::Open {
            protocol: "amqp",
            version: "1.0",
            session: None,
            claim,
            resume: false,
            keep: Duration::ZERO,
            window: u16::MAX,
            will: None,
        })));
    }

    /// Open came.
    pub(super) fn opened(&mut self, open: &Open<'_>) -> Result<(), Failure> {
        self.peer_frame_size = open.max_frame_size.unwrap_or(u32::MAX);
        self.peer_channel_max = open.channel_max.unwrap_or(u16::MAX);
        self.peer_idle = Duration::from_millis(open.idle_time_out.unwrap_or(0).into());
        self.container = open.container_id.into();
        if self.peer_frame_size < MIN_MAX_FRAME_SIZE {
            let problem = "max-frame-size is under the 512 bytes that everybody takes";
            return Err(Failure::connection(condition::INVALID_FIELD, problem));
        }
        if !self.peer_idle.is_zero() && self.peer_idle < SHORTEST_IDLE {
            let problem = "idle-time-out is under 200 milliseconds";
            return Err(Failure::connection(condition::NOT_ALLOWED, problem));
        }
        if self.admitted {
            self.say_open();
            self.state = State::Open;
        } else if let Some(claim) = self.claim.take() {
            self.ask(*claim);
        }
        Ok(())
    }

    /// The engine lets the peer in.
    pub(super) fn accept(&mut self, now: Now, accepted: &Accepted) {
        // However long the answer took, the peer has its whole time from now on.
        self.last_heard = now.moment;
        self.last_sent = now.moment;
        self.admitted = true;
        if self.sasl {
            return self.sasl_succeeded(accepted);
        }
        self.say_open();
        self.state = State::Open;
    }

    /// The engine does not. What it says of why is for the operator, not for the peer.
    pub(super) fn refuse(&mut self, refusal: &Refusal) {
        self.admitted = false;
        if self.sasl {
            self.sasl_refused(refusal);
        } else {
            self.say_open();
            self.say_refusal(refusal.cause);
        }
        self.end_refused();
    }

    pub(super) fn say_open(&mut self) {
        let mut properties = MapWriter::new();
        properties
            .symbol("product", &Value::String("Windrose"))
            .symbol("version", &Value::String(env!("CARGO_PKG_VERSION")));
        let idle_time_out = self.config.heartbeat.map(|silence| {
            // Half of what is waited for, so that what comes in time is not late (part 2 §2.4.5).
            u32::try_from(silence.as_millis() / 2).unwrap_or(u32::MAX).max(1)
        });
        let node = std::sync::Arc::clone(&self.config.node);
        let open = Open {
            container_id: &node,
            hostname: None,
            max_frame_size: Some(self.config.frame_bytes),
            channel_max: Some(self.config.channels.saturating_sub(1)),
            idle_time_out,
            offered_capabilities: Symbols::Slice(CAPABILITIES),
            properties: Some(properties.map()),
            ..Open::default()
        };
        Performative::Open(open).write(0, self.transmit.buffer());
        self.frames.sent += 1;
    }

    /// When the peer's silence is too long.
    pub(super) fn silence(&self) -> Option<Moment> {
        self.config.heartbeat.map(|silence| self.last_heard + silence)
    }

    /// When it is to hear something of us.
    pub(super) fn next_heartbeat(&self) -> Option<Moment> {
        (!self.peer_idle.is_zero()).then(|| self.last_sent + self.peer_idle / 2)
    }

    /// An empty frame, unless something else waits to be written (part 2 §2.4.5).
    pub(super) fn heartbeat(&mut self, now: Now) {
        self.last_sent = now.moment;
        if self.waiting() > 0 {
            return;
        }
        let out = self.transmit.buffer();
        let start = start_frame(out, FrameKind::Amqp, 0);
        finish_frame(out, start, 0);
        self.frames.sent += 1;
    }
}
