//! SUBSCRIBE and UNSUBSCRIBE (MQTT 5 §3.8 to §3.11).

use super::{Client, ClientOutput, State};
use crate::mqtt::codec::{CodecError, Packet, Properties, Suback, Subscribe, SubscribeFilter, Unsubscribe};
use smallvec::smallvec;
use windrose_event::{Assurance, Filter, Now, RetainedDelivery, Text};

/// A SUBSCRIBE or UNSUBSCRIBE that is not answered yet.
pub(super) struct Asked {
    pub(super) packet_id: u16,
    /// The subscription's number; `None`: it is an UNSUBSCRIBE.
    identifier: Option<u32>,
}

impl Client {
    /// Subscribes to all that a filter matches, but not to what this client publishes itself. `identifier`, which is not
    /// zero, tells the subscription from others. `false`: the session is not open, or all packet identifiers are in use.
    pub fn subscribe(&mut self, now: Now, filter: &Filter, identifier: u32) -> bool {
        if self.state != State::Open {
            return false;
        }
        let Some(packet_id) = self.next_identifier() else { return false };
        let filter = SubscribeFilter {
            filter: Text::from(filter.as_str()),
            qos: Assurance::ExactlyOnce,
            no_local: true,
            retain_as_published: true,
            retain_handling: RetainedDelivery::Always,
        };
        let properties = self.server.subscription_identifiers.then(|| {
            Box::new(Properties { subscription_identifiers: smallvec![identifier], ..Properties::default() })
        });
        let subscribe = Subscribe { packet_id, properties, filters: vec![filter] };
        if !self.say(now, &Packet::Subscribe(subscribe)) {
            self.identifiers.remove(&packet_id);
            self.put(ClientOutput::Subscribed { identifier, granted: false });
            return true;
        }
        self.asked.push(Asked { packet_id, identifier: Some(identifier) });
        true
    }

    /// Ends a subscription. `false`: the session is not open, or all packet identifiers are in use.
    pub fn unsubscribe(&mut self, now: Now, filter: &Filter) -> bool {
        if self.state != State::Open {
            return false;
        }
        let Some(packet_id) = self.next_identifier() else { return false };
        let filters = vec![Text::from(filter.as_str())];
        let unsubscribe = Unsubscribe { packet_id, properties: None, filters };
        if !self.say(now, &Packet::Unsubscribe(unsubscribe)) {
            self.identifiers.remove(&packet_id);
            return true;
        }
        self.asked.push(Asked { packet_id, identifier: None });
        true
    }

    /// Whether messages tell which subscriptions they are for.
    pub fn names_subscriptions(&self) -> bool {
        self.server.subscription_identifiers
    }

    pub(super) fn suback(&mut self, suback: &Suback) -> Result<(), CodecError> {
        let asked = self.answered(suback.packet_id, |asked| asked.identifier.is_some());
        let Some(identifier) = asked.and_then(|asked| asked.identifier) else {
            return Err(CodecError::protocol("SUBACK came for what was not asked"));
        };
        let &[code] = &suback.codes[..] else {
            return Err(CodecError::protocol(
                "SUBACK has another number of codes than filters were asked for",
            ));
        };
        self.put(ClientOutput::Subscribed { identifier, granted: !code.is_error() });
        Ok(())
    }

    pub(super) fn unsuback(&mut self, unsuback: &Suback) -> Result<(), CodecError> {
        match self.answered(unsuback.packet_id, |asked| asked.identifier.is_none()) {
            Some(_) => Ok(()),
            None => Err(CodecError::protocol("UNSUBACK came for what was not asked")),
        }
    }

    fn answered(&mut self, packet_id: u16, fits: impl Fn(&Asked) -> bool) -> Option<Asked> {
        let index = self.asked.iter().position(|asked| asked.packet_id == packet_id && fits(asked))?;
        self.identifiers.remove(&packet_id);
        Some(self.asked.swap_remove(index))
    }
}
