//! Callers: who sends a request, and the exchange that its connection keeps for the next one.

use super::Connection;
use crate::exchange::Exchange;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderValue, StatusCode, Version};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use windrose_event::{
    Assurance, Claim, CloseReason, Directive, Intent, Open, Outcome, Publication, Publish, Tag,
};
use windrose_protocol::http::{Problem, read_credentials};

/// How many deliveries a stream takes before they are settled.
const WINDOW: u16 = 64;
/// How long the registry may take.
const OPENING: Duration = Duration::from_secs(15);
/// How long an exchange is kept: then the caller is asked again who it is.
const KEEP: Duration = Duration::from_secs(60);
/// Exchanges that one connection keeps.
const MAX_KEPT: usize = 8;

/// The exchanges that a connection keeps between requests.
#[derive(Default)]
pub(super) struct Callers {
    kept: RefCell<Vec<Caller>>,
    watcher: RefCell<Option<Waker>>,
}

/// Somebody who was let in.
pub(super) struct Caller {
    pub(super) exchange: Exchange,
    credentials: Credentials,
    opened: Instant,
    tag: Cell<u16>,
}

/// What a request says of its sender, as it stands in its headers.
#[derive(Clone, PartialEq, Eq)]
struct Credentials {
    authorization: Option<HeaderValue>,
    api_key: Option<HeaderValue>,
}

impl Credentials {
    fn of(parts: &Parts) -> Self {
        let header = |name| parts.headers.get(name).cloned();
        Self { authorization: header(AUTHORIZATION.as_str()), api_key: header("x-api-key") }
    }
}

impl Connection {
    /// Lets the sender of a request in, or says why not.
    pub(super) async fn caller(&self, parts: &Parts) -> Result<Caller, Problem> {
        if self.host.is_draining() {
            return Err(closed(&CloseReason::ShuttingDown));
        }
        let credentials = Credentials::of(parts);
        if let Some(caller) = self.callers.take(&credentials) {
            return Ok(caller);
        }
        let mut claim = Claim {
            listener: Arc::clone(&self.facts.listener.name),
            peer: Some(self.facts.peer),
            certificate: self.facts.certificate.clone(),
            ..Claim::default()
        };
        read_credentials(&parts.headers, &mut claim)?;
        let exchange = Exchange::new(&self.host, &self.facts.listener, self.facts.peer);
        exchange.intent(Intent::Open(Box::new(Open {
            protocol: "http",
            version: match parts.version {
                Version::HTTP_2 => "2",
                Version::HTTP_10 => "1.0",
                _ => "1.1",
            },
            session: None,
            claim,
            resume: false,
            keep: Duration::ZERO,
            window: WINDOW,
            will: None,
        })));
        let opened = async {
            loop {
                match exchange.directive().await {
                    Directive::Accept(_) => return Ok(()),
                    Directive::Refuse(refusal) => return Err(Problem::of_refusal(refusal.cause)),
                    Directive::Close(reason) => return Err(closed(&reason)),
                    _ => {}
                }
            }
        };
        match timeout(OPENING, opened).await {
            Ok(opened) => opened?,
            Err(_) => {
                return Err(Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "unavailable",
                    "the registry did not answer in time; try again later",
                )
                .retry_after(Duration::from_secs(1)));
            }
        }
        Ok(Caller { exchange, credentials, opened: Instant::now(), tag: Cell::new(0) })
    }
}

impl Callers {
    /// Keeps a caller whose request is answered.
    pub(super) fn keep(&self, caller: Caller) {
        let mut kept = self.kept.borrow_mut();
        if kept.len() < MAX_KEPT && caller.opened.elapsed() < KEEP {
            kept.push(caller);
        }
        drop(kept);
        // Whoever watches for the node's shutdown must look at this one too.
        let watcher = self.watcher.borrow_mut().take();
        if let Some(watcher) = watcher {
            watcher.wake();
        }
    }

    fn take(&self, credentials: &Credentials) -> Option<Caller> {
        // Exchanges are dropped after the borrow ends: their host hears of it.
        let mut gone = Vec::new();
        let mut kept = self.kept.borrow_mut();
        let mut found = None;
        while let Some(caller) = kept.pop() {
            if caller.credentials == *credentials && caller.opened.elapsed() < KEEP && !caller.is_closed() {
                found = Some(caller);
                break;
            }
            gone.push(caller);
        }
        drop(kept);
        found
    }

