//! What a thing's response to a delivery means to the engine.

use super::call::Failure;
use super::outcome::outcome;
use crate::coap::codec::option;
use crate::coap::exchange::Response;
use crate::coap::format;
use std::time::Duration;
use windrose_event::{
    Assurance, Claim, Details, Event, Filter, Intent, Open, Outcome, Publication, Publish, RetainedDelivery,
    SubscriptionRequest, Tag,
};

/// Opens a thing's session.
pub fn open(claim: Claim, window: u16) -> Intent {
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

/// Subscribes a thing to the addresses of its resources, each by its number, from 1.
pub fn subscribe<'a>(name: &str, resources: impl Iterator<Item = &'a str>) -> Intent {
    let requests = resources.zip(1..).filter_map(|(resource, number)| {
        Some(SubscriptionRequest {
            filter: Filter::new(&format!("devices/{name}/{resource}")).ok()?,
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

/// What the engine is told once a thing has answered a delivery, or will not: its reply goes where the event wants it.
pub fn settle(tag: Tag, event: &Event, result: Result<Response, Failure>) -> Vec<Intent> {
    let outcome = outcome(&result);
    let mut intents = Vec::with_capacity(2);
    if let Some(reply_to) = event.reply_to() {
        intents.push(match result {
            Ok(response) if outcome == Outcome::Accepted => {
                let number = response.options.as_options().uint(option::CONTENT_FORMAT);
                let content_type =
                    number.and_then(|number| u16::try_from(number).ok()).map(format::media_type);
                let details =
                    Details { content_type, correlation: event.correlation().cloned(), ..Details::default() };
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
            _ => Intent::Decline { reply_to: reply_to.clone(), outcome: outcome.clone() },
        });
    }
    if tag != Tag::NONE {
        intents.push(Intent::Settle { tag, outcome });
    }
    intents
}
