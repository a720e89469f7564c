//! What is published to exchanges, and what queues send on by them.

use crate::engine::Engine;
use crate::steps::inspect::Inspected;
use std::sync::Arc;
use windrose_event::{
    Address, Cause, ConnectionId, Death, Event, Now, Original, Publish, Rejection, Text, address_of,
    is_namespace, key_of,
};

/// How many alternate exchanges an event goes by, one after the other.
const MOST_ALTERNATES: usize = 16;

impl Engine {
    /// Publishes to an exchange, at the address that the event has there.
    pub(crate) fn publish_through(
        &mut self,
        now: Now,
        connection: ConnectionId,
        exchange: &Text,
        publish: Publish,
    ) {
        let Some(identified) = self.identify(connection) else { return };
        let has_alternate = match self.may_enter(exchange) {
            Ok(has_alternate) => has_alternate,
            Err(rejection) => return self.refuse_publication(now, &identified, publish, rejection),
        };
        let Some(mut inspected) = self.inspect(now, identified, publish) else { return };
        if has_alternate {
            self.go_by_alternates(exchange, &mut inspected);
        }
        let routed = self.route(now, inspected);
        self.deliver(now, routed);
    }

    /// Whether peers may publish to an exchange; then whether it has an alternate one.
    fn may_enter(&self, name: &Text) -> Result<bool, Rejection> {
        if name.is_empty() {
            return Ok(false);
        }
        let (cause, detail) = match self.topology.exchange(name.as_str()) {
            None => (Cause::NotFound, format!("no exchange '{name}' in vhost '/'")),
            Some(exchange) if exchange.declaration.internal => {
                (Cause::NotPermitted, format!("cannot publish to internal exchange '{name}' in vhost '/'"))
            }
            Some(exchange) => return Ok(exchange.declaration.alternate.is_some()),
        };
        Err(Rejection { cause, detail: Some(detail.into()) })
    }

    /// Has an event that was published to an exchange happen at the alternate exchange, if nobody wants it there.
    fn go_by_alternates(&mut self, exchange: &Text, inspected: &mut Inspected) {
        let mut name = exchange.clone();
        for _ in 0..MOST_ALTERNATES {
            let known = self.topology.exchange(name.as_str());
            let Some(alternate) = known.and_then(|known| known.declaration.alternate.clone()) else { break };
            if self.topology.exchange(alternate.as_str()).is_none() && !alternate.is_empty()
                || self.is_wanted_by_route(inspected.event())
                || self.is_heard(inspected.event())
            {
                break;
            }
            let Some(key) = self.key_on(name.as_str(), &inspected.event().address) else { break };
            let Ok(address) = address_of(alternate.as_str(), &key) else { break };
            inspected.readdress(address);
            name = alternate;
        }
    }

    /// Sends on, by an exchange, what a queue could not deliver. Without a key it goes by its own.
    pub(crate) fn publish_dead(
        &mut self,
        now: Now,
        event: &Arc<Event>,
        exchange: &Text,
        key: Option<&Text>,
        deaths: Vec<Death>,
    ) {
        let key = key.map_or_else(|| self.key_of_event(event), |key| key.as_str().to_owned());
        let known = exchange.is_empty() || self.topology.exchange(exchange.as_str()).is_some();
        let Some(address) = address_of(exchange.as_str(), &key).ok().filter(|_| known) else {
            return self.counts.drop("dead_letter_unrouted");
        };
        let (time, id) = self.ids.next(now.wall);
        let mut details = event.details.clone().unwrap_or_default();
        details.deaths = deaths;
        details.original = details.original.and_then(|original| match original.form {
            Original::AMQP_0_9_1 => original.routed(exchange.as_str(), &key),
            _ => Some(original),
        });
        let dead = Event {
            id,
            time,
            address,
            origin: event.origin.clone(),
            assurance: event.assurance,
            retain: false,
            expires: None,
            payload: event.payload.clone(),
            details: Some(details),
        };
        let mut inspected = self.inspect_dead(now, Arc::new(dead));
        self.go_by_alternates(exchange, &mut inspected);
        let routed = self.route(now, inspected);
        self.deliver(now, routed);
    }

    /// The routing key that an event was published with.
    fn key_of_event(&self, event: &Event) -> String {
        let original = event.details.as_ref().and_then(|details| details.original.as_ref());
        if let Some((_, key)) = original.and_then(Original::route) {
            return key.to_owned();
        }
        let first = event.address.levels().next().unwrap_or_default();
        let name = self.topology.exchange_at(first).map(|exchange| exchange.head.name.clone());
        let name = name.as_ref().map_or("", |name| name.as_str());
        self.key_on(name, &event.address).unwrap_or_default()
    }

    /// The routing key that stands for an address on an exchange.
    fn key_on(&self, exchange: &str, address: &Address) -> Option<String> {
        if is_namespace(exchange) {
            return Some(key_of(address.as_str()));
        }
        let exchange = self.topology.exchange(exchange)?;
        Some(key_of(exchange.head.key(address.as_str())))
    }
}
