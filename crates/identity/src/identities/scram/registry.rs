//! Whose keys an exchange is about: those of the files, or of the database.

use super::conversation::Knows;
use super::keys::{ITERATIONS, Keys};
use crate::identities::Inner;
use crate::identities::answers::Answers;
use crate::identities::asking::unavailable;
use crate::identities::decide::{Halt, shortened};
use crate::{CredentialSecret, Lookup};
use std::sync::Arc;
use windrose_event::{Claim, Refusal, RefusalCause, Verdict};

/// Rounds of finding out, at most.
const ROUNDS: usize = 8;

/// The keys that the registry keeps.
pub(crate) struct KeysOf {
    registry: Arc<Inner>,
    /// Whose exchange it is, for the guard.
    claim: Claim,
}

impl KeysOf {
    pub(crate) fn new(registry: Arc<Inner>, claim: &Claim) -> Self {
        let claim = Claim { listener: claim.listener.clone(), peer: claim.peer, ..Claim::default() };
        Self { registry, claim }
    }

    /// The keys that fit no password: the same salt each time, for as long as the process lives.
    fn nobodys(&self, username: &str) -> Keys {
        let salt = self.registry.memory.verified.mark(username);
        Keys {
            iterations: self.registry.force.load().files.iterations.unwrap_or(ITERATIONS),
            salt: salt.get(..16).unwrap_or_default().into(),
            stored: salt,
            server: salt,
        }
    }

    fn attempt(&self, username: &str, answers: &Answers) -> Result<(Keys, Verdict), Halt> {
        let force = self.registry.force.load();
        let case = self.registry.case(&force, answers);
        let Some((record, credential)) = case.find(&Lookup::Scram(username.to_owned()))? else {
            return Ok((self.nobodys(username), Err(nobody(username))));
        };
        let keys = match &credential.secret {
            CredentialSecret::ScramKeys(keys) => Keys::of_secret(keys),
            _ => None,
        };
        let Some(keys) = keys else { return Ok((self.nobodys(username), Err(nobody(username)))) };
        match case.admit(&record, &credential, None, false) {
            Ok(identity) => Ok((keys, Ok(identity))),
            // Told when it has proved that it has the password.
            Err(Halt::Refused(refusal)) => Ok((keys, Err(refusal))),
            Err(lacks) => Err(lacks),
        }
    }
}

impl Knows for KeysOf {
    fn keys(&self, username: &str) -> Result<(Keys, Verdict), Refusal> {
        if let Some(refusal) = self.registry.blocked(&self.claim, Some(username)) {
            return Err(refusal);
        }
        let mut answers = self.registry.no_answers();
        for _ in 0..ROUNDS {
            match self.attempt(username, &answers) {
                Ok(known) if self.registry.is_of_now(&answers) => return Ok(known),
                Ok(_) => answers = self.registry.no_answers(),
                Err(Halt::Refused(refusal)) => return Err(refusal),
                Err(Halt::Lacks(need)) => {
                    // Off the shards' threads: an exchange may wait. The database answers from another thread.
                    let Ok(runtime) = tokio::runtime::Handle::try_current() else { break };
                    runtime.block_on(self.registry.find_out(need, None, &mut answers));
                }
            }
        }
        Err(unavailable("the registry does not answer".to_owned()))
    }

    fn failed(&self, username: &str) {
        self.registry.failed(&self.claim, Some(username));
    }
}

fn nobody(username: &str) -> Refusal {
    Refusal {
        cause: RefusalCause::BadCredentials,
        detail: format!("no device has keys of SCRAM-SHA-256 for the user name {:?}", shortened(username)),
    }
}
