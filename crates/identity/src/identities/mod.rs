//! The node's registry: who somebody is, by what the document's files, the database, issuers of tokens and the hook say.
//!
//! Everything that a claim brings is tried in this order: a pre-shared key that the handshake proved, a certificate, a user
//! name with a password (or what stands in its place: a one-time code, a token), an API key or a bearer token. Whom nobody
//! here knows, the hook is asked about. Whoever brings something that is wrong is refused, even where anonymous is allowed;
//! only where there is nothing to compare with, and anonymous is allowed, is what somebody brings not looked at.
//!
//! `decide` says who it is by what is in memory, or what it lacks; `asking` finds that out; `changes` hears what is not as it
//! was. So the way of a device that was here before has no wait in it, and there is one place that decides.

mod answers;
mod asking;
mod cache;
mod changes;
mod decide;
mod enrolled;
mod figures;
mod files;
mod guard;
mod memory;
mod passwords;
mod quarantine;
mod question;
mod scram;
mod verified;

pub use enrolled::EnrolledCa;
pub use figures::IdentityFigures;
pub use files::FileRecords;
pub use passwords::{PasswordError, check_password_hash, hash_password};
pub use scram::{check_scram_keys, scram_keys};

use crate::{Act, Hook, Issuers, Record, Records, Revocations, subject_of};
use answers::Answers;
use arc_swap::ArcSwap;
use decide::Case;
use files::Files;
use memory::Memory;
use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};
use windrose_event::{
    Claim, Conversation, IdentityChange, Pending, Reachable, Registry, Secret, Standing, Subject, Suspicion,
    Timestamp, Verdict,
};
use windrose_policy::IdentityPolicy;

/// What is verified for those whom nobody knows where no file has a hash: what `windrose hash-password` makes costs as much.
const DECOY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What the registry is made of.
#[derive(Clone, Default)]
pub struct Parts {
    /// What the document says.
    pub policy: IdentityPolicy,
    /// What its files say.
    pub files: FileRecords,
    /// `identity.certificates`, with their files.
    pub authorities: Vec<EnrolledCa>,
    /// The database, if there is one.
    pub records: Option<Arc<dyn Records>>,
    /// The issuers of tokens.
    pub issuers: Issuers,
    /// The service that keeps identities elsewhere.
    pub hook: Option<Hook>,
    /// What is known of certificates that were revoked before their end.
    pub revocations: Option<Arc<Revocations>>,
}

/// The node's registry. Clones are one.
#[derive(Clone)]
pub struct Identities(Arc<Inner>);

struct Inner {
    force: ArcSwap<InForce>,
    memory: Memory,
    /// The number of the newest change in the database that took effect here.
    seen: Mutex<Option<u64>>,
    /// Those who have to be looked at anew, with what was known of them.
    owed: Mutex<Vec<(Subject, Option<Arc<Record>>)>>,
}

/// The parts in force, to be looked at. A reload makes new ones.
struct InForce {
    parts: Parts,
    files: Files,
}

impl InForce {
    fn new(mut parts: Parts) -> Self {
        let files = Files::new(std::mem::take(&mut parts.files));
        Self { parts, files }
    }

    /// Whether there is nothing that a device could be known by, and anybody is let in.
    fn ignores_devices(&self) -> bool {
        self.is_open() && !self.files.has_devices
    }

    /// The same of services and owners.
    fn ignores_api_keys(&self) -> bool {
        self.is_open() && !self.files.has_api_keys
    }

    fn is_open(&self) -> bool {
        let Parts { policy, authorities, records, issuers, hook, .. } = &self.parts;
        policy.allow_anonymous
            && authorities.is_empty()
            && records.is_none()
            && issuers.is_empty()
            && hook.is_none()
    }

    /// A hash that fits nobody's password, or nobody's whom it is verified for.
    fn decoy(&self) -> Secret {
        let hash = self.files.a_hash.as_deref().unwrap_or(DECOY);
        Secret::new(hash.to_owned())
    }
}

impl Identities {
    /// Makes a registry of its parts. How much it remembers stays as `identity.cache.entries` says now.
    pub fn new(parts: Parts) -> Self {
        let memory = Memory::new(parts.policy.cache.entries);
        Self(Arc::new(Inner {
            force: ArcSwap::from_pointee(InForce::new(parts)),
            memory,
            seen: Mutex::new(None),
            owed: Mutex::new(Vec::new()),
        }))
    }

