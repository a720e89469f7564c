//! Finding out what a claim lacks: from the database, from argon2id, from issuers and the hook. Runs on a shard's thread and
//! leaves it for what takes work.

use super::Inner;
use super::answers::{Answers, Need};
use super::decide::{Halt, shortened};
use super::figures::count;
use super::memory::DatabaseAnswer;
use super::passwords;
use super::question::{Question, marks};
use crate::{Asked, Lookup, Record, Records, RecordsError};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use windrose_event::{Claim, Identity, Refusal, RefusalCause, Secret, Verdict};

/// Rounds of finding out, at most: more than any claim has needs.
const ROUNDS: usize = 16;
/// How long the database may take for one answer: then it counts as away.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often a question is asked anew because something changed while it was asked.
const ANEW: usize = 4;

impl Inner {
    /// The verdict, if memory has all of it.
    pub(super) fn identify_at_once(&self, claim: &Claim) -> Option<Verdict> {
        let answers = self.no_answers();
        let verdict = self.attempt(claim, &answers);
        match verdict {
            Ok(identity) => self.is_of_now(&answers).then_some(Ok(identity)),
            Err(Halt::Refused(refusal)) => Some(Err(self.told(claim, refusal))),
            Err(Halt::Lacks(need)) => self.throttled(claim, &need).map(Err),
        }
    }

    /// The verdict, whatever it takes.
    pub(super) async fn identify(self: Arc<Self>, claim: Box<Claim>) -> Verdict {
        let mut answers = self.no_answers();
        for _ in 0..ROUNDS {
            let need = match self.attempt(&claim, &answers) {
                Ok(identity) if self.is_of_now(&answers) => return Ok(identity),
                Ok(_) => {
                    answers = self.no_answers();
                    continue;
                }
                Err(Halt::Refused(refusal)) => return Err(self.told(&claim, refusal)),
                Err(Halt::Lacks(need)) => need,
            };
            if let Some(refusal) = self.throttled(&claim, &need) {
                return Err(refusal);
            }
            self.find_out(need, Some(&claim), &mut answers).await;
        }
        Err(unavailable("what the registry says of it changes too fast".to_owned()))
    }

    /// Whether nobody was let out of quarantine since finding out began: a record of before and no hold any more would let in
    /// whom the registry keeps out.
    pub(super) fn is_of_now(&self, answers: &Answers) -> bool {
        self.memory.quarantine.releases() == answers.releases
    }

    fn attempt(&self, claim: &Claim, answers: &Answers) -> Result<Identity, Halt> {
        let force = self.force.load();
        let case = self.case(&force, answers);
        let decided = case.decide(claim);
        if !matches!(decided, Err(Halt::Lacks(_))) {
            self.memory.tally(case.tally.get());
        }
        decided
    }

    /// The key for a pre-shared key's identity; the error is a need.
    pub(super) fn key(&self, identity: &[u8], answers: &Answers) -> Result<Option<Secret>, Need> {
        let force = self.force.load();
        let case = self.case(&force, answers);
        match case.key(identity) {
            Ok(key) => Ok(key),
            Err(Halt::Lacks(need)) => Err(need),
            Err(Halt::Refused(refusal)) => {
                // The handshake fails as with a wrong key: the log alone has the truth.
                let identity = shortened(&String::from_utf8_lossy(identity));
                tracing::info!(
                    identity,
                    cause = refusal.cause.name(),
                    "no pre-shared key: {}",
                    refusal.detail
                );
                Ok(None)
            }
        }
    }

    /// The key for a pre-shared key's identity, whatever it takes.
    pub(super) async fn ask_key(self: Arc<Self>, identity: Vec<u8>) -> Option<Secret> {
        let mut answers = self.no_answers();
        for _ in 0..ROUNDS {
            match self.key(&identity, &answers) {
                Ok(key) => return key,
                Err(need) => self.find_out(need, None, &mut answers).await,
            }
        }
        None
    }

