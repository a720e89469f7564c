//! CONNECT and its answer (MQTT 5 §3.1, §3.2).

use super::accept::seconds;
use super::aliases::Given;
use super::auth::Authentication;
use super::{Server, State};
use crate::mqtt::ReasonCode;
use crate::mqtt::codec::{CodecError, Connack, Connect, LastWill, Packet, Properties, Version};
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Address, Assurance, CloseCause, Details, Intent, Open, Publication, Secret, Will};

impl Server {
    pub(super) fn connect(&mut self, connect: Connect) -> Result<(), CodecError> {
        let properties = connect.properties.map(|properties| *properties).unwrap_or_default();
        self.problem_information = properties.request_problem_information != Some(0);
        self.bridge = connect.bridge;
        self.explains = properties.request_problem_information == Some(1);
        self.maximum_packet_size = properties.maximum_packet_size.unwrap_or(u32::MAX);
        if self.version == Version::V3
            && let Some(problem) = self.client_id_problem(&connect.client_id, connect.clean_start)
        {
            // 3.1.1 §3.2.2.3: identifier rejected.
            let code = ReasonCode(2);
            self.say(Packet::Connack(Connack { session_present: false, code, properties: None }));
            self.close_transport(CloseCause::Protocol(problem.into()));
            return Ok(());
        }
        self.asks_response_information = properties.request_response_information == Some(1);
        self.given = Given::new(properties.topic_alias_maximum.unwrap_or(0), self.config.topic_alias_maximum);
        let will = connect.will.map(|will| self.will(will)).transpose()?;

        self.keep_alive = self.bounded_keep_alive(connect.keep_alive);
        self.keep_alive_capped = self.keep_alive != connect.keep_alive;
        let keep = match (self.version, properties.session_expiry_interval) {
            (Version::V3, _) if connect.clean_start => Duration::ZERO,
            // Without a name nobody could take the session up again.
            (Version::V3, _) if connect.client_id.is_empty() => Duration::ZERO,
            (Version::V3, _) | (Version::V5, Some(u32::MAX)) => Duration::MAX,
            (Version::V5, seconds) => Duration::from_secs(seconds.unwrap_or(0).into()),
        };
        self.expires_at_once = keep.is_zero();
        self.asked_keep = seconds(keep);

        let mut claim = self.claim.take().map(|claim| *claim).unwrap_or_default();
        let session = (!connect.client_id.is_empty()).then(|| Arc::<str>::from(connect.client_id.as_str()));
        claim.session.clone_from(&session);
        claim.username = connect.username;
        claim.password = connect.password.map(Secret::new);
        if let Some(method) = properties.authentication_method {
            claim.method = Some(method.clone());
            claim.response = properties.authentication_data.map(Secret::new);
            self.authentication = Some(Authentication::new(method, &claim));
        }
        self.state = State::Opening;
        self.intend(Intent::Open(Box::new(Open {
            protocol: "mqtt",
            version: self.version(),
            session,
            claim,
            resume: !connect.clean_start,
            keep,
            window: properties.receive_maximum.unwrap_or(u16::MAX),
            will,
        })));
        Ok(())
    }

