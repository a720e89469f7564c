//! Reason codes, and the table by which outcomes become them.

use super::codec::kind;
use windrose_event::{Cause, CloseReason, Outcome, RefusalCause, Rejection};

/// One byte that says what became of something (MQTT 5 §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReasonCode(pub u8);

#[allow(missing_docs, reason = "the names are the specification's own, in its table of §2.4")]
impl ReasonCode {
    pub const SUCCESS: Self = Self(0x00);
    pub const DISCONNECT_WITH_WILL: Self = Self(0x04);
    pub const NO_MATCHING_SUBSCRIBERS: Self = Self(0x10);
    pub const NO_SUBSCRIPTION_EXISTED: Self = Self(0x11);
    pub const CONTINUE_AUTHENTICATION: Self = Self(0x18);
    pub const RE_AUTHENTICATE: Self = Self(0x19);
    pub const UNSPECIFIED_ERROR: Self = Self(0x80);
    pub const MALFORMED_PACKET: Self = Self(0x81);
    pub const PROTOCOL_ERROR: Self = Self(0x82);
    pub const IMPLEMENTATION_SPECIFIC_ERROR: Self = Self(0x83);
    pub const UNSUPPORTED_PROTOCOL_VERSION: Self = Self(0x84);
    pub const CLIENT_IDENTIFIER_NOT_VALID: Self = Self(0x85);
    pub const BAD_USER_NAME_OR_PASSWORD: Self = Self(0x86);
    pub const NOT_AUTHORIZED: Self = Self(0x87);
    pub const SERVER_UNAVAILABLE: Self = Self(0x88);
    pub const BANNED: Self = Self(0x8a);
    pub const CONNECTION_RATE_EXCEEDED: Self = Self(0x9f);
    pub const SERVER_SHUTTING_DOWN: Self = Self(0x8b);
    pub const BAD_AUTHENTICATION_METHOD: Self = Self(0x8c);
    pub const KEEP_ALIVE_TIMEOUT: Self = Self(0x8d);
    pub const SESSION_TAKEN_OVER: Self = Self(0x8e);
    pub const TOPIC_FILTER_INVALID: Self = Self(0x8f);
    pub const TOPIC_NAME_INVALID: Self = Self(0x90);
    pub const PACKET_IDENTIFIER_IN_USE: Self = Self(0x91);
    pub const PACKET_IDENTIFIER_NOT_FOUND: Self = Self(0x92);
    pub const RECEIVE_MAXIMUM_EXCEEDED: Self = Self(0x93);
    pub const TOPIC_ALIAS_INVALID: Self = Self(0x94);
    pub const PACKET_TOO_LARGE: Self = Self(0x95);
    pub const QUOTA_EXCEEDED: Self = Self(0x97);
    pub const ADMINISTRATIVE_ACTION: Self = Self(0x98);
    pub const PAYLOAD_FORMAT_INVALID: Self = Self(0x99);
    pub const RETAIN_NOT_SUPPORTED: Self = Self(0x9a);
    pub const QOS_NOT_SUPPORTED: Self = Self(0x9b);
    pub const USE_ANOTHER_SERVER: Self = Self(0x9c);
    pub const SHARED_SUBSCRIPTIONS_NOT_SUPPORTED: Self = Self(0x9e);

    /// Whether it says that something failed.
    pub const fn is_error(self) -> bool {
        self.0 >= 0x80
    }
}

/// Whether a client may give this code in a packet of this kind (MQTT 5 §3.4.2.1 to §3.7.2.1, §3.14.2.1).
pub(super) fn is_clients(packet: u8, code: ReasonCode) -> bool {
    match packet {
        kind::PUBACK | kind::PUBREC => {
            matches!(code.0, 0x00 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99)
        }
        kind::PUBREL | kind::PUBCOMP => matches!(code.0, 0x00 | 0x92),
        kind::DISCONNECT => matches!(code.0, 0x00 | 0x04 | 0x80..=0x83 | 0x90 | 0x93..=0x99),
        _ => false,
    }
}

/// How a publication's outcome is acknowledged in MQTT 5.
///
/// `heard`: whether it is to be said that somebody listened. PUBREC never says that nobody does: it comes before the
/// message goes anywhere.
pub(super) fn settled(outcome: &Outcome, heard: bool) -> ReasonCode {
    match outcome {
        Outcome::Accepted if heard => ReasonCode::SUCCESS,
        Outcome::Accepted => ReasonCode::NO_MATCHING_SUBSCRIBERS,
        Outcome::Busy { .. } => ReasonCode::QUOTA_EXCEEDED,
        Outcome::TimedOut => ReasonCode::UNSPECIFIED_ERROR,
        Outcome::Unavailable { .. } => ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR,
        Outcome::Rejected(rejection) => match rejection.cause {
            Cause::Malformed | Cause::BadPayload => ReasonCode::PAYLOAD_FORMAT_INVALID,
            Cause::BadAddress => ReasonCode::TOPIC_NAME_INVALID,
            Cause::NotPermitted => ReasonCode::NOT_AUTHORIZED,
            Cause::TooLarge => ReasonCode::PACKET_TOO_LARGE,
            Cause::Quota => ReasonCode::QUOTA_EXCEEDED,
            Cause::ByService | Cause::Unsupported | Cause::Expired | Cause::NotFound => {
                ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR
            }
        },
    }
}

