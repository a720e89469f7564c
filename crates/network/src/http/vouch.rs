//! Identity tokens on their way to a pool: one for each sender, used for half its life.

use crate::Clock;
use http::{HeaderName, HeaderValue};
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use windrose_event::{Event, Identity, Principal, Timestamp};
use windrose_identity::TokenSigner;
use windrose_policy::{IdentityToken, Pool};

/// Senders whose tokens a shard keeps for one pool.
const MOST: usize = 10_000;

/// The tokens that go to the members of a pool (`pools.*.identity_token`).
pub(super) struct Vouching {
    signer: Arc<TokenSigner>,
    policy: IdentityToken,
    header: HeaderName,
    clock: Clock,
    /// By the name of the device, owner or service.
    made: RefCell<FxHashMap<Arc<str>, Made>>,
}

struct Made {
    identity: Identity,
    value: HeaderValue,
    until: Timestamp,
}

impl Vouching {
    /// For a pool that wants tokens.
    pub(super) fn of(pool: &Pool, signer: &Arc<TokenSigner>, clock: Clock) -> Option<Rc<Self>> {
        let policy = pool.identity_token.clone()?;
        let header = policy.header.parse().ok()?;
        Some(Rc::new(Self { signer: Arc::clone(signer), policy, header, clock, made: RefCell::default() }))
    }

    /// The header for events that go out in one request. There is none if they are of several senders: one token cannot say
    /// which of them published which. Nor is there one for the anonymous.
    pub(super) fn header(&self, events: &[Arc<Event>]) -> Option<(&HeaderName, HeaderValue)> {
        let (first, rest) = events.split_first()?;
        let sender = &first.origin.identity;
        let is_same = |event: &Arc<Event>| {
            Arc::ptr_eq(&event.origin, &first.origin) || is_same_as(&event.origin.identity, sender)
        };
        let name = match &sender.principal {
            Principal::Anonymous => return None,
            Principal::Device { id, .. } | Principal::Owner { id } => id,
            Principal::Service { name } => name,
        };
        if !rest.iter().all(is_same) {
            return None;
        }
        let now = self.clock.now().wall;
        let mut made = self.made.borrow_mut();
        let known = made.get(name).filter(|made| now < made.until && is_same_as(&made.identity, sender));
        if let Some(known) = known {
            return Some((&self.header, known.value.clone()));
        }
        let token = self.signer.sign(sender, &self.policy, now)?;
        let mut value = HeaderValue::from_maybe_shared(bytes::Bytes::from(token)).ok()?;
        value.set_sensitive(true);
        if made.len() >= MOST {
            // Rather some signatures too many than a memory of who was asked for last.
            made.clear();
        }
        let until = now + self.policy.lifetime / 2;
        made.insert(Arc::clone(name), Made { identity: sender.clone(), value: value.clone(), until });
        Some((&self.header, value))
    }
}

/// Whether a token for the one says the same of the other.
fn is_same_as(one: &Identity, other: &Identity) -> bool {
    one.principal == other.principal && one.groups == other.groups
}
