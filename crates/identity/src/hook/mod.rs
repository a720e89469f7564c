//! The hook: a service that keeps identities elsewhere is asked about those whom nobody here knows.

mod answer;
mod question;
#[cfg(test)]
mod tests;

use crate::recent::Recent;
use crate::{Fetch, FetchRequest, Fetched, Fetchers, Vouched};
use answer::{Answer, unavailable};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use windrose_event::{Claim, Pending, Refusal, Timestamp};
use windrose_policy::IdentityHook;

/// Bytes of an answer.
const MOST: usize = 64 * 1024;
/// Questions on their way. The others wait, as long as one may take.
const IN_FLIGHT: usize = 64;
/// Answers that are remembered.
const REMEMBERED: usize = 100_000;
/// How long it is remembered at most that somebody is not let in.
const NEGATIVE: Duration = Duration::from_secs(10);

/// The service of `identity.hook`. Clones share everything.
#[derive(Clone)]
pub struct Hook(Arc<Shared>);

struct Shared {
    policy: IdentityHook,
    fetch: Arc<dyn Fetch>,
    in_flight: Semaphore,
    remembered: Recent<Remembered>,
    salt: [u8; 32],
}

struct Remembered {
    answer: Answer,
    until: Instant,
}

impl Hook {
    /// Takes the document's hook. The error is a sentence for the operator.
    pub fn open(policy: &IdentityHook, fetchers: &Fetchers) -> Result<Self, String> {
        let fetch = fetchers(policy.ca.as_deref()).map_err(|problem| format!("identity.hook: {problem}"))?;
        let mut salt = [0; 32];
        aws_lc_rs::rand::fill(&mut salt)
            .map_err(|_| "identity.hook: the system gives no random bits".to_owned())?;
        Ok(Self(Arc::new(Shared {
            policy: policy.clone(),
            fetch,
            in_flight: Semaphore::new(IN_FLIGHT),
            remembered: Recent::new(REMEMBERED),
            salt,
        })))
    }

    /// What it said of the same claim a while ago, if that still holds; `None` sends the claim to [`Hook::ask`].
    /// `Ok(None)`: it does not know them.
    pub fn ask_at_once(
        &self,
        claim: &Claim,
        now: Timestamp,
    ) -> Option<Result<Option<Arc<Vouched>>, Refusal>> {
        let shared = &self.0;
        shared.remembered.get(&question::digest(&shared.salt, claim), |known| {
            let is_good = Instant::now() < known.until && !has_ended(&known.answer, now);
            is_good.then(|| known.answer.clone())
        })
    }

    /// What it says of a claim.
    pub fn ask(&self, claim: &Claim, now: Timestamp) -> Pending<Result<Option<Arc<Vouched>>, Refusal>> {
        let shared = Arc::clone(&self.0);
        let digest = question::digest(&shared.salt, claim);
        let body = question::write(claim);
        Box::pin(async move {
            let fetched = shared.fetch(body).await.map_err(|problem| unavailable(&problem))?;
            let answer = answer::read(&fetched, now);
            shared.remember(digest, &answer, fetched.max_age);
            answer
        })
    }
}

impl Shared {
    async fn fetch(&self, body: Vec<u8>) -> Result<Fetched, String> {
        let limit = self.policy.timeout;
        let permit = timeout(limit, self.in_flight.acquire()).await;
        let _permit = permit.map_err(|_| format!("{IN_FLIGHT} questions wait for its answers already"))?;
        let json = |name: &str| (name.to_owned(), "application/json".to_owned());
        let own = self.policy.headers.iter().map(|(name, value)| (name.clone(), value.0.to_string()));
        let headers = [json("accept"), json("content-type")].into_iter().chain(own).collect();
        let url = self.policy.url.to_string();
        let request =
            FetchRequest { method: "POST", url, headers, body: body.into(), timeout: limit, most: MOST };
        self.fetch.fetch(request).await
    }

    fn remember(&self, digest: [u8; 32], answer: &Answer, max_age: Option<Duration>) {
        let keep = max_age.unwrap_or(self.policy.cache);
        let keep = match answer {
            Ok(Some(_)) => keep,
            Ok(None) => keep.min(NEGATIVE),
            Err(refusal) if refusal.cause == windrose_event::RefusalCause::Unavailable => return,
            Err(_) => keep.min(NEGATIVE),
        };
        if !keep.is_zero() {
            self.remembered.put(digest, Remembered { answer: answer.clone(), until: Instant::now() + keep });
        }
    }
}

fn has_ended(answer: &Answer, now: Timestamp) -> bool {
    let until = answer.as_ref().ok().and_then(|vouched| vouched.as_ref()?.proof.until);
    until.is_some_and(|until| until <= now)
}
