//! SUBSCRIBE and UNSUBSCRIBE (MQTT 5 §3.8, §3.10).

use super::Server;
use crate::mqtt::ReasonCode;
use crate::mqtt::codec::{CodecError, Packet, Suback, Subscribe, Unsubscribe, Version};
use crate::mqtt::reason::not_subscribed;
use windrose_event::{Assurance, Filter, Intent, Rejection, SubscriptionRequest, Tag, Text};

/// A SUBSCRIBE or UNSUBSCRIBE some of whose filters are not fit to be asked for: which ones have their code already.
struct Asked {
    tag: Tag,
    codes: Vec<Option<ReasonCode>>,
}

/// Those of them whose own part of the answer waits for the engine's.
#[derive(Default)]
pub(super) struct AskedList(Vec<Asked>);

impl Server {
    pub(super) fn subscribe(&mut self, subscribe: Subscribe) -> Result<(), CodecError> {
        let tag = Tag(subscribe.packet_id);
        let identifier = subscribe
            .properties
            .as_ref()
            .and_then(|properties| properties.subscription_identifiers.first().copied());
        let mut requests = Vec::with_capacity(subscribe.filters.len());
        let mut codes = Vec::with_capacity(subscribe.filters.len());
        for wanted in subscribe.filters {
            let Some((group, filter)) = filter(&wanted.filter) else {
                codes.push(Some(self.no_filter()?));
                continue;
            };
            if group.is_some() && wanted.no_local {
                return Err(CodecError::protocol("a shared subscription has No Local"));
            }
            codes.push(None);
            let own_copy = self.config.overlapping_each && filter.is_wild();
            requests.push(SubscriptionRequest {
                filter,
                group,
                assurance: self.capped(wanted.qos),
                no_local: wanted.no_local || self.bridge,
                retain_as_published: wanted.retain_as_published || self.bridge,
                own_copy,
                retained: wanted.retain_handling,
                identifier,
            });
        }
        if requests.is_empty() {
            return self.say_suback(tag, codes.into_iter().flatten().collect());
        }
        self.remember(tag, codes);
        self.intend(Intent::Subscribe { tag, requests });
        Ok(())
    }

    pub(super) fn unsubscribe(&mut self, unsubscribe: Unsubscribe) -> Result<(), CodecError> {
        let tag = Tag(unsubscribe.packet_id);
        let mut filters = Vec::with_capacity(unsubscribe.filters.len());
        let mut codes = Vec::with_capacity(unsubscribe.filters.len());
        for text in &unsubscribe.filters {
            match filter(text) {
                Some(filter) => {
                    codes.push(None);
                    filters.push(filter);
                }
                None => codes.push(Some(self.no_filter()?)),
            }
        }
        if filters.is_empty() {
            return self.say_unsuback(tag, codes.into_iter().flatten().collect());
        }
        self.remember(tag, codes);
        self.intend(Intent::Unsubscribe { tag, filters });
        Ok(())
    }

    /// How what is no filter is answered. It is a violation of the protocol before MQTT 5 (MQTT 3.1.1 §4.7.1, §4.8): its
    /// 0x80 is for filters that are well-formed and not granted.
    fn no_filter(&self) -> Result<ReasonCode, CodecError> {
        match self.version {
            Version::V5 => Ok(ReasonCode::TOPIC_FILTER_INVALID),
            Version::V3 => Err(CodecError::malformed("a topic filter is not valid")),
        }
    }

    fn remember(&mut self, tag: Tag, codes: Vec<Option<ReasonCode>>) {
        if codes.iter().any(Option::is_some) {
            self.asked.get_or_insert_default().0.push(Asked { tag, codes });
        }
    }

    /// Puts the engine's codes where this machine has none.
    fn merge(&mut self, tag: Tag, theirs: impl Iterator<Item = ReasonCode>) -> Vec<ReasonCode> {
        let Some(AskedList(all)) = self.asked.as_deref_mut() else { return theirs.collect() };
        let Some(index) = all.iter().position(|asked| asked.tag == tag) else {
            return theirs.collect();
        };
        let mut theirs = theirs;
        let ours = all.remove(index).codes;
        if all.is_empty() {
            self.asked = None;
        }
        ours.into_iter().filter_map(|code| code.or_else(|| theirs.next())).collect()
    }

    pub(super) fn subscribed(
        &mut self,
        tag: Tag,
        results: Vec<Result<Assurance, Rejection>>,
    ) -> Result<(), CodecError> {
        let (version, legacy) = (self.version, self.legacy);
        let codes = results.into_iter().map(|result| match result {
            Ok(granted) => ReasonCode(granted as u8),
            // MQTT 3.1 has no code for a refusal, and clients that count granted subscriptions would be confused by
            // one. The least that can be granted is said; nothing is ever delivered.
            Err(_) if legacy => ReasonCode::SUCCESS,
            Err(_) if version == Version::V3 => ReasonCode::UNSPECIFIED_ERROR,
            Err(rejection) => not_subscribed(rejection.cause),
        });
        let codes = self.merge(tag, codes);
        self.say_suback(tag, codes)
    }

    pub(super) fn unsubscribed(&mut self, tag: Tag, results: &[bool]) -> Result<(), CodecError> {
        let codes = results.iter().map(|&existed| match existed {
            true => ReasonCode::SUCCESS,
            false => ReasonCode::NO_SUBSCRIPTION_EXISTED,
        });
        let codes = self.merge(tag, codes);
        self.say_unsuback(tag, codes)
    }

    fn say_suback(&mut self, tag: Tag, codes: Vec<ReasonCode>) -> Result<(), CodecError> {
        self.answer(Packet::Suback(Suback { packet_id: tag.0, properties: None, codes }))
    }

    fn say_unsuback(&mut self, tag: Tag, codes: Vec<ReasonCode>) -> Result<(), CodecError> {
        self.answer(Packet::Unsuback(Suback { packet_id: tag.0, properties: None, codes }))
    }

    /// Who asks for more than the answer it takes can say would wait for it for ever.
    fn answer(&mut self, packet: Packet) -> Result<(), CodecError> {
        if self.say(packet) {
            return Ok(());
        }
        let problem = "the answer is larger than the client's Maximum Packet Size";
        Err(CodecError { code: ReasonCode::PACKET_TOO_LARGE, problem })
    }
}

/// Takes apart `$share/GROUP/FILTER`; `None` if it breaks the rules for filters (MQTT 5 §4.7.1, §4.8.2).
fn filter(text: &Text) -> Option<(Option<Text>, Filter)> {
    let (group, filter) = match text.strip_prefix("$share/") {
        None if &**text == "$share" => return None,
        None => (None, &**text),
        Some(rest) => {
            let (group, filter) = rest.split_once('/')?;
            if group.is_empty() || group.contains(['+', '#']) {
                return None;
            }
            (Some(Text::from(group)), filter)
        }
    };
    Some((group, Filter::new(filter).ok()?))
}
