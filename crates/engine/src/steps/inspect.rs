//! Step 4, inspect: limits and rules. What passes becomes an event; what does not is settled as rejected.

use crate::counts::ListenerIndex;
use crate::engine::Engine;
use crate::exchanges::GIVEN;
use crate::receipts::{Debtor, Receipt};
use crate::requests::ReplyAddress;
use crate::sessions::{Inbound, Pending, SessionKey, Ticket};
use crate::steps::identify::Identified;
use crate::steps::state::is_announcement;
use crate::topics::TopicKey;
use std::sync::Arc;
use windrose_event::{
    Address, Assurance, Cause, ConnectionId, Directive, Event, EventId, Identity, Now, Origin, Outcome,
    Permission, Publication, Publish, Rejection, Tag, Will, has_passed, key_of,
};

/// The most levels that an address can have, whatever the document allows: walks over last values go one call deeper a
/// level.
const MOST_LEVELS: usize = 1_000;

/// How the addresses of queues begin whose names begin with [`GIVEN`].
const GIVEN_ADDRESS: &[u8] = b"amq/gen-";

/// Proof that an event may be delivered. Only this step makes it, only `route` takes it.
#[derive(Debug)]
pub(crate) struct Inspected {
    event: Arc<Event>,
    receipt: Receipt,
    from: Option<ConnectionId>,
    /// Whether subscribers had it before a restart.
    had: bool,
    topic: Option<TopicKey>,
}

/// An [`Inspected`], taken apart by `route`.
pub(super) struct Passed {
    pub(super) event: Arc<Event>,
    pub(super) receipt: Receipt,
    /// The connection to brake if credit is gone.
    pub(super) from: Option<ConnectionId>,
    /// Whether subscribers had it before a restart.
    pub(super) had: bool,
    /// Where it is known what its address means.
    pub(super) topic: Option<TopicKey>,
}

impl Inspected {
    /// The event.
    pub(super) const fn event(&self) -> &Arc<Event> {
        &self.event
    }

    /// Has it happen elsewhere: nobody wants it where it was published.
    pub(super) fn readdress(&mut self, address: Address) {
        self.topic = None;
        Arc::make_mut(&mut self.event).address = address;
    }

    pub(super) fn into_parts(self) -> Passed {
        let Self { event, receipt, from, had, topic } = self;
        Passed { event, receipt, from, had, topic }
    }
}

/// Whether an exactly-once publication came before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// It did not.
    Never,
    /// It did, and has its answer or will get it.
    Taken,
    /// It did, and subscribers have it, but a restart came between it and its answer.
    Interrupted,
}

impl Engine {
    /// Inspects a publication. `None`: it needs no more steps, its sender has its answer or will get it.
    // A call of its own would copy each publication once more.
    #[expect(clippy::inline_always, reason = "measured: 1.5 % of all instructions for an event")]
    #[inline(always)]
    pub(crate) fn inspect(&mut self, now: Now, by: Identified, publish: Publish) -> Option<Inspected> {
        let Publish { tag, publication, .. } = publish;
        let exactly_once = tag != Tag::NONE && publication.assurance == Assurance::ExactlyOnce;
        let before = if exactly_once { self.taken_before(&by, tag) } else { Before::Never };
        if before == Before::Taken {
            return None;
        }
        let debtor = Debtor::Connection { connection: by.connection(), tag };
        let mut receipt = self.owe(now, &by, tag, debtor);
        let mut topic = self.topics.find(publication.address.as_bytes());
        // Whoever was allowed a moment ago still is: the document or the identity would have to change first.
        let is_permitted = topic.is_some_and(|topic| self.topics.permits(topic, by.connection()));
        let is_reply = !is_permitted && ReplyAddress::is_meant(&publication.address);
        let is_announced = !is_permitted && is_announcement(&publication.address);
        let origin = by.origin();
        let checked = if is_permitted {
            self.check_size(&publication)
        } else if origin.protocol == Origin::FETCHED {
            self.check_limits(&publication).and_then(|()| self.check_fetched(&origin.listener, &publication))
        } else if (is_reply || is_announced || self.is_given(&publication.address))
            && !origin.identity.enrols_only()
        {
            self.check_limits(&publication)
        } else {
            self.check(&by.origin().identity, Permission::Publish, &publication)
        };
        if let Err(rejection) = checked {
            self.reject(now, by.origin(), &publication.address, receipt, rejection);
            return None;
        }
        let headers = publication.details.as_ref().map_or(&[][..], |details| &details.headers);
        let looped = has_passed(headers, &self.snapshot.node.name);
        if looped {
            self.counts.drop("looped");
        }
        if is_announced || looped {
            self.acknowledge(now, receipt);
            return None;
        }
        if !is_reply && !is_permitted {
            topic = topic.or_else(|| self.enter_topic(&publication.address));
            if let Some(topic) = topic.filter(|_| by.origin().protocol != Origin::FETCHED) {
                self.topics.permit(topic, by.connection());
            }
        }
        let (connection, session) = (by.connection(), by.session());
        let event = self.make_event(now, by.into_origin(), publication);
        if exactly_once {
            let ticket = self.remember_inbound(session, connection, tag, event.id);
            receipt.debtor = Debtor::Session { session, connection, tag, ticket };
        }
        if is_reply {
            // Whoever knows the address was asked: no rule is needed, and nobody else is told.
            receipt.heard =
                ReplyAddress::parse(&event.address).is_some_and(|address| self.reply(now, address, event));
            self.acknowledge(now, receipt);
            return None;
        }
        let had = before == Before::Interrupted;
        Some(Inspected { event, receipt, from: Some(connection), had, topic })
    }