/// What the code means that a server gives in PUBACK, PUBREC or PUBCOMP (MQTT 5 §3.4.2.1, §3.5.2.1): the same table, read
/// the other way. A server that does not say why, or is not willing now, may be willing later, and another may be now.
pub(super) fn outcome(code: ReasonCode, reason: Option<&str>) -> Outcome {
    let rejected = |cause| Outcome::Rejected(Rejection { cause, detail: reason.map(Into::into) });
    match code {
        code if !code.is_error() => Outcome::Accepted,
        ReasonCode::QUOTA_EXCEEDED => Outcome::Busy { retry_after: None },
        ReasonCode::UNSPECIFIED_ERROR
        | ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR
        | ReasonCode::PACKET_IDENTIFIER_IN_USE
        | ReasonCode::PACKET_IDENTIFIER_NOT_FOUND => Outcome::unavailable(),
        ReasonCode::NOT_AUTHORIZED => rejected(Cause::NotPermitted),
        ReasonCode::TOPIC_NAME_INVALID => rejected(Cause::BadAddress),
        ReasonCode::PAYLOAD_FORMAT_INVALID => rejected(Cause::BadPayload),
        _ => rejected(Cause::ByService),
    }
}

/// How a subscription that is not granted is answered in MQTT 5 (§3.9.3).
///
/// One that no access rule allows is answered 0x80: §3.9.3 leaves it to the server whether it says why, clients of 3.1.1
/// hear the same, and who may not listen need not learn that there is something to be heard. The log says why.
pub(super) fn not_subscribed(cause: Cause) -> ReasonCode {
    match cause {
        Cause::Quota => ReasonCode::QUOTA_EXCEEDED,
        Cause::BadAddress => ReasonCode::TOPIC_FILTER_INVALID,
        Cause::Unsupported => ReasonCode::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED,
        _ => ReasonCode::UNSPECIFIED_ERROR,
    }
}

/// How a refused session is answered in MQTT 5 (§3.2.2.2).
pub(super) fn refused(cause: RefusalCause) -> ReasonCode {
    match cause {
        RefusalCause::BadCredentials => ReasonCode::BAD_USER_NAME_OR_PASSWORD,
        RefusalCause::AnonymousDenied | RefusalCause::NotAllowed => ReasonCode::NOT_AUTHORIZED,
        RefusalCause::Revoked | RefusalCause::Quarantined => ReasonCode::BANNED,
        RefusalCause::Throttled => ReasonCode::CONNECTION_RATE_EXCEEDED,
        RefusalCause::BadSession => ReasonCode::CLIENT_IDENTIFIER_NOT_VALID,
        RefusalCause::Quota => ReasonCode::QUOTA_EXCEEDED,
        RefusalCause::UnknownMethod => ReasonCode::BAD_AUTHENTICATION_METHOD,
        // CONNACK has no code for a server that is shutting down.
        RefusalCause::ShuttingDown | RefusalCause::Unavailable => ReasonCode::SERVER_UNAVAILABLE,
    }
}

/// How a refused session is answered in MQTT 3.1.1 (§3.2.2.3).
pub(super) fn refused_v3(cause: RefusalCause) -> ReasonCode {
    match cause {
        // 3.1.1 has no methods.
        RefusalCause::BadCredentials | RefusalCause::UnknownMethod => ReasonCode(4),
        RefusalCause::AnonymousDenied
        | RefusalCause::NotAllowed
        | RefusalCause::Revoked
        | RefusalCause::Quarantined => ReasonCode(5),
        RefusalCause::BadSession => ReasonCode(2),
        RefusalCause::Quota
        | RefusalCause::Throttled
        | RefusalCause::ShuttingDown
        | RefusalCause::Unavailable => ReasonCode(3),
    }
}

/// Whether another server could do what this one cannot: it is full, or goes away.
pub(super) fn elsewhere(code: ReasonCode) -> bool {
    matches!(
        code,
        ReasonCode::QUOTA_EXCEEDED | ReasonCode::SERVER_SHUTTING_DOWN | ReasonCode::SERVER_UNAVAILABLE
    )
}

/// Why the node ends a connection, in MQTT 5 (§3.14.2.1).
pub(super) fn closed(reason: &CloseReason) -> ReasonCode {
    match reason {
        CloseReason::TakenOver => ReasonCode::SESSION_TAKEN_OVER,
        CloseReason::ShuttingDown => ReasonCode::SERVER_SHUTTING_DOWN,
        CloseReason::NotPermitted => ReasonCode::NOT_AUTHORIZED,
        CloseReason::Quota => ReasonCode::QUOTA_EXCEEDED,
        CloseReason::OutOfOrder => ReasonCode::PROTOCOL_ERROR,
        CloseReason::Revoked | CloseReason::Quarantined => ReasonCode::ADMINISTRATIVE_ACTION,
        // As other servers have it (EMQX among them): whoever renews its token comes back with it.
        CloseReason::Expired => ReasonCode::NOT_AUTHORIZED,
        CloseReason::Failed(_) => ReasonCode::UNSPECIFIED_ERROR,
    }
}