    /// From now on it is made of these. Live sessions follow: [`Identities::changes`] tells of them.
    pub fn reload(&self, parts: Parts) {
        let force = Arc::new(InForce::new(parts));
        let before = self.0.force.swap(Arc::clone(&force));
        let same = match (&before.parts.records, &force.parts.records) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            (None, None) => true,
            _ => false,
        };
        let mut changes = force.files.changes_since(&before.files);
        if !same {
            *self.0.seen.lock().unwrap_or_else(PoisonError::into_inner) = None;
            let known = self.0.memory.cache.clear();
            if force.parts.records.is_none() {
                let ended = |subject| IdentityChange { subject, standing: Standing::Ended };
                changes.extend(known.into_iter().map(ended));
            } else {
                let owed = known.into_iter().map(|subject| (subject, None));
                self.0.owed.lock().unwrap_or_else(PoisonError::into_inner).extend(owed);
            }
        }
        self.announce(changes);
    }

    /// What is not as it was, for the live sessions to follow: whoever runs the node waits for it again and again, and hands
    /// it to every shard. The wait may be dropped; nothing is lost. The database is asked only while somebody waits.
    pub async fn changes(&self) -> Arc<[IdentityChange]> {
        self.0.changes().await
    }

    /// Puts changes among those that [`Identities::changes`] tells.
    pub fn announce(&self, changes: Vec<IdentityChange>) {
        if !changes.is_empty() {
            self.0.memory.announce(changes);
        }
    }

    /// The database was changed by this node itself: look at once.
    pub fn look_again(&self) {
        self.0.memory.wake.notify_one();
    }

    /// Figures for metrics.
    pub fn figures(&self) -> IdentityFigures {
        let has_database = self.0.force.load().parts.records.is_some();
        self.0.memory.counters.figures(has_database, self.0.memory.cache.len())
    }

    /// How many devices and API keys the files have.
    pub fn in_files(&self) -> (usize, usize) {
        self.0.force.load().files.counts
    }
}

impl Inner {
    /// Where finding out begins.
    fn no_answers(&self) -> Answers {
        Answers::none(self.memory.quarantine.releases())
    }

    fn case<'c>(&'c self, force: &'c InForce, answers: &'c Answers) -> Case<'c> {
        Case {
            force,
            memory: &self.memory,
            answers,
            wall: wall(),
            now: Instant::now(),
            tally: Cell::default(),
        }
    }
}

impl Registry for Identities {
    fn identify_at_once(&self, claim: &Claim) -> Option<Verdict> {
        self.0.identify_at_once(claim)
    }

    fn identify(&self, claim: Box<Claim>) -> Pending<Verdict> {
        Box::pin(Arc::clone(&self.0).identify(claim))
    }

    fn converse(&self, claim: &Claim) -> Option<Box<dyn Conversation>> {
        let asks = claim.method.as_ref().is_some_and(|method| method.as_str() == scram::METHOD);
        if !asks || self.methods().is_empty() {
            return None;
        }
        // Without randomness there is no exchange.
        let chance = argon2::password_hash::try_generate_salt().ok()?;
        let keys = scram::KeysOf::new(Arc::clone(&self.0), claim);
        Some(Box::new(scram::Exchange::new(Box::new(keys), &chance)))
    }

    fn methods(&self) -> &'static [&'static str] {
        let force = self.0.force.load();
        let nobody = force.files.iterations.is_none() && force.parts.records.is_none();
        if nobody { &[] } else { &[scram::METHOD] }
    }

    fn psk_at_once(&self, identity: &[u8]) -> Option<Option<Secret>> {
        self.0.key(identity, &self.0.no_answers()).ok()
    }

    fn psk(&self, identity: &[u8]) -> Pending<Option<Secret>> {
        Box::pin(Arc::clone(&self.0).ask_key(identity.to_vec()))
    }

    fn suspect(&self, suspicion: Suspicion) {
        let policy = self.0.force.load().parts.policy.duplicates.clone();
        let Suspicion { principal, session, takeovers, peers } = suspicion;
        let Some(subject) = subject_of(&principal) else { return };
        let peers: Vec<_> = peers.iter().map(ToString::to_string).collect();
        let peers = peers.join(", ");
        let Some(quarantine) = policy.quarantine else {
            tracing::warn!(?subject, %session, takeovers, peers, "two things seem to share this identity");
            return;
        };
        tracing::warn!(
            ?subject, %session, takeovers, peers, ?quarantine,
            "two things seem to share this identity: neither is let in for a while"
        );
        let until = wall() + quarantine;
        let records = self.0.force.load().parts.records.clone();
        let asks = records.zip(tokio::runtime::Handle::try_current().ok());
        self.0.memory.quarantine.hold(subject.clone(), until, asks.is_some());
        let standing = Standing::Quarantined;
        self.announce(vec![IdentityChange { subject: subject.clone(), standing }]);
        if let Some((records, runtime)) = asks {
            let act = records.act(Act::Quarantine { subject: subject.clone(), until }, "the node");
            let inner = Arc::clone(&self.0);
            runtime.spawn(async move {
                let noted = act.await;
                // What is remembered of it is of before; only then may the registry's word hold alone.
                inner.memory.cache.move_on();
                inner.memory.cache.evict(&subject);
                inner.memory.quarantine.answered(&subject, noted.is_ok());
                if let Err(error) = noted {
                    tracing::warn!(%error, "the quarantine holds on this node only");
                }
            });
        }
    }

    fn reachable(&self) -> Vec<Arc<Reachable>> {
        self.0.force.load().files.reachable.clone()
    }
}

/// The wall clock.
fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