    /// Inspects a request: like a publication that names where its one reply goes.
    pub(crate) fn inspect_request(
        &mut self,
        now: Now,
        by: Identified,
        publish: Publish,
    ) -> Option<Inspected> {
        let Publish { tag, mut publication, .. } = publish;
        let token = self.random.token();
        let debtor = Debtor::Request { connection: by.connection(), tag, token };
        let receipt = self.owe(now, &by, tag, debtor);
        self.await_reply(by.connection(), tag, token);
        if let Err(rejection) = self.check(&by.origin().identity, Permission::Request, &publication) {
            self.reject(now, by.origin(), &publication.address, receipt, rejection);
            return None;
        }
        let details = publication.details.get_or_insert_default();
        details.reply_to = ReplyAddress { shard: self.shards.here(), token }.to_address();
        if details.correlation.is_none() {
            details.correlation = Some(token.to_be_bytes().to_vec().into());
        }
        publication.retain = false;
        let connection = by.connection();
        let event = self.make_event(now, by.into_origin(), publication);
        Some(Inspected { event, receipt, from: Some(connection), had: false, topic: None })
    }

    /// Settles a publication that is refused before it is looked at.
    pub(crate) fn refuse_publication(
        &mut self,
        now: Now,
        by: &Identified,
        publish: Publish,
        rejection: Rejection,
    ) {
        let debtor = Debtor::Connection { connection: by.connection(), tag: publish.tag };
        let receipt = self.owe(now, by, publish.tag, debtor);
        self.reject(now, by.origin(), &publish.publication.address, receipt, rejection);
    }

    /// Takes in what a queue sends on: it was inspected when it was published.
    pub(crate) fn inspect_dead(&mut self, now: Now, event: Arc<Event>) -> Inspected {
        let listener = self.counts.listener(&event.origin.listener, event.origin.protocol);
        let receipt = self.receipts.issue(Debtor::Nobody, listener, now.moment);
        Inspected { event, receipt, from: None, had: false, topic: None }
    }

    /// Inspects a will, by the rules as they are now.
    pub(crate) fn inspect_will(
        &mut self,
        now: Now,
        origin: &Arc<Origin>,
        listener: ListenerIndex,
        will: Will,
    ) -> Option<Inspected> {
        if !self.may_will(&origin.identity, &will) {
            self.counts.drop(Cause::NotPermitted.name());
            return None;
        }
        self.counts.at(listener).events_in += 1;
        let receipt = self.receipts.issue(Debtor::Nobody, listener, now.moment);
        let event = self.make_event(now, origin.clone(), will.publication);
        Some(Inspected { event, receipt, from: None, had: false, topic: None })
    }

    /// Whether somebody may do that with an event, and the event is within the limits.
    pub(crate) fn check(
        &self,
        identity: &Identity,
        permission: Permission,
        publication: &Publication,
    ) -> Result<(), Rejection> {
        self.check_limits(publication)?;
        let address = &publication.address;
        // Addresses that begin with `$` are the node's own, whatever the rules say.
        if address.is_system() || !self.snapshot.access.permits(identity, permission, address) {
            let detail = format!("{identity} may not {} on '{address}'", permission.name());
            return Err(Rejection { cause: Cause::NotPermitted, detail: Some(detail.into()) });
        }
        Ok(())
    }

    /// Whether it is the address of a queue that the node gave its name: whoever knows it was told it, as with replies.
    fn is_given(&self, address: &Address) -> bool {
        address.as_bytes().starts_with(GIVEN_ADDRESS) && {
            let name = key_of(address.as_str());
            name.starts_with(GIVEN) && self.topology.queue(&name).is_some()
        }
    }

    fn check_limits(&self, publication: &Publication) -> Result<(), Rejection> {
        self.check_size(publication)?;
        self.check_levels(publication.address.as_bytes())
    }

    fn check_size(&self, publication: &Publication) -> Result<(), Rejection> {
        let limits = self.limits();
        if publication.payload.len() > limits.payload_bytes as usize {
            let detail = format!(
                "the payload has {} bytes, {} are allowed by 'limits.payload_bytes'",
                publication.payload.len(),
                limits.payload_bytes
            );
            return Err(Rejection { cause: Cause::TooLarge, detail: Some(detail.into()) });
        }
        Ok(())
    }