    /// Finds out one thing.
    pub(super) async fn find_out(&self, need: Need, claim: Option<&Claim>, answers: &mut Answers) {
        let now = super::wall();
        match need {
            Need::Record(question) => {
                let lookups = match (&question, claim.and_then(|claim| claim.certificate.as_ref())) {
                    (Question::By(lookup), _) => vec![lookup.clone()],
                    (Question::Certificate(_), Some(certificate)) => marks(certificate),
                    _ => Vec::new(),
                };
                let answer = self.ask(&question, lookups).await;
                answers.add(question, answer);
            }
            Need::Password { username, password, hashes } => {
                answers.password = Some(self.verify(&username, password, hashes).await);
            }
            Need::Token(token) => {
                let issuers = self.force.load().parts.issuers.clone();
                answers.token = Some(issuers.verify(token, now).await);
            }
            Need::Certificate(certificate) => {
                let revocations = self.force.load().parts.revocations.clone();
                answers.certificate = Some(match revocations {
                    Some(revocations) => revocations.check(certificate, now).await,
                    None => Ok(()),
                });
            }
            Need::Hook => {
                let hook = self.force.load().parts.hook.clone();
                answers.hook = Some(match hook.zip(claim) {
                    Some((hook, claim)) => hook.ask(claim, now).await,
                    None => Ok(None),
                });
            }
        }
    }

    /// Asks the database, and remembers what it says. Two with one question make it ask once.
    pub(super) async fn ask(&self, question: &Question, lookups: Vec<Lookup>) -> DatabaseAnswer {
        let Some(records) = self.force.load().parts.records.clone() else { return Ok(None) };
        if self.memory.is_away() {
            // Whoever waits for what changes finds out when it is back: nobody else has to wait for it.
            return self.stale(question).ok_or_else(|| "the registry's database is away".to_owned());
        }
        for _ in 0..ANEW {
            let flight = {
                let mut flights = self.memory.flights.lock().unwrap_or_else(PoisonError::into_inner);
                match flights.get(question) {
                    Some(flight) => Err(flight.clone()),
                    None => {
                        let (answer, flight) = watch::channel(None);
                        flights.insert(question.clone(), flight);
                        Ok(answer)
                    }
                }
            };
            match flight {
                Ok(tell) => {
                    let landing = Landing { inner: self, question };
                    let answer = self.ask_once(&*records, question, lookups.clone()).await;
                    drop(landing);
                    if let Some(answer) = answer {
                        tell.send_replace(Some(answer.clone()));
                        return answer;
                    }
                }
                Err(mut flight) => {
                    // An error: whoever asked is gone, or has to ask anew.
                    if let Ok(answer) = flight.wait_for(Option::is_some).await
                        && let Some(answer) = answer.clone()
                    {
                        return answer;
                    }
                }
            }
        }
        Err("what it says of this changes too fast".to_owned())
    }

    /// `None`: something changed meanwhile.
    async fn ask_once(
        &self,
        records: &dyn Records,
        question: &Question,
        lookups: Vec<Lookup>,
    ) -> Option<DatabaseAnswer> {
        count(&self.memory.counters.misses);
        let epoch = self.memory.cache.epoch();
        let answer = match question {
            Question::Of(subject) => patiently(records.record(subject.clone())).await,
            Question::By(_) | Question::Certificate(_) => {
                patiently(records.find(lookups)).await.map(|found| {
                    // The most particular of what it is found by decides.
                    found.into_iter().min_by_key(|(index, _)| *index).map(|(_, record)| record)
                })
            }
        };
        match answer {
            Ok(record) => {
                let now = Instant::now();
                let is_current = self.memory.cache.learn(question, record.as_ref(), epoch, now);
                is_current.then_some(Ok(record))
            }
            Err(RecordsError::Unavailable(problem)) => {
                // Whether all of it is away, or just this cannot be answered, whoever looks for changes finds out now.
                self.memory.wake.notify_one();
                Some(self.stale(question).ok_or(problem))
            }
            Err(error) => Some(Err(error.to_string())),
        }
    }

    /// What is remembered from before the database went away.
    fn stale(&self, question: &Question) -> Option<Option<Arc<Record>>> {
        let force = self.force.load();
        let policy = &force.parts.policy.cache;
        let (found, tally) = self.memory.recall(question, policy, Instant::now(), true);
        self.memory.tally(tally);
        found
    }

