//! One registered thing, and what the engine is told for it.

use crate::coap::codec::option;
use crate::coap::{Lane, Remote, Response, format};
use std::time::Duration;
use windrose_event::{
    Address, Assurance, Claim, Details, Event, Filter, Intent, Moment, Open, Publication, Publish,
    RetainedDelivery, SubscriptionRequest, Tag,
};

/// How far a registration has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The thing is asked for its links.
    Asked,
    /// Its session is opened and its subscriptions are made; then whoever asked is answered.
    Opening { ask: Option<u32> },
    /// It is registered.
    Live,
}

/// A registration.
#[derive(Debug)]
pub(super) struct Thing {
    pub(super) remote: Remote,
    /// What it claims to be, until its session is opened.
    pub(super) claim: Option<Box<Claim>>,
    /// What it is known as (RFC 9176 §5, endpoint name).
    pub(super) name: String,
    pub(super) lifetime: Duration,
    pub(super) end: Moment,
    pub(super) resources: Vec<String>,
    pub(super) stage: Stage,
    pub(super) lane: Option<Lane>,
}

impl Thing {
    /// Whether a peer may end the registration.
    pub(super) fn is_from(&self, remote: Remote) -> bool {
        self.may_move_to(remote)
    }

    /// Whether requests may go to a peer from now on: one without security may have another address, a session is itself.
    pub(super) fn may_move_to(&self, remote: Remote) -> bool {
        match (self.remote, remote) {
            (Remote::Udp { .. }, Remote::Udp { .. }) => true,
            (mine, theirs) => mine == theirs,
        }
    }

    /// Subscribes to the addresses of its resources, each by its number.
    pub(super) fn subscribe(&self) -> Intent {
        let requests = self.resources.iter().zip(1..).filter_map(|(resource, number)| {
            Some(SubscriptionRequest {
                filter: Filter::new(&format!("devices/{}/{resource}", self.name)).ok()?,
                group: None,
                assurance: Assurance::AtLeastOnce,
                no_local: true,
                retain_as_published: false,
                own_copy: true,
                retained: RetainedDelivery::Never,
                identifier: Some(number),
            })
        });
        Intent::Subscribe { tag: Tag(1), requests: requests.collect() }
    }

    /// The resource that a delivery's subscription is for.
    pub(super) fn resource(&self, subscriptions: &[u32]) -> Option<&str> {
        let number = subscriptions.first()?.checked_sub(1)?;
        self.resources.get(number as usize).map(String::as_str)
    }
}

/// Opens a thing's session.
pub(super) fn open(claim: Claim, window: u16) -> Intent {
    Intent::Open(Box::new(Open {
        protocol: "coap",
        version: "1",
        session: None,
        claim,
        resume: false,
        keep: Duration::ZERO,
        window: window.max(1),
        will: None,
    }))
}

/// Publishes a thing's response where the event that it was asked wants its answer.
pub(super) fn reply(reply_to: &Address, event: &Event, response: Response) -> Intent {
    let number = response.options.as_options().uint(option::CONTENT_FORMAT);
    let content_type = number.and_then(|number| u16::try_from(number).ok()).map(format::media_type);
    let details = Details { content_type, correlation: event.correlation().cloned(), ..Details::default() };
    let publication = Publication {
        address: reply_to.clone(),
        payload: response.payload,
        assurance: Assurance::AtMostOnce,
        retain: false,
        expiry: None,
        details: Some(Box::new(details)),
    };
    Intent::Publish(Publish { tag: Tag::NONE, again: false, publication })
}
