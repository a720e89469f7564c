//! Whom sessions of DTLS are of: their keys are looked for where that takes a wait, they are known once they begin, and they
//! end when whoever is there is not let in any more.

use super::Shard;
use super::identify::WAITING;
use super::secured::Secured;
use crate::dtls::KeyQuestion;
use crate::pump::SocketId;
use std::cell::Cell;
use std::future::ready;
use std::rc::Rc;
use windrose_event::{
    Claim, Identity, IdentityChange, Pending, RefusalCause, Secret, Standing, Subject, Verdict,
};
use windrose_identity::subject_of;
use windrose_protocol::coap::SessionId;

/// Keys that one shard looks for at once: as many as one listener may have handshakes on their way. Whoever comes when there
/// are more learns what one with a wrong key learns, and comes again.
const KEYS: usize = 1_024;

/// How often somebody is asked about again because the registry changed meanwhile.
const TRIES: usize = 4;

/// Counts something for as long as it is there.
struct Counted(Rc<Shard>, fn(&Shard) -> &Cell<usize>);

impl Counted {
    /// `None`: there are as many already.
    fn new(shard: &Rc<Shard>, counter: fn(&Shard) -> &Cell<usize>, most: usize) -> Option<Self> {
        let count = counter(shard);
        (count.get() < most).then(|| {
            count.set(count.get() + 1);
            Self(Rc::clone(shard), counter)
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let count = (self.1)(&self.0);
        count.set(count.get().saturating_sub(1));
    }
}

impl Shard {
    /// Looks for the key of an identity, and goes on with its handshake then.
    pub(super) fn look_for_key(self: &Rc<Self>, socket: SocketId, question: KeyQuestion, identity: &[u8]) {
        let counted = Counted::new(self, |shard| &shard.keys_sought, KEYS);
        let key: Pending<Option<Secret>> = match counted.is_some() {
            true => self.registry.psk(identity),
            false => {
                if let Some(suppressed) = self.notices.borrow_mut().allow(self.now(), "keys_sought") {
                    tracing::warn!(
                        suppressed,
                        "{KEYS} keys of DTLS are being looked for already: the registry is slow, or this is a flood"
                    );
                }
                Box::pin(ready(None))
            }
        };
        let shard = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let key = key.await;
            drop(counted);
            shard.with_secured(socket, |secured, now| secured.dtls().handle_key(now, question, key));
        });
    }

    /// A session began: finds out whose it is.
    pub(super) fn recognise(
        self: &Rc<Self>,
        socket: SocketId,
        secured: &mut Secured,
        session: SessionId,
        claim: Box<Claim>,
    ) {
        if let Some(verdict) = self.registry.identify_at_once(&claim) {
            return recognised(secured, session, &claim, verdict);
        }
        // Otherwise it is nobody yet: whatever it asks for is looked at when it does.
        let Some(counted) = Counted::new(self, |shard| &shard.identifying, WAITING) else { return };
        let shard = Rc::clone(self);
        tokio::task::spawn_local(async move {
            for _ in 0..TRIES {
                let before = shard.standing.get();
                let verdict = shard.registry.identify(claim.clone()).await;
                if shard.standing.get() == before {
                    drop(counted);
                    return shard
                        .with_secured(socket, |secured, _| recognised(secured, session, &claim, verdict));
                }
            }
        });
    }

    /// What is known of some is not as it was: their sessions end, with a word to each.
    pub(super) fn end_sessions(self: &Rc<Self>, changes: &[IdentityChange]) {
        self.standing.set(self.standing.get().wrapping_add(1));
        let ended = |change: &&IdentityChange| !matches!(change.standing, Standing::Is(_));
        let ended: Vec<&Subject> = changes.iter().filter(ended).map(|change| &change.subject).collect();
        if ended.is_empty() {
            return;
        }
        for port in self.ports() {
            self.with_secured(port.id, |secured, _| {
                ended.iter().for_each(|subject| secured.dtls().revoke(subject));
            });
        }
    }
}

fn recognised(secured: &mut Secured, session: SessionId, claim: &Claim, verdict: Verdict) {
    match verdict {
        Ok(identity) => secured.dtls().recognise(session, &subjects(&identity, claim)),
        Err(refusal) if matches!(refusal.cause, RefusalCause::Revoked | RefusalCause::Quarantined) => {
            secured.dtls().close(session, refusal.cause.name());
        }
        // It is told when it asks for something.
        Err(_) => {}
    }
}

/// Whose end is a session's end.
fn subjects(identity: &Identity, claim: &Claim) -> Vec<Subject> {
    let proof = identity.proof.as_deref();
    let certificate = claim.certificate.as_ref().and_then(|certificate| certificate.fingerprint);
    let all = [
        subject_of(&identity.principal),
        identity.owner().cloned().map(Subject::Owner),
        proof.and_then(|proof| proof.credential.clone()).map(Subject::Credential),
        certificate.map(Subject::Certificate),
    ];
    let mut subjects: Vec<Subject> = all.into_iter().flatten().collect();
    subjects.sort_unstable();
    subjects.dedup();
    subjects
}