    /// Ends when a kept exchange hears that the node shuts down.
    pub(super) async fn shut_down(&self) {
        poll_fn(|cx| self.poll_shut_down(cx)).await;
    }

    fn poll_shut_down(&self, cx: &mut Context<'_>) -> Poll<()> {
        *self.watcher.borrow_mut() = Some(cx.waker().clone());
        let mut kept = std::mem::take(&mut *self.kept.borrow_mut());
        let mut over = false;
        kept.retain(|caller| {
            while let Poll::Ready(directive) = caller.exchange.poll_directive(cx) {
                if let Directive::Close(reason) = directive {
                    over |= reason == CloseReason::ShuttingDown;
                    return false;
                }
            }
            true
        });
        *self.kept.borrow_mut() = kept;
        if over { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Caller {
    /// Whether the engine ended it while it was kept.
    fn is_closed(&self) -> bool {
        std::iter::from_fn(|| self.exchange.next()).any(|directive| matches!(directive, Directive::Close(_)))
    }

    /// A tag that no question under way has.
    pub(super) fn tag(&self) -> Tag {
        self.tag.set(self.tag.get().checked_add(1).unwrap_or(1));
        Tag(self.tag.get())
    }

    /// Publishes an event and waits for what becomes of it, and whether anybody heard it.
    pub(super) async fn publish(&self, publication: Publication) -> Result<(Outcome, bool), Problem> {
        if self.exchange.is_paused() {
            return Ok((Outcome::Busy { retry_after: None }, false));
        }
        let assurance = publication.assurance;
        let tag = self.send(publication);
        loop {
            let (settled, outcome, heard) = self.settled().await?;
            if settled == tag {
                self.forget(tag, assurance, &outcome);
                return Ok((outcome, heard));
            }
        }
    }

    /// Publishes a last value, or clears it, and waits until whoever reads it finds it so.
    pub(super) async fn set(&self, publication: Publication) -> Result<(Outcome, bool), Problem> {
        let (outcome, heard) = self.publish(publication).await?;
        if outcome.is_accepted() {
            let asked = self.tag();
            self.exchange.intent(Intent::Sync { tag: asked });
            loop {
                match self.exchange.directive().await {
                    Directive::Synced { tag } if tag == asked => break,
                    Directive::Close(reason) => return Err(closed(&reason)),
                    _ => {}
                }
            }
        }
        Ok((outcome, heard))
    }

    /// Publishes an event; [`Caller::settled`] tells what becomes of it.
    pub(super) fn send(&self, publication: Publication) -> Tag {
        let tag = self.tag();
        self.exchange.intent(Intent::Publish(Publish { tag, again: false, publication }));
        tag
    }

    /// What became of one of the events that were sent.
    pub(super) async fn settled(&self) -> Result<(Tag, Outcome, bool), Problem> {
        loop {
            match self.exchange.directive().await {
                Directive::Settle { tag, outcome, heard } => return Ok((tag, outcome, heard)),
                Directive::Close(reason) => return Err(closed(&reason)),
                _ => {}
            }
        }
    }

    /// The caller has its answer to an event: one that was to be delivered exactly once need not be remembered.
    pub(super) fn forget(&self, tag: Tag, assurance: Assurance, outcome: &Outcome) {
        if assurance == Assurance::ExactlyOnce && outcome.is_accepted() {
            self.exchange.intent(Intent::Release { tag });
        }
    }
}

/// The problem of a caller whose exchange the engine ended.
pub(super) fn closed(reason: &CloseReason) -> Problem {
    let (status, detail) = match reason {
        CloseReason::ShuttingDown => {
            (StatusCode::SERVICE_UNAVAILABLE, "the node is shutting down; try again")
        }
        CloseReason::NotPermitted => (StatusCode::FORBIDDEN, "no access rule allows it"),
        CloseReason::Revoked | CloseReason::Expired => {
            (StatusCode::UNAUTHORIZED, "the credentials are no longer valid here")
        }
        CloseReason::Quarantined => (StatusCode::FORBIDDEN, "the identity seems to be in use twice"),
        CloseReason::Quota => (StatusCode::TOO_MANY_REQUESTS, "a limit of the sender is reached"),
        CloseReason::TakenOver | CloseReason::OutOfOrder | CloseReason::Failed(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "the node could not finish it; try again")
        }
    };
    let problem = Problem::new(status, reason.name(), detail);
    match status {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            problem.retry_after(Duration::from_secs(1))
        }
        _ => problem,
    }
}
