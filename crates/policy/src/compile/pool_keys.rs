//! Which keys of a pool are for which protocols.

use crate::document::Reading;
use crate::keys::PoolKeys;
use crate::snapshot::PoolProtocol;

const HTTP: &[PoolProtocol] = &[PoolProtocol::Http];
const MQTT: &[PoolProtocol] = &[PoolProtocol::Mqtt];
const AMQP: &[PoolProtocol] = &[PoolProtocol::Amqp];
const BROKERS: &[PoolProtocol] = &[PoolProtocol::Mqtt, PoolProtocol::Amqp];

/// Notes keys that are for pools of another protocol.
pub(super) fn check(keys: &PoolKeys, protocol: PoolProtocol, reading: &mut Reading<'_>) {
    let all = [
        ("mode", keys.mode.at(), HTTP),
        ("batch", keys.batch.at(), HTTP),
        ("version", keys.version.at(), HTTP),
        ("headers", keys.headers.at(), HTTP),
        ("identity_token", keys.identity_token.at(), HTTP),
        ("mqtt_version", keys.mqtt_version.at(), MQTT),
        ("client_id", keys.client_id.at(), BROKERS),
        ("username", keys.username.at(), BROKERS),
        ("password", keys.password.at(), BROKERS),
        ("keep_alive", keys.keep_alive.at(), BROKERS),
        ("subscribe", keys.subscribe.at(), BROKERS),
        ("amqp_version", keys.amqp_version.at(), AMQP),
        ("address", keys.address.at(), AMQP),
        ("exchange", keys.exchange.at(), AMQP),
        ("routing_key", keys.routing_key.at(), AMQP),
        ("consume", keys.consume.at(), AMQP),
        ("prefetch", keys.prefetch.at(), AMQP),
    ];
    for (key, at, owners) in all {
        let Some(at) = at.filter(|_| !owners.contains(&protocol)) else { continue };
        let owners: Vec<_> = owners.iter().map(|owner| format!("`protocol: {}`", owner.name())).collect();
        let owners = owners.join(" or ");
        reading
            .mistake(at, format!("`{key}` is only for pools with {owners}"))
            .help(format!("take `{key}` out, or write {owners}"));
    }
}
