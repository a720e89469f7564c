//! `limits`: bounds on everything, each with a default.

use crate::document::Reading;
use crate::keys::LimitsKeys;
use crate::snapshot::Limits;

/// What a packet has room for besides the payload, unless the document says otherwise.
const PACKET_MARGIN: u32 = 128 * 1024;

pub(super) fn limits(keys: Option<LimitsKeys>, reading: &mut Reading<'_>) -> Limits {
    let default = Limits::default();
    let Some(keys) = keys else { return default };
    let packet_at = keys.packet_bytes.at().cloned();

    /// The number of a key, as the limit's type, or the default.
    macro_rules! number {
        ($key:ident) => {
            keys.$key.get().and_then(|number| number.0.try_into().ok()).unwrap_or(default.$key)
        };
    }
    macro_rules! duration {
        ($key:ident) => {
            keys.$key.get().map_or(default.$key, |wait| wait.0)
        };
    }
    let packet_bytes: Option<u32> = keys.packet_bytes.get().and_then(|bytes| bytes.0.try_into().ok());
    let payload_bytes = match keys.payload_bytes.get().and_then(|bytes| bytes.0.try_into().ok()) {
        Some(bytes) => bytes,
        // No payload can be larger than its packet.
        None => default.payload_bytes.min(packet_bytes.unwrap_or(u32::MAX)),
    };
    let packet_bytes = packet_bytes.unwrap_or(payload_bytes.saturating_add(PACKET_MARGIN));
    if let Some(at) = packet_at
        && packet_bytes < payload_bytes
    {
        let message = format!(
            "a packet of {packet_bytes} bytes cannot hold a payload of `payload_bytes`: {payload_bytes}"
        );
        reading
            .mistake(&at, message)
            .help("raise `packet_bytes`, lower `payload_bytes`, or leave one of them out");
    }
    Limits {
        connections: number!(connections),
        payload_bytes,
        packet_bytes,
        receive_maximum: number!(receive_maximum),
        session_expiry: duration!(session_expiry),
        sessions: number!(sessions),
        session_queue_events: number!(session_queue_events),
        session_queue_bytes: number!(session_queue_bytes),
        session_queue_full: keys.session_queue_full.or(default.session_queue_full),
        session_in_flight: number!(session_in_flight),
        subscriptions_per_session: number!(subscriptions_per_session),
        exchanges: number!(exchanges),
        queues: number!(queues),
        bindings: number!(bindings),
        queue_events: number!(queue_events),
        queue_bytes: number!(queue_bytes),
        queue_full: keys.queue_full.or(default.queue_full),
        topic_aliases: number!(topic_aliases),
        address_levels: number!(address_levels),
        channels: number!(channels),
        links: number!(links),
        retained_events: number!(retained_events),
        retained_bytes: number!(retained_bytes),
        shard_queue: number!(shard_queue),
        output_bytes: number!(output_bytes),
        handshake_timeout: duration!(handshake_timeout),
        connect_timeout: duration!(connect_timeout),
        body_timeout: duration!(body_timeout),
        keep_alive_max: keys.keep_alive_max.get().map(|wait| wait.0),
        write_timeout: duration!(write_timeout),
        coap_exchanges: number!(coap_exchanges),
        coap_exchange_lifetime: duration!(coap_exchange_lifetime),
        dtls_sessions: number!(dtls_sessions),
        dtls_idle: duration!(dtls_idle),
    }
}
