//! The end: of connections (part 2 §2.4.3), sessions and links, by an error of either side.

use super::failure::Scope;
use super::session::Session;
use super::{Failure, Server};
use crate::amqp::v1::codec::{Close, End, ErrorInfo, Map, MapWriter, Performative, Value, condition};
use windrose_event::{CloseCause, CloseReason, RefusalCause};

impl Server {
    /// The peer did what cannot be: it is told on the smallest scope that this concerns.
    pub(super) fn fail(&mut self, channel: u16, failure: Failure) {
        let error = ErrorInfo::new(failure.condition, failure.problem);
        match failure.scope {
            Scope::Link(handle) => self.detach_link(channel, handle, Some(error)),
            Scope::Session => self.end_session(channel, Some(error)),
            Scope::Connection => {
                self.say_close(Some(error));
                self.end_and_wait(CloseCause::Protocol(failure.problem.into()));
            }
        }
    }

    /// Close, if the peer has got so far that it understands it.
    pub(super) fn say_close(&mut self, error: Option<ErrorInfo<'_>>) {
        use super::State;
        match self.state {
            State::Open => self.flush(),
            // Close may not come before open.
            State::Fresh | State::Asked if !self.sasl || self.admitted => self.say_open(),
            _ => return,
        }
        Performative::Close(Close { error }).write(0, self.transmit.buffer());
        self.frames.sent += 1;
    }

    /// The peer says good-bye.
    pub(super) fn closed_by_peer(&mut self) {
        self.say_close(None);
        self.end(CloseCause::Goodbye);
    }

    /// Nothing came for longer than was agreed.
    pub(super) fn idle_too_long(&mut self) {
        let problem = "nothing came for longer than the idle time-out";
        self.say_close(Some(ErrorInfo::new(condition::RESOURCE_LIMIT_EXCEEDED, problem)));
        self.end(CloseCause::KeepAlive);
    }

    /// The engine ends the connection.
    pub(super) fn closed_by_engine(&mut self, reason: &CloseReason) {
        let (condition, problem) = match reason {
            CloseReason::TakenOver => (condition::CONNECTION_FORCED, "a newer connection took over"),
            CloseReason::ShuttingDown => (condition::CONNECTION_FORCED, "the node is shutting down"),
            CloseReason::NotPermitted => (condition::UNAUTHORIZED_ACCESS, "it did what it may not"),
            CloseReason::Revoked => (condition::UNAUTHORIZED_ACCESS, "it is no longer let in"),
            CloseReason::Quarantined => {
                (condition::UNAUTHORIZED_ACCESS, "its identity seems to be in use twice")
            }
            CloseReason::Expired => (condition::UNAUTHORIZED_ACCESS, "what proved its identity has expired"),
            CloseReason::Quota => (condition::RESOURCE_LIMIT_EXCEEDED, "it went past a limit"),
            CloseReason::OutOfOrder => (condition::ILLEGAL_STATE, "it settled what it could not"),
            CloseReason::Failed(detail) => (condition::INTERNAL_ERROR, &**detail),
        };
        let away = matches!(reason, CloseReason::ShuttingDown | CloseReason::Quota);
        self.say_away(away, ErrorInfo::new(condition, problem));
        self.admitted = false;
        self.end_and_wait(CloseCause::Ours);
    }

    /// Why the peer was not let in, to one that spoke no SASL.
    pub(super) fn say_refusal(&mut self, cause: RefusalCause) {
        let (condition, problem, away) = match cause {
            RefusalCause::Quota => {
                (condition::RESOURCE_LIMIT_EXCEEDED, "there are too many connections", true)
            }
            RefusalCause::Throttled => {
                (condition::RESOURCE_LIMIT_EXCEEDED, "there were too many wrong attempts", false)
            }
            RefusalCause::ShuttingDown => (condition::CONNECTION_FORCED, "the node is shutting down", true),
            RefusalCause::Unavailable => {
                (condition::INTERNAL_ERROR, "it cannot be asked for now who you are", true)
            }
            _ => (condition::UNAUTHORIZED_ACCESS, "it is not let in", false),
        };
        self.say_away_after_open(away, ErrorInfo::new(condition, problem));
    }

    /// The peer was refused: the engine has no session of it.
    pub(super) fn end_refused(&mut self) {
        self.state = super::State::Header;
        self.end(CloseCause::Ours);
    }

    fn say_away(&mut self, away: bool, error: ErrorInfo<'_>) {
        let redirect = self.config.redirect.clone().filter(|_| away);
        let info = redirect.as_deref().map(redirection);
        self.say_close(Some(redirected(error, info.as_ref().map(MapWriter::map))));
    }

    fn say_away_after_open(&mut self, away: bool, error: ErrorInfo<'_>) {
        let redirect = self.config.redirect.clone().filter(|_| away);
        let info = redirect.as_deref().map(redirection);
        let error = Some(redirected(error, info.as_ref().map(MapWriter::map)));
        Performative::Close(Close { error }).write(0, self.transmit.buffer());
        self.frames.sent += 1;
    }

    /// Ends a session that the peer has begun; what it still sends on it is passed by until its own end comes.
    pub(super) fn end_session(&mut self, channel: u16, error: Option<ErrorInfo<'_>>) {
        let Some(session) = self.sessions.get_mut(&channel) else { return };
        if session.ending {
            return;
        }
        session.ending = true;
        let local = session.local;
        self.flush_session(channel);
        self.abandon(channel);
        Performative::End(End { error }).write(local, self.transmit.buffer());
        self.frames.sent += 1;
    }

    /// The peer ends a session.
    pub(super) fn ended(&mut self, channel: u16) -> Result<(), Failure> {
        let session = self.sessions.get(&channel).ok_or(Failure::no_session())?;
        let Session { ending, local, .. } = **session;
        if !ending {
            self.flush_session(channel);
            self.abandon(channel);
            Performative::End(End::default()).write(local, self.transmit.buffer());
            self.frames.sent += 1;
        }
        self.sessions.remove(&channel);
        Ok(())
    }
}

/// Where else to connect to (part 2 §2.8.16): `host:port`.
fn redirection(elsewhere: &str) -> MapWriter {
    let (host, port) = elsewhere.rsplit_once(':').unwrap_or((elsewhere, ""));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let mut info = MapWriter::new();
    info.symbol("hostname", &Value::String(host))
        .symbol("network-host", &Value::String(host))
        .symbol("port", &Value::Uint(port.parse::<u16>().unwrap_or(5672).into()));
    info
}

fn redirected<'a>(error: ErrorInfo<'a>, info: Option<Map<'a>>) -> ErrorInfo<'a> {
    match info {
        Some(_) => ErrorInfo { condition: condition::CONNECTION_REDIRECT, info, ..error },
        None => error,
    }
}
