//! GET with `Accept: text/event-stream`: a subscription as server-sent events.

use super::Connection;
use super::caller::{Caller, closed};
use super::life::Busy;
use super::respond::{self, Content};
use super::router::bad_address;
use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use windrose_event::{
    Assurance, Directive, Filter, Intent, Outcome, RetainedDelivery, SubscriptionRequest, Tag, Text,
};
use windrose_protocol::http::{HEARTBEAT, Problem, Query, read_path, write_frame};

/// How often a comment shows that the stream lives.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
/// Bytes of events that are written as one piece.
const PIECE: usize = 32 * 1024;

/// Subscribes, and answers with the events as they come.
pub(super) async fn subscribe(
    connection: &Connection,
    parts: &Parts,
    path: &str,
) -> Result<Response<Content>, Problem> {
    let bad = |detail| Problem::new(StatusCode::BAD_REQUEST, "malformed", detail);
    let decoded = read_path(path).map_err(|error| bad_address(&error))?;
    let filter = Filter::new(&decoded).map_err(|error| bad_address(&error))?;
    let query = Query::new(parts.uri.query());
    let retained = query.flag("retained").map_err(bad)?.unwrap_or(true);
    let assurance = match query.get("assurance").as_deref() {
        None | Some("0") => Assurance::AtMostOnce,
        Some("1") => Assurance::AtLeastOnce,
        Some(_) => return Err(bad("the query's assurance is 0 or 1".to_owned())),
    };
    let group = query.get("group").filter(|group| !group.is_empty()).map(|group| Text::from(&*group));
    let caller = connection.caller(parts).await?;
    let asked = caller.tag();
    let request = SubscriptionRequest {
        filter,
        group,
        assurance,
        no_local: false,
        retain_as_published: false,
        own_copy: false,
        retained: if retained { RetainedDelivery::Always } else { RetainedDelivery::Never },
        identifier: None,
    };
    caller.exchange.intent(Intent::Subscribe { tag: asked, requests: vec![request] });
    let mut stream = EventStream::new(caller, Arc::clone(&connection.host.snapshot().node.name));
    loop {
        match stream.caller.exchange.directive().await {
            Directive::Subscribed { tag, results } if tag == asked => {
                if let Some(Err(rejection)) = results.into_iter().next() {
                    return Err(Problem::of_rejection(&rejection));
                }
                return Ok(respond::stream(stream));
            }
            Directive::Close(reason) => return Err(closed(&reason)),
            // A last value may come before the answer.
            directive => stream.take(directive),
        }
    }
}

/// Events on their way to a subscriber.
pub(super) struct EventStream {
    caller: Caller,
    node: Arc<str>,
    heartbeat: Interval,
    /// What is written next.
    piece: Vec<u8>,
    /// Deliveries in `piece`.
    writing: Vec<Tag>,
    /// Deliveries in the piece before, which the transport was given.
    written: Vec<Tag>,
    ended: bool,
    _busy: Option<Busy>,
}

impl EventStream {
    fn new(caller: Caller, node: Arc<str>) -> Self {
        let mut heartbeat = interval_at(Instant::now() + HEARTBEAT_EVERY, HEARTBEAT_EVERY);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first words show the subscriber that it is subscribed.
        Self {
            caller,
            node,
            heartbeat,
            piece: HEARTBEAT.to_vec(),
            writing: Vec::new(),
            written: Vec::new(),
            ended: false,
            _busy: None,
        }
    }

    /// The connection is in use for as long as the stream lives.
    pub(super) fn hold(&mut self, busy: Busy) {
        self._busy = Some(busy);
    }

    fn take(&mut self, directive: Directive) {
        match directive {
            Directive::Deliver(delivery) => {
                write_frame(&self.node, &delivery.event, &mut self.piece);
                if delivery.tag != Tag::NONE {
                    self.writing.push(delivery.tag);
                }
            }
            Directive::Close(_) => self.ended = true,
            _ => {}
        }
    }

    /// The next bytes of the stream. Asking for them tells that those before are on their way: the transport takes no
    /// more than it has room for, so that a slow reader is felt by the engine and not by memory.
    pub(super) fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        for tag in self.written.drain(..) {
            self.caller.exchange.intent(Intent::Settle { tag, outcome: Outcome::Accepted });
        }
        while self.piece.len() < PIECE && !self.ended {
            match self.caller.exchange.poll_directive(cx) {
                Poll::Ready(directive) => self.take(directive),
                Poll::Pending => break,
            }
        }
        if self.piece.is_empty() && !self.ended && self.heartbeat.poll_tick(cx).is_ready() {
            self.piece.extend_from_slice(HEARTBEAT);
        }
        if !self.piece.is_empty() {
            self.written.append(&mut self.writing);
            return Poll::Ready(Some(Bytes::from(std::mem::take(&mut self.piece))));
        }
        if self.ended { Poll::Ready(None) } else { Poll::Pending }
    }
}
