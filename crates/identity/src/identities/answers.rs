//! What was found out for one claim, and what has still to be.

use super::memory::DatabaseAnswer;
use super::question::Question;
use crate::Vouched;
use std::ops::Add;
use std::sync::Arc;
use windrose_event::{CertificateClaim, Refusal, Secret};

/// What has to be found out before a claim can be decided.
#[derive(Clone, Debug)]
pub(super) enum Need {
    /// What the database says.
    Record(Question),
    /// Whether a password fits one of these hashes.
    Password {
        /// The user name.
        username: Box<str>,
        /// The password.
        password: Secret,
        /// The hashes, as PHC strings.
        hashes: Vec<Secret>,
    },
    /// What a token's issuer's keys say.
    Token(Secret),
    /// Whether a certificate was revoked, as its authority's responder says.
    Certificate(Arc<CertificateClaim>),
    /// What the hook says.
    Hook,
}

/// What was found out. Each is found out once for a claim, so that deciding comes to an end.
#[derive(Debug)]
pub(super) struct Answers {
    /// How many had been let out of quarantine before anything was read for it.
    pub(super) releases: u64,
    /// Few: a list is the fastest map.
    records: Vec<(Question, DatabaseAnswer)>,
    /// Which of the hashes the password fits, if any.
    pub(super) password: Option<Option<usize>>,
    pub(super) token: Option<Result<Arc<Vouched>, Refusal>>,
    pub(super) certificate: Option<Result<(), Refusal>>,
    pub(super) hook: Option<Result<Option<Arc<Vouched>>, Refusal>>,
}

impl Answers {
    /// Nothing yet, after so many were let out of quarantine.
    pub(super) fn none(releases: u64) -> Self {
        Self { releases, records: Vec::new(), password: None, token: None, certificate: None, hook: None }
    }

    /// What the database said.
    pub(super) fn record(&self, question: &Question) -> Option<&DatabaseAnswer> {
        self.records.iter().find(|(known, _)| known == question).map(|(_, answer)| answer)
    }

    /// The database said so, or could not be asked.
    pub(super) fn add(&mut self, question: Question, answer: DatabaseAnswer) {
        self.records.push((question, answer));
    }
}

/// How questions were answered from memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) hits: u8,
    pub(super) negatives: u8,
    pub(super) stale: u8,
}

impl Add for Tally {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            hits: self.hits.saturating_add(other.hits),
            negatives: self.negatives.saturating_add(other.negatives),
            stale: self.stale.saturating_add(other.stale),
        }
    }
}
