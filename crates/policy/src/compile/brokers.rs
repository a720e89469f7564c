//! `pools` with `protocol: mqtt`: brokers.

use super::entries;
use crate::document::{Concealed, Located, Optional, Reading, Wait};
use crate::keys::PoolKeys;
use crate::snapshot::{MqttPool, MqttVersion, PoolHeader, PoolProtocol};
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Filter, is_system};

/// The longest text that MQTT has a field for (MQTT 5 §1.5.4).
const LONGEST: usize = 65_535;

/// The keys that only brokers have.
pub(super) struct Keys {
    pub(super) client_id: Optional<String>,
    pub(super) username: Optional<String>,
    pub(super) password: Optional<Concealed>,
    pub(super) keep_alive: Optional<Wait<1000>>,
    pub(super) subscribe: Optional<Vec<Located<String>>>,
    pub(super) version: Optional<MqttVersion>,
}

/// Notes keys that are for pools of another protocol.
pub(super) fn check(keys: &PoolKeys, protocol: PoolProtocol, reading: &mut Reading<'_>) {
    let http = [
        ("mode", keys.mode.at()),
        ("batch", keys.batch.at()),
        ("version", keys.version.at()),
        ("headers", keys.headers.at()),
    ];
    let mqtt = [
        ("client_id", keys.client_id.at()),
        ("username", keys.username.at()),
        ("password", keys.password.at()),
        ("keep_alive", keys.keep_alive.at()),
        ("subscribe", keys.subscribe.at()),
        ("mqtt_version", keys.mqtt_version.at()),
    ];
    let all = [(PoolProtocol::Http, &http[..]), (PoolProtocol::Mqtt, &mqtt)];
    for (owner, keys) in all.into_iter().filter(|(owner, _)| *owner != protocol) {
        let theirs = owner.name();
        for (key, at) in keys {
            if let Some(at) = at {
                reading
                    .mistake(at, format!("`{key}` is only for pools with `protocol: {theirs}`"))
                    .help(format!("take `{key}` out, or write `protocol: {theirs}`"));
            }
        }
    }
}

/// What the keys say; `node` is the node's name.
pub(super) fn options(keys: Keys, node: &str, reading: &mut Reading<'_>) -> MqttPool {
    let version = keys.version.or(MqttVersion::V5);
    if let Some(at) = keys.subscribe.at()
        && version != MqttVersion::V5
    {
        let help = "leave `mqtt_version` out: only MQTT 5 lets a node know its own publications again";
        reading.mistake(at, "`subscribe` needs MQTT 5").help(help);
    }
    if let Some(at) = keys.password.at()
        && keys.username.0.is_none()
        && version == MqttVersion::V311
    {
        let help = "add `username: NAME`: MQTT 3.1.1 has no password without one";
        reading.mistake(at, "the password has no user name").help(help);
    }
    let mut text = |text: Optional<String>| -> Option<Arc<str>> {
        let Located { value, at } = text.0?;
        if value.is_empty() || value.len() > LONGEST || value.contains('\0') {
            reading.mistake(&at, "expected a text of 1 to 65535 bytes");
        }
        Some(value.into())
    };
    let client_id = text(keys.client_id).unwrap_or_else(|| format!("windrose-{node}").into());
    let username = text(keys.username);
    MqttPool {
        client_id,
        username,
        password: keys.password.get().map(|password| PoolHeader(password.0)),
        keep_alive: keys.keep_alive.get().map_or(Duration::from_secs(30), |wait| wait.0),
        subscribe: entries(keys.subscribe).iter().filter_map(|text| filter(text, reading)).collect(),
        version,
    }
}

fn filter(text: &Located<String>, reading: &mut Reading<'_>) -> Option<Filter> {
    match Filter::new(&text.value) {
        Ok(_) if is_system(&text.value) => {
            let message = "addresses that begin with `$` are each broker's own: they cannot be fetched";
            reading.mistake(&text.at, message);
            None
        }
        Ok(filter) => Some(filter),
        Err(error) => {
            reading.mistake(&text.at, format!("this is not a filter: {error}"));
            None
        }
    }
}
