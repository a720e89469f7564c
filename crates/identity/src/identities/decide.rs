//! Deciding: a claim becomes an identity, by what is in memory and what was found out for it. Never waits: what it lacks, it
//! says, and is asked again when that is known.

use super::InForce;
use super::answers::{Answers, Need, Tally};
use super::enrolled::EnrolledCa;
use super::memory::Memory;
use super::question::{self, Question, marks};
use crate::{CodePurpose, Credential, CredentialSecret, Lookup, Record, Status, Vouched};
use crate::{is_code, is_name, looks_like_token};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;
use windrose_event::{
    CertificateClaim, Claim, Identity, Principal, Proof, Refusal, RefusalCause, Secret, Subject, Timestamp,
};

/// Passwords of one user name that are tried, at most: an old one and a new one, while it changes.
const MOST_PASSWORDS: usize = 4;

/// Why there is no identity.
pub(super) enum Halt {
    /// Something has to be found out first.
    Lacks(Need),
    /// It is not let in.
    Refused(Refusal),
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// An identity, or why there is none.
pub(super) type Decided<T> = Result<T, Halt>;

/// One claim, with all there is to decide it by.
pub(super) struct Case<'c> {
    pub(super) force: &'c InForce,
    pub(super) memory: &'c Memory,
    pub(super) answers: &'c Answers,
    pub(super) wall: Timestamp,
    pub(super) now: Instant,
    pub(super) tally: Cell<Tally>,
}

