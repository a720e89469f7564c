//! `pools` with `protocol: mqtt`: brokers.

use super::entries;
use crate::document::{Concealed, Located, Optional, Reading, Wait};
use crate::snapshot::{MqttPool, MqttVersion, PoolHeader};
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Filter, is_system};

/// The longest text that MQTT has a field for (MQTT 5 §1.5.4).
const LONGEST: usize = 65_535;

/// The keys that only brokers have.
pub(super) struct Keys {
    pub(super) names: NameKeys,
    pub(super) subscribe: Optional<Vec<Located<String>>>,
    pub(super) version: Optional<MqttVersion>,
}

/// The keys that say how the node presents itself to brokers, whatever they speak.
pub(super) struct NameKeys {
    pub(super) client_id: Optional<String>,
    pub(super) username: Optional<String>,
    pub(super) password: Optional<Concealed>,
    pub(super) keep_alive: Optional<Wait<1000>>,
}

/// How the node presents itself to brokers.
pub(super) struct Names {
    pub(super) client_id: Arc<str>,
    pub(super) username: Option<Arc<str>>,
    pub(super) password: Option<PoolHeader>,
    pub(super) keep_alive: Duration,
}

/// What the keys say; `node` is the node's name, and `longest` how many bytes a text may have.
pub(super) fn names(keys: NameKeys, node: &str, longest: usize, reading: &mut Reading<'_>) -> Names {
    let mut text = |text: Optional<String>| -> Option<Arc<str>> {
        let Located { value, at } = text.0?;
        if value.is_empty() || value.len() > longest || value.contains('\0') {
            reading.mistake(&at, format!("expected a text of 1 to {longest} bytes"));
        }
        Some(value.into())
    };
    Names {
        client_id: text(keys.client_id).unwrap_or_else(|| format!("windrose-{node}").into()),
        username: text(keys.username),
        password: keys.password.get().map(|password| PoolHeader(password.0)),
        keep_alive: keys.keep_alive.get().map_or(Duration::from_secs(30), |wait| wait.0),
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
    if let Some(at) = keys.names.password.at()
        && keys.names.username.0.is_none()
        && version == MqttVersion::V311
    {
        let help = "add `username: NAME`: MQTT 3.1.1 has no password without one";
        reading.mistake(at, "the password has no user name").help(help);
    }
    let Names { client_id, username, password, keep_alive } = names(keys.names, node, LONGEST, reading);
    MqttPool {
        client_id,
        username,
        password,
        keep_alive,
        subscribe: filters(keys.subscribe, reading),
        version,
    }
}

/// What may be fetched.
pub(super) fn filters(subscribe: Optional<Vec<Located<String>>>, reading: &mut Reading<'_>) -> Vec<Filter> {
    entries(subscribe).iter().filter_map(|text| filter(text, reading)).collect()
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