    /// Which of the hashes a password fits. Takes a core of its own for milliseconds, and waits for one.
    async fn verify(&self, username: &str, password: Secret, hashes: Vec<Secret>) -> Option<usize> {
        let counters = &self.memory.counters;
        let waiting = Waiting::new(&counters.waiting);
        let permit = self.memory.cores.acquire().await.ok()?;
        drop(waiting);
        count(&counters.verified);
        let proofs: Vec<_> = hashes
            .iter()
            .map(|hash| self.memory.verified.proof(username, password.reveal(), hash.reveal()))
            .collect();
        let asked = tokio::task::spawn_blocking(move || {
            hashes.iter().position(|hash| {
                std::str::from_utf8(hash.reveal())
                    .is_ok_and(|hash| passwords::verify(password.reveal(), hash))
            })
        });
        let right = asked.await.ok().flatten();
        drop(permit);
        // Nobody's hash is remembered for nobody: deciding does not ask for it.
        if let Some(Some(proof)) = right.and_then(|index| proofs.get(index)) {
            self.memory.verified.remember(*proof);
        }
        right
    }

    /// A refusal on its way to the peer: the guard counts it if it was a guess.
    pub(super) fn told(&self, claim: &Claim, refusal: Refusal) -> Refusal {
        let guesses = claim.password.is_some() || claim.api_key.is_some() || claim.method.is_some();
        if refusal.cause != RefusalCause::BadCredentials || !guesses {
            return refusal;
        }
        self.failed(claim, claim.username.as_deref());
        refusal
    }

    /// A wrong guess.
    pub(super) fn failed(&self, claim: &Claim, name: Option<&str>) {
        let policy = self.force.load().parts.policy.guard.clone();
        if self.memory.guard.failed(claim.peer, name, &policy, Instant::now()) {
            count(&self.memory.counters.blocks);
            let peer = claim.peer.map(|peer| peer.ip().to_string()).unwrap_or_default();
            let name = name.map(shortened).unwrap_or_default();
            tracing::warn!(
                peer,
                name,
                listener = %claim.listener,
                "too many wrong credentials from there, or for that name: not looked at for identity.guard.block"
            );
        }
    }

    /// The refusal of those whom the guard does not look at, unless a handshake proved what is asked about.
    fn throttled(&self, claim: &Claim, need: &Need) -> Option<Refusal> {
        let proved = match need {
            Need::Certificate(_) | Need::Record(Question::Certificate(_) | Question::Of(_)) => true,
            Need::Record(Question::By(lookup)) => matches!(lookup, Lookup::Psk(_)),
            Need::Password { .. } | Need::Token(_) | Need::Hook => false,
        };
        if proved {
            return None;
        }
        self.blocked(claim, claim.username.as_deref())
    }

    /// The refusal of whoever the guard blocks.
    pub(super) fn blocked(&self, claim: &Claim, name: Option<&str>) -> Option<Refusal> {
        let (policy, now) = (self.force.load().parts.policy.guard.clone(), Instant::now());
        if !self.memory.guard.blocked(claim.peer, name, &policy, now).is_any() {
            return None;
        }
        // Counted, so that nobody goes on guessing what is remembered.
        self.memory.guard.failed(claim.peer, None, &policy, now);
        self.memory.throttled();
        Some(Refusal {
            cause: RefusalCause::Throttled,
            detail: "too many wrong credentials from there, or for that name: identity.guard".to_owned(),
        })
    }
}

/// Waits for an answer of the database's, not for ever.
pub(super) async fn patiently<T>(asked: Asked<T>) -> Result<T, RecordsError> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(RecordsError::Unavailable(format!("it did not answer within {PATIENCE:?}"))),
    }
}

/// Ends a question's being asked, however it ends.
struct Landing<'q> {
    inner: &'q Inner,
    question: &'q Question,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.inner.memory.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(self.question);
    }
}

/// Counted among those who wait for as long as it lives.
struct Waiting<'c>(&'c std::sync::atomic::AtomicU64);

impl<'c> Waiting<'c> {
    fn new(counter: &'c std::sync::atomic::AtomicU64) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) fn unavailable(detail: String) -> Refusal {
    Refusal { cause: RefusalCause::Unavailable, detail }
}
