//! Keys that are fetched: kept while they are good, asked for anew when they are old or one is missing, never often.

use super::keys::{self, KeySet};
use crate::{Fetch, FetchRequest};
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long keys are good if their server does not say.
const FRESH: Duration = Duration::from_secs(5 * 60);
/// Whatever the server says, they are asked for anew no earlier and no later than that.
const FRESH_BOUNDS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3_600));
/// How soon a key that is missing makes them be asked for again: whoever makes up names of keys does not cause more.
const MISSING: Duration = Duration::from_secs(10);
/// The pauses after failures.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The keys behind a URL.
pub(super) struct RemoteKeys {
    /// The issuer, for logs.
    issuer: Arc<str>,
    url: Arc<str>,
    fetch: Arc<dyn Fetch>,
    /// How long keys are used while the server does not answer.
    stale: Duration,
    held: ArcSwapOption<Held>,
    asking: Mutex<Asking>,
    /// How often an answer, or none, came.
    answers: watch::Sender<u64>,
}

struct Held {
    keys: KeySet,
    at: Instant,
    fresh: Duration,
}

#[derive(Default)]
struct Asking {
    /// A question is on its way.
    is_out: bool,
    /// When the last answer, or none, came.
    last: Option<Instant>,
    failures: u32,
    /// Why there is no answer.
    problem: Option<String>,
}

impl RemoteKeys {
    pub(super) fn new(issuer: Arc<str>, url: Arc<str>, fetch: Arc<dyn Fetch>, stale: Duration) -> Arc<Self> {
        let (answers, _) = watch::channel(0);
        Arc::new(Self {
            issuer,
            url,
            fetch,
            stale,
            held: ArcSwapOption::empty(),
            asking: Mutex::default(),
            answers,
        })
    }

    /// Does something with the keys, if there are any that are good. When they are old, new ones are asked for besides.
    pub(super) fn with<T>(self: &Arc<Self>, act: impl FnOnce(&KeySet) -> T) -> Option<T> {
        let held = self.held.load();
        let age = held.as_ref().map(|held| (held.at.elapsed(), held));
        match age {
            Some((age, held)) if age < held.fresh => Some(act(&held.keys)),
            Some((age, held)) => {
                self.ask(Duration::ZERO);
                (age < held.fresh + self.stale).then(|| act(&held.keys))
            }
            None => None,
        }
    }

    /// Asks for keys at once if there are none.
    pub(super) fn ask_first(self: &Arc<Self>) {
        if self.held.load().is_none() {
            self.ask(Duration::ZERO);
        }
    }

    /// Asks for new keys because one is missing. `None`: they are as new as they get for now.
    pub(super) fn ask_missing(self: &Arc<Self>) -> Option<watch::Receiver<u64>> {
        let pause = if self.held.load().is_some() { MISSING } else { Duration::ZERO };
        self.ask(pause)
    }

    /// Why there are no keys, for the log.
    pub(super) fn problem(&self) -> String {
        let asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let problem = asking.problem.as_deref().unwrap_or("it has not answered yet");
        format!("{} cannot be used: {problem}", self.url)
    }

    /// Sends a question unless one is out or the last one was a moment ago. The receiver hears of the answer.
    fn ask(self: &Arc<Self>, pause: Duration) -> Option<watch::Receiver<u64>> {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = self.answers.subscribe();
        if asking.is_out {
            return Some(answers);
        }
        let pause = match asking.failures {
            0 => pause,
            failures => (PAUSES.0 * 2_u32.saturating_pow(failures.min(8) - 1)).min(PAUSES.1),
        };
        if asking.last.is_some_and(|last| last.elapsed() < pause) {
            return None;
        }
        // Outside of a runtime nobody could carry the question.
        let runtime = Handle::try_current().ok()?;
        asking.is_out = true;
        drop(asking);
        let question = Question { keys: Arc::clone(self), answer: None };
        runtime.spawn(question.ask());
        Some(answers)
    }
}

/// A question on its way. If it is dropped amid that, because its runtime ends, the next one may be sent.
struct Question {
    keys: Arc<RemoteKeys>,
    answer: Option<Result<Held, String>>,
}

impl Question {
    async fn ask(mut self) {
        let request = FetchRequest {
            method: "GET",
            url: self.keys.url.to_string(),
            headers: vec![("accept".to_owned(), "application/jwk-set+json, application/json".to_owned())],
            body: Bytes::new(),
            timeout: TIMEOUT,
            most: keys::MOST,
        };
        let answer = self.keys.fetch.fetch(request).await;
        let before = self.keys.held.load_full();
        self.answer = Some(answer.and_then(|fetched| {
            if fetched.status != 200 {
                return Err(format!("it answered with the status {}", fetched.status));
            }
            let keys = KeySet::read(&fetched.body, before.as_deref().map(|held| &held.keys))?;
            let fresh = fetched.max_age.unwrap_or(FRESH).clamp(FRESH_BOUNDS.0, FRESH_BOUNDS.1);
            Ok(Held { keys, at: Instant::now(), fresh })
        }));
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        let keys = &self.keys;
        let mut asking = keys.asking.lock().unwrap_or_else(PoisonError::into_inner);
        asking.is_out = false;
        match self.answer.take() {
            Some(Ok(held)) => {
                tracing::info!(issuer = %keys.issuer, url = %keys.url, keys = held.keys.len(), "an issuer's keys are here");
                *asking = Asking { last: Some(held.at), ..Asking::default() };
                keys.held.store(Some(Arc::new(held)));
            }
            Some(Err(problem)) => {
                tracing::warn!(
                    issuer = %keys.issuer, url = %keys.url,
                    "an issuer's keys cannot be had; those known before stay in use for a while: {problem}"
                );
                asking.last = Some(Instant::now());
                asking.failures = asking.failures.saturating_add(1);
                asking.problem = Some(problem);
            }
            None => {}
        }
        drop(asking);
        keys.answers.send_modify(|count| *count += 1);
    }
}