impl Case<'_> {
    /// Who it is, in the order of DESIGN §7: what a handshake proved, then what is brought, then nothing.
    pub(super) fn decide(&self, claim: &Claim) -> Decided<Identity> {
        let is_device = claim.certificate.is_some() || claim.username.is_some() || claim.password.is_some();
        if self.force.ignores_devices() && claim.api_key.is_none() && is_device
            || self.force.ignores_api_keys() && claim.api_key.is_some() && !is_device
        {
            return Ok(Identity::anonymous());
        }
        if let Some(identity) = &claim.psk_identity {
            return self.pre_shared_key(identity.as_str());
        }
        if let Some(certificate) = &claim.certificate {
            if let Some(identity) = self.certificate(certificate)? {
                return Ok(identity);
            }
            if claim.username.is_none() && claim.api_key.is_none() {
                let detail = || {
                    format!(
                        "no device has the certificate of {:?}: add it to the device's credentials",
                        shortened(&certificate.subject)
                    )
                };
                return self.elsewhere(claim, detail);
            }
        }
        match (&claim.username, &claim.password, &claim.api_key) {
            (Some(username), Some(password), _) => self.login(claim, username.as_str(), password),
            (Some(username), None, None) => {
                let name = shortened(username.as_str());
                Err(bad(format!("the user name {name:?} came without a password")))
            }
            (None, Some(_), None) => Err(bad("a password came without a user name".to_owned())),
            (_, _, Some(key)) => self.api_key(claim, key),
            (None, None, None) if self.force.parts.policy.allow_anonymous => Ok(Identity::anonymous()),
            (None, None, None) => {
                let detail = "it brought no credentials, and the document says `identity: {anonymous: deny}`";
                Err(refused(RefusalCause::AnonymousDenied, detail.to_owned()))
            }
        }
    }

    fn pre_shared_key(&self, identity: &str) -> Decided<Identity> {
        let lookup = Lookup::Psk(identity.as_bytes().to_vec());
        match self.find(&lookup)? {
            Some((record, credential)) => self.admit(&record, &credential, None, false),
            // The handshake knew the identity: it was taken out since.
            None => Err(bad(format!("no device has the identity {:?} any more", shortened(identity)))),
        }
    }

    /// The key that goes with the identity of a pre-shared key, if its device may come.
    pub(super) fn key(&self, identity: &[u8]) -> Decided<Option<Secret>> {
        let lookup = Lookup::Psk(identity.to_vec());
        let Some((record, credential)) = self.find(&lookup)? else { return Ok(None) };
        self.admit(&record, &credential, None, false)?;
        Ok(match &credential.secret {
            CredentialSecret::Psk(key) => Some(key.clone()),
            _ => None,
        })
    }

    /// `None`: nobody has it.
    fn certificate(&self, claim: &Arc<CertificateClaim>) -> Decided<Option<Identity>> {
        let subject = || shortened(&claim.subject);
        if claim.not_after.is_some_and(|until| self.wall > until) {
            return Err(bad(format!("the certificate of {:?} has run out", subject())));
        }
        if claim.not_before.is_some_and(|from| self.wall < from) {
            return Err(bad(format!("the certificate of {:?} is not good yet", subject())));
        }
        self.counts(claim)?;
        let marks = marks(claim);
        let of_files = marks.iter().find_map(|mark| self.force.files.find(mark)).cloned();
        let found = match of_files {
            Some(record) => Some(record),
            None => self.remembered(Question::certificate(claim))?,
        };
        if let Some(record) = found {
            let credential = question::credential(&record, &marks, self.wall);
            if let Some(credential) = credential {
                return self.admit(&record, credential, Some(claim), false).map(Some);
            }
            if record.principal == Principal::Anonymous {
                let detail = format!("the certificate of {:?} is revoked", subject());
                return Err(refused(RefusalCause::Revoked, detail));
            }
        }
        match self.force.parts.authorities.iter().find(|authority| authority.signed(claim)) {
            Some(authority) => self.enrolled(authority, claim).map(Some),
            None => Ok(None),
        }
    }

    /// Whether the certificate was revoked before its end, as its authority says.
    fn counts(&self, claim: &Arc<CertificateClaim>) -> Decided<()> {
        let Some(revocations) = &self.force.parts.revocations else { return Ok(()) };
        if let Some(checked) = &self.answers.certificate {
            return checked.clone().map_err(Halt::Refused);
        }
        match revocations.check_at_once(claim, self.wall) {
            Some(checked) => checked.map_err(Halt::Refused),
            None => Err(Halt::Lacks(Need::Certificate(Arc::clone(claim)))),
        }
    }

    /// A certificate of an enrolled authority: the document's pattern names the device.
    fn enrolled(&self, authority: &EnrolledCa, claim: &CertificateClaim) -> Decided<Identity> {
        let policy = authority.policy();
        let (subject, by) = (shortened(&claim.subject), &policy.name);
        let Some(id) = authority.device(claim).filter(|id| is_name(id)) else {
            return Err(bad(format!(
                "the certificate of {subject:?} is of the authority {by:?}, and {:?} makes no name of a device \
                 from it",
                policy.device
            )));
        };
        let id: Arc<str> = id.into();
        let proof = Proof {
            fingerprint: claim.fingerprint,
            until: claim.not_after,
            enrols_only: policy.enrol_only,
            ..Proof::default()
        };
        let (principal, groups) = match self.of(Subject::Device(Arc::clone(&id)))? {
            Some(record) => {
                self.stands(&record.principal, record.status)?;
                (record.principal.clone(), Arc::clone(&record.groups))
            }
            None if policy.registered => {
                let detail = format!("the device {id:?} of the authority {by:?} is not in the registry");
                return Err(bad(detail));
            }
            None => (Principal::Device { id, owner: None }, Arc::default()),
        };
        self.stands(&principal, Status::Active)?;
        Ok(Identity { principal, groups, owned: Arc::default(), proof: Some(Arc::new(proof)) })
    }

    fn login(&self, claim: &Claim, username: &str, password: &Secret) -> Decided<Identity> {
        let name = || shortened(username);
        if self.force.parts.records.is_some() && is_code(password.reveal()) {
            return self.code(username, password.reveal());
        }
        if !self.force.parts.issuers.is_empty() && looks_like_token(password.reveal()) {
            return self.token(password);
        }
        let lookup = Lookup::Username(username.to_owned());
        let record = self.record(&lookup)?;
        let of_name = record.iter().flat_map(|record| &record.credentials).filter_map(|credential| {
            match &credential.secret {
                CredentialSecret::PasswordHash(hash) if credential.lookup == lookup => {
                    Some((credential, hash))
                }
                _ => None,
            }
        });
        let mut of_name: Vec<_> = of_name.collect();
        // A password that is good now before one that is not.
        of_name.sort_by_key(|(credential, _)| question::fault(credential, self.wall).is_some());
        of_name.truncate(MOST_PASSWORDS);
        let Some(record) = record.as_ref().filter(|_| !of_name.is_empty()) else {
            return self.unknown_name(claim, username, password);
        };
        for (credential, hash) in &of_name {
            if self.was_right(claim, username, password, hash) {
                return self.admit(record, credential, None, false);
            }
        }
        let Some(right) = &self.answers.password else {
            let hashes = of_name.iter().map(|(_, hash)| (*hash).clone()).collect();
            return Err(Halt::Lacks(Need::Password {
                username: username.into(),
                password: password.clone(),
                hashes,
            }));
        };
        match right.and_then(|index| of_name.get(index)) {
            Some((credential, _)) => self.admit(record, credential, None, false),
            None => Err(bad(format!("the password for the user name {:?} is wrong", name()))),
        }
    }

    /// Whether the password was right of late; where the guard blocks, as far as it lets that count.
    fn was_right(&self, claim: &Claim, username: &str, password: &Secret, hash: &Secret) -> bool {
        let verified = &self.memory.verified;
        let Some(proof) = verified.proof(username, password.reveal(), hash.reveal()) else { return false };
        if !verified.knows(&proof) {
            return false;
        }
        let from_there = claim.peer.and_then(|peer| verified.from(&proof, peer.ip()));
        let blocked =
            self.memory.guard.blocked(claim.peer, Some(username), &self.force.parts.policy.guard, self.now);
        match from_there {
            Some(from_there) if blocked.address => !blocked.wholly && verified.knows(&from_there),
            Some(from_there) => {
                verified.remember(from_there);
                true
            }
            None => true,
        }
    }

    /// Nobody here has the user name. The time must not tell so: some other hash is verified.
    fn unknown_name(&self, claim: &Claim, username: &str, password: &Secret) -> Decided<Identity> {
        let force = self.force;
        if force.parts.hook.is_some() {
            return self.elsewhere(claim, || format!("nobody has the user name {:?}", shortened(username)));
        }
        if force.parts.records.is_none() && !force.files.has_passwords() {
            let detail = "no device has a password: the file of devices (`identity.devices`) lists them";
            return Err(bad(detail.to_owned()));
        }
        if self.answers.password.is_none() {
            let hashes = vec![force.decoy()];
            return Err(Halt::Lacks(Need::Password {
                username: username.into(),
                password: password.clone(),
                hashes,
            }));
        }
        Err(bad(format!("no device has the user name {:?}", shortened(username))))
    }

    /// A one-time code in the place of a password: good for enrolling and nothing else. It is used up by that.
    fn code(&self, username: &str, code: &[u8]) -> Decided<Identity> {
        let name = shortened(username);
        let Some((record, credential)) = self.find(&Lookup::code(code))? else {
            return Err(bad(format!("nobody has the one-time code that {name:?} brought")));
        };
        let CredentialSecret::Code { purpose, used } = credential.secret else {
            return Err(bad(format!("what {name:?} brought is no one-time code")));
        };
        let Principal::Device { id, .. } = &record.principal else {
            return Err(bad(format!("the one-time code that {name:?} brought is no device's")));
        };
        if **id != *username {
            return Err(bad(format!("the one-time code that {name:?} brought is for the device {id:?}")));
        }
        if used {
            return Err(bad(format!("the one-time code of the device {id:?} was used before")));
        }
        if purpose != CodePurpose::Enrol {
            let detail =
                format!("the one-time code of the device {id:?} is for claiming it, not for enrolling");
            return Err(bad(detail));
        }
        self.admit(&record, &credential, None, true)
    }

    fn token(&self, token: &Secret) -> Decided<Identity> {
        let verdict = match &self.answers.token {
            Some(verdict) => verdict.clone(),
            None => match self.force.parts.issuers.verify_at_once(token.reveal(), self.wall) {
                Some(verdict) => verdict,
                None => return Err(Halt::Lacks(Need::Token(token.clone()))),
            },
        };
        self.vouched(&*verdict?)
    }

    fn api_key(&self, claim: &Claim, key: &Secret) -> Decided<Identity> {
        if !self.force.parts.issuers.is_empty() && looks_like_token(key.reveal()) {
            return self.token(key);
        }
        // What the time tells is about the digest, which nobody can choose.
        match self.find(&Lookup::api_key(key.reveal()))? {
            Some((record, credential)) => self.admit(&record, &credential, None, false),
            None => self.elsewhere(claim, || "nobody has this API key".to_owned()),
        }
    }

    /// Whom nobody here knows, the hook may.
    fn elsewhere(&self, claim: &Claim, unknown: impl FnOnce() -> String) -> Decided<Identity> {
        let Some(hook) = &self.force.parts.hook else { return Err(bad(unknown())) };
        let answer = match &self.answers.hook {
            Some(answer) => answer.clone(),
            None => match hook.ask_at_once(claim, self.wall) {
                Some(answer) => answer,
                None => return Err(Halt::Lacks(Need::Hook)),
            },
        };
        match answer? {
            Some(vouched) => self.vouched(&vouched),
            None => Err(bad(format!("{}, and the identity hook knows nobody either", unknown()))),
        }
    }

    /// Whom an issuer or the hook vouches for: the registry may know more of it, or worse.
    fn vouched(&self, vouched: &Vouched) -> Decided<Identity> {
        let mut identity = vouched.identity();
        let Some(subject) = crate::subject_of(&identity.principal) else { return Ok(identity) };
        let Some(record) = self.of(subject)? else {
            if vouched.registered {
                let detail = format!("{identity}, whom {:?} vouches for, is not in the registry", vouched.by);
                return Err(bad(detail));
            }
            if let Principal::Device { owner: Some(owner), .. } = &identity.principal
                && let Some(record) = self.of(Subject::Owner(Arc::clone(owner)))?
            {
                self.stands(&record.principal, record.status)?;
            }
            self.stands(&identity.principal, Status::Active)?;
            return Ok(identity);
        };
        self.stands(&record.principal, record.status)?;
        let says_owner = matches!(&identity.principal, Principal::Device { owner: Some(_), .. });
        if vouched.registered || !says_owner {
            identity.principal = record.principal.clone();
        }
        if vouched.registered || identity.groups.is_empty() {
            identity.groups = Arc::clone(&record.groups);
        }
        identity.owned = self.owned(&record)?;
        Ok(identity)
    }

    /// Lets somebody in who proved it by a credential, if both are good.
    pub(super) fn admit(
        &self,
        record: &Arc<Record>,
        credential: &Credential,
        certificate: Option<&CertificateClaim>,
        enrols_only: bool,
    ) -> Decided<Identity> {
        let who = || Named(&record.principal);
        if let Some(fault) = question::fault(credential, self.wall) {
            let cause = if credential.revoked { RefusalCause::Revoked } else { RefusalCause::BadCredentials };
            let detail = format!("the credential {} of {} {fault}", credential.id, who());
            return Err(refused(cause, detail));
        }
        self.stands(&record.principal, record.status)?;
        let ends = [credential.not_after, certificate.and_then(|certificate| certificate.not_after)];
        let proof = Proof {
            credential: Some(Arc::clone(&credential.id)),
            fingerprint: certificate.and_then(|certificate| certificate.fingerprint),
            until: ends.into_iter().flatten().min(),
            claims: Arc::default(),
            enrols_only,
        };
        Ok(Identity {
            principal: record.principal.clone(),
            groups: Arc::clone(&record.groups),
            owned: self.owned(record)?,
            proof: Some(Arc::new(proof)),
        })
    }

    /// Whether somebody is let in just now, whatever it brought.
    fn stands(&self, principal: &Principal, status: Status) -> Decided<()> {
        let who = || Named(principal);
        match status {
            Status::Active => {}
            Status::Revoked => {
                return Err(refused(RefusalCause::Revoked, format!("{} is revoked", who())));
            }
            Status::OwnerRevoked => {
                return Err(refused(RefusalCause::Revoked, format!("the owner of {} is revoked", who())));
            }
            Status::Quarantined { until } if self.wall < until => {
                return Err(refused(RefusalCause::Quarantined, quarantined(&who())));
            }
            Status::Quarantined { .. } => {}
        }
        if self.memory.quarantine.holds(principal, self.wall) {
            return Err(refused(RefusalCause::Quarantined, quarantined(&who())));
        }
        Ok(())
    }

    /// What an owner owns: in the files, and in the database, too.
    fn owned(&self, record: &Arc<Record>) -> Decided<Arc<[Arc<str>]>> {
        let Principal::Owner { id } = &record.principal else { return Ok(Arc::clone(&record.owned)) };
        let subject = Subject::Owner(Arc::clone(id));
        let in_file = self.force.files.record(&subject);
        if in_file.is_none() || self.force.parts.records.is_none() {
            return Ok(Arc::clone(&record.owned));
        }
        let also = match self.remembered(Question::Of(subject)) {
            Ok(Some(also)) => {
                self.stands(&also.principal, also.status)?;
                also
            }
            Ok(None) => return Ok(Arc::clone(&record.owned)),
            // The file knows it: it is not kept out because the database is away.
            Err(Halt::Refused(_)) => return Ok(Arc::clone(&record.owned)),
            Err(lacks) => return Err(lacks),
        };
        let mut owned: Vec<Arc<str>> = record.owned.iter().chain(also.owned.iter()).cloned().collect();
        owned.sort();
        owned.dedup();
        Ok(owned.into())
    }

    /// Who is found by that, with the credential that it is found by.
    pub(super) fn find(&self, lookup: &Lookup) -> Decided<Option<(Arc<Record>, Credential)>> {
        let Some(record) = self.record(lookup)? else { return Ok(None) };
        let credential = question::credential(&record, std::slice::from_ref(lookup), self.wall).cloned();
        Ok(credential.map(|credential| (record, credential)))
    }

    /// Who is found by that, in the files or the database.
    pub(super) fn record(&self, lookup: &Lookup) -> Decided<Option<Arc<Record>>> {
        if let Some(record) = self.force.files.find(lookup) {
            return Ok(Some(Arc::clone(record)));
        }
        let found = self.remembered(Question::By(lookup.clone()))?;
        // What was found once may not be found by that any more: its record was read anew since.
        if found.as_ref().is_some_and(|record| record.credentials.iter().all(|one| one.lookup != *lookup)) {
            let question = Question::By(lookup.clone());
            return match self.answers.record(&question) {
                Some(_) => Ok(None),
                None => Err(Halt::Lacks(Need::Record(question))),
            };
        }
        Ok(found)
    }

    /// What is kept of somebody, in the files or the database.
    fn of(&self, subject: Subject) -> Decided<Option<Arc<Record>>> {
        match self.force.files.record(&subject) {
            Some(record) => Ok(Some(Arc::clone(record))),
            None => self.remembered(Question::Of(subject)),
        }
    }

    /// What the database says, as far as that was asked: for this claim, or of late.
    fn remembered(&self, question: Question) -> Decided<Option<Arc<Record>>> {
        if self.force.parts.records.is_none() {
            return Ok(None);
        }
        if let Some(answer) = self.answers.record(&question) {
            return answer.clone().map_err(|detail| refused(RefusalCause::Unavailable, detail));
        }
        let (found, tally) =
            self.memory.recall(&question, &self.force.parts.policy.cache, self.now, self.memory.is_away());
        self.tally.set(self.tally.get() + tally);
        found.ok_or(Halt::Lacks(Need::Record(question)))
    }
}

struct Named<'p>(&'p Principal);

impl std::fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Principal::Anonymous => f.write_str("nobody in particular"),
            Principal::Device { id, owner: Some(owner) } => write!(f, "device:{id} of owner:{owner}"),
            Principal::Device { id, owner: None } => write!(f, "device:{id}"),
            Principal::Owner { id } => write!(f, "owner:{id}"),
            Principal::Service { name } => write!(f, "service:{name}"),
        }
    }
}

fn quarantined(who: &Named<'_>) -> String {
    format!("{who} is quarantined: two things seem to share its identity")
}

pub(super) fn refused(cause: RefusalCause, detail: String) -> Halt {
    Halt::Refused(Refusal { cause, detail })
}

pub(super) fn bad(detail: String) -> Halt {
    refused(RefusalCause::BadCredentials, detail)
}

/// What a peer said, no longer than a log line bears.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}