    /// What is wrong with a client identifier before MQTT 5 (MQTT 3.1 §3.1, MQTT 3.1.1 §3.1.3.1).
    fn client_id_problem(&self, client_id: &str, clean_session: bool) -> Option<&'static str> {
        let quirks = self.config.quirks;
        match client_id.chars().count() {
            0 if self.legacy => (!quirks.empty_client_id)
                .then_some("MQTT 3.1 needs a client identifier (listeners[].mqtt.quirks.empty_client_id)"),
            0 => (!clean_session).then_some("an empty client identifier needs a clean session"),
            24.. if self.legacy && !quirks.long_client_id => Some(
                "MQTT 3.1 has client identifiers of at most 23 characters (listeners[].mqtt.quirks.long_client_id)",
            ),
            _ => None,
        }
    }

    /// The keep alive that the policy grants, in seconds; zero: no bound.
    fn bounded_keep_alive(&self, asked: u16) -> u16 {
        let Some(most) = self.config.keep_alive_max else { return asked };
        let most = u16::try_from(most.as_secs()).unwrap_or(u16::MAX).max(1);
        match (asked, self.version) {
            (0, Version::V5) => most,
            (0, Version::V3) if self.config.quirks.cap_keep_alive => most,
            (asked, Version::V5) => asked.min(most),
            (asked, Version::V3) if self.config.quirks.cap_keep_alive => asked.min(most),
            // 3.x cannot be told another: whoever keeps to its own must not be cut off.
            (asked, Version::V3) => asked,
        }
    }

    fn will(&self, will: LastWill) -> Result<Box<Will>, CodecError> {
        self.check_offered(will.qos, will.retain)?;
        let address = Address::new(will.topic).map_err(|_| CodecError {
            code: ReasonCode::TOPIC_NAME_INVALID,
            problem: "CONNECT has a will whose topic is no topic name",
        })?;
        if !self.is_shallow(&address) {
            let problem = "CONNECT has a will whose topic has more levels than limits.address_levels";
            return Err(CodecError { code: ReasonCode::TOPIC_NAME_INVALID, problem });
        }
        if will.payload.len() > self.config.payload_bytes as usize {
            let problem = "CONNECT has a will larger than limits.payload_bytes";
            return Err(CodecError { code: ReasonCode::PACKET_TOO_LARGE, problem });
        }
        let mut publication = Publication {
            address,
            payload: will.payload,
            assurance: self.capped(will.qos),
            retain: will.retain,
            expiry: None,
            details: None,
        };
        let mut delay = Duration::ZERO;
        if let Some(properties) = will.properties {
            delay = Duration::from_secs(properties.will_delay_interval.unwrap_or(0).into());
            describe(&mut publication, *properties)?;
        }
        if !says_truly(&publication) {
            let problem = "CONNECT has a will that is said to be text and is not UTF-8";
            return Err(CodecError { code: ReasonCode::PAYLOAD_FORMAT_INVALID, problem });
        }
        Ok(Box::new(Will { publication, delay }))
    }

    /// A QoS, no higher than the listener's Maximum QoS.
    pub(super) fn capped(&self, qos: Assurance) -> Assurance {
        self.config.quirks.maximum_qos.map_or(qos, |most| qos.min(most))
    }

    /// A client of MQTT 5 was told of Maximum QoS and Retain Available [MQTT-3.2.2-11] [MQTT-3.2.2-14]; older ones cannot
    /// be and are served with less.
    pub(super) fn check_offered(&self, qos: Assurance, retain: bool) -> Result<(), CodecError> {
        if self.version == Version::V5 && retain && !self.config.retain_available {
            let problem = "RETAIN is set and no last values are kept (limits.retained_events)";
            return Err(CodecError { code: ReasonCode::RETAIN_NOT_SUPPORTED, problem });
        }
        if self.version == Version::V5 && self.capped(qos) != qos {
            let problem = "a QoS is higher than Maximum QoS (listeners[].mqtt.quirks.maximum_qos)";
            return Err(CodecError { code: ReasonCode::QOS_NOT_SUPPORTED, problem });
        }
        Ok(())
    }

    /// Whether an address has no more levels than the policy allows.
    pub(super) fn is_shallow(&self, address: &Address) -> bool {
        let (path, most) = (address.as_bytes(), usize::from(self.config.address_levels));
        // It can have at most one level more than it has bytes: most are short enough not to be looked at.
        path.len() < most || path.iter().filter(|&&byte| byte == b'/').count() < most
    }
}

/// Moves what properties say of a message into its publication.
pub(in crate::mqtt) fn describe(
    publication: &mut Publication,
    properties: Properties,
) -> Result<(), CodecError> {
    publication.expiry =
        properties.message_expiry_interval.map(|seconds| Duration::from_secs(seconds.into()));
    let reply_to = properties
        .response_topic
        .map(|topic| {
            Address::new(topic).map_err(|_| CodecError::protocol("a response topic is no topic name"))
        })
        .transpose()?;
    let details = Details {
        content_type: properties.content_type,
        is_text: properties.payload_format_indicator.map(|indicator| indicator == 1),
        reply_to,
        correlation: properties.correlation_data,
        headers: properties.user_properties,
        ..Details::default()
    };
    if details != Details::default() {
        publication.details = Some(Box::new(details));
    }
    Ok(())
}

/// Whether a payload that is said to be text is UTF-8 (MQTT 5 §3.3.2.3.2).
pub(in crate::mqtt) fn says_truly(publication: &Publication) -> bool {
    let is_text = publication.details.as_ref().is_some_and(|details| details.is_text == Some(true));
    !is_text || std::str::from_utf8(&publication.payload).is_ok()
}