    /// Whether an address or filter has no more levels than allowed.
    pub(crate) fn check_levels(&self, path: &[u8]) -> Result<(), Rejection> {
        let most = usize::from(self.limits().address_levels).min(MOST_LEVELS);
        // A path can have at most one level more than it has bytes: most are short enough not to be looked at.
        if path.len() >= most && path.iter().filter(|byte| **byte == b'/').count() >= most {
            let detail = format!("it has more levels than the {most} of 'limits.address_levels'");
            return Err(Rejection { cause: Cause::BadAddress, detail: Some(detail.into()) });
        }
        Ok(())
    }

    /// An event as the node knows it.
    #[inline]
    pub(crate) fn make_event(
        &mut self,
        now: Now,
        origin: Arc<Origin>,
        publication: Publication,
    ) -> Arc<Event> {
        let (time, id) = self.ids.next(now.wall);
        Arc::new(Event {
            id,
            time,
            address: publication.address,
            origin,
            assurance: publication.assurance,
            retain: publication.retain,
            expires: publication.expiry.map(|expiry| time + expiry),
            payload: publication.payload,
            details: publication.details,
        })
    }

    /// Takes on the debt for a publication.
    fn owe(&mut self, now: Now, by: &Identified, tag: Tag, debtor: Debtor) -> Receipt {
        self.counts.at(by.listener()).events_in += 1;
        if tag != Tag::NONE {
            self.count_unsettled(by.connection());
        }
        self.receipts.issue(debtor, by.listener(), now.moment)
    }

    /// Whether an exactly-once publication came before. Settled, it is answered again; otherwise its answer will come.
    fn taken_before(&mut self, by: &Identified, tag: Tag) -> Before {
        let session = self.sessions.get_mut(by.session());
        let inbound = session.and_then(|session| session.inbound.as_mut());
        match inbound.and_then(|inbound| inbound.get_mut(&tag)) {
            None => Before::Never,
            Some(Inbound::Pending(pending)) => {
                pending.connection = Some(by.connection());
                Before::Taken
            }
            Some(Inbound::Interrupted) => {
                self.record_released(by.session(), tag);
                Before::Interrupted
            }
            Some(Inbound::Accepted { heard }) => {
                let heard = *heard;
                let outcome = Outcome::Accepted;
                self.direct(by.connection(), Directive::Settle { tag, outcome, heard });
                Before::Taken
            }
        }
    }

    fn remember_inbound(
        &mut self,
        session: SessionKey,
        connection: ConnectionId,
        tag: Tag,
        event: EventId,
    ) -> Ticket {
        let ticket = self.next_ticket();
        if let Some(session) = self.sessions.get_mut(session) {
            let pending = Pending { ticket, event, connection: Some(connection) };
            session.inbound.get_or_insert_default().insert(tag, Inbound::Pending(pending));
        }
        self.record_taken(session, tag, event);
        ticket
    }

    /// The peer of an exactly-once publication has our answer.
    pub(crate) fn release_inbound(&mut self, connection: ConnectionId, tag: Tag) {
        let Some(by) = self.identify(connection) else { return };
        let session = self.sessions.get_mut(by.session());
        let known = session.is_some_and(|session| session.forget_inbound(tag));
        if known {
            self.record_released(by.session(), tag);
        }
        self.direct(connection, Directive::Released { tag, known });
    }

    /// Settles what was not let through, with a line that says why.
    fn reject(
        &mut self,
        now: Now,
        origin: &Origin,
        address: &Address,
        mut receipt: Receipt,
        rejection: Rejection,
    ) {
        self.counts.drop(rejection.cause.name());
        self.note_rejected(now, origin, address, &rejection);
        receipt.note(Outcome::Rejected(rejection));
        self.acknowledge(now, receipt);
    }

    /// The machine refused a publication and answered it.
    pub(crate) fn refused_by_machine(
        &mut self,
        now: Now,
        connection: ConnectionId,
        address: &Address,
        cause: Cause,
        detail: &'static str,
    ) {
        let Some(by) = self.identify(connection) else { return };
        self.counts.at(by.listener()).events_in += 1;
        self.counts.at(by.listener()).settled[Outcome::rejected(cause).rank()] += 1;
        self.counts.drop(cause.name());
        let rejection = Rejection { cause, detail: Some(detail.into()) };
        self.note_rejected(now, by.origin(), address, &rejection);
    }

    /// A line about an event that was rejected, unless there were many of the kind.
    pub(crate) fn note_rejected(
        &mut self,
        now: Now,
        origin: &Origin,
        address: &Address,
        rejection: &Rejection,
    ) {
        if let Some(suppressed) = self.notices.allow(now, rejection.cause.name()) {
            tracing::warn!(
                listener = &*origin.listener,
                session = &*origin.session,
                identity = %origin.identity,
                owner = origin.identity.owner().map(|owner| &**owner),
                address = address.as_str(),
                cause = rejection.cause.name(),
                detail = rejection.detail.as_deref(),
                suppressed,
                "event rejected"
            );
        }
    }
}
