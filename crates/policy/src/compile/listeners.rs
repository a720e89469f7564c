//! `tls`, `listeners` and `admin`: where the node listens and how safely.

use super::amqp;
use super::sharing::Places;
use super::{Names, check_name, entries, unknown_name};
use crate::document::{At, Located, Optional, Reading};
use crate::keys::{AdminKeys, CertificateKeys, ListenerKeys, MqttKeys, TlsKeys};
use crate::snapshot::{
    Admin, CertificateFiles, ClientCertificate, Dtls, Listener, MqttOptions, Overlapping, Protocol, Quirks,
    TlsProfile, TlsVersion, Transport,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// `dtls: psk`: pre-shared keys, without certificates.
const PSK: &str = "psk";

/// The entries of `tls`. Those with mistakes have a name all the same, so that listeners may refer to them.
pub(super) struct Tls {
    pub(super) profiles: BTreeMap<Arc<str>, TlsProfile>,
}

pub(super) fn tls(
    section: Optional<Vec<(Located<String>, Located<TlsKeys>)>>,
    reading: &mut Reading<'_>,
) -> Tls {
    let mut profiles = BTreeMap::new();
    for (name, keys) in entries(section) {
        check_name(&name, reading);
        profiles.insert(name.value.as_str().into(), profile(keys.value, &keys.at, reading));
    }
    Tls { profiles }
}

fn profile(keys: TlsKeys, at: &At, reading: &mut Reading<'_>) -> TlsProfile {
    let alone = (keys.certificate.at().cloned(), keys.key.at().cloned());
    let mut certificates = Vec::new();
    match (keys.certificate.get(), keys.key.get()) {
        (Some(certificate), Some(key)) => certificates.push(CertificateFiles { certificate, key }),
        (Some(_), None) => {
            let at = alone.0.as_ref().unwrap_or(at);
            reading.mistake(at, "the certificate has no key").help("add `key: FILE.pem`");
        }
        (None, Some(_)) => {
            let at = alone.1.as_ref().unwrap_or(at);
            reading.mistake(at, "the key has no certificate").help("add `certificate: FILE.pem`");
        }
        (None, None) => {}
    }
    let both = (alone.0.is_some() || alone.1.is_some()).then(|| keys.certificates.at().cloned()).flatten();
    match keys.certificates.0 {
        Some(list) if list.value.is_empty() => {
            reading.mistake(&list.at, "the list of certificates is empty");
        }
        Some(list) => certificates.extend(list.value.into_iter().filter_map(certificate)),
        None if alone == (None, None) => {
            let help = "add `certificate: FILE.pem` and `key: FILE.pem`, or a list: `certificates`";
            reading.mistake(at, "there is no certificate").help(help);
        }
        None => {}
    }
    if let Some(at) = both {
        reading
            .mistake(&at, "`certificates` and `certificate` with `key` are there both")
            .help("put all into the list");
    }
    if let (Some(at), None) = (keys.client_certificate.at(), keys.client_ca.at()) {
        let help = "add `client_ca: FILE.pem`, the authorities that clients' certificates must come from";
        reading.mistake(at, "client certificates cannot be verified without `client_ca`").help(help);
    }
    TlsProfile {
        certificates,
        client_ca: keys.client_ca.get(),
        client_certificate: keys.client_certificate.or(ClientCertificate::Optional),
        min_version: keys.min_version.or(TlsVersion::Tls12),
    }
}

fn certificate(keys: Located<CertificateKeys>) -> Option<CertificateFiles> {
    let file = |located: Located<PathBuf>| located.value;
    Some(CertificateFiles { certificate: file(keys.value.certificate.0?), key: file(keys.value.key.0?) })
}

pub(super) fn listeners(
    admin: Optional<AdminKeys>,
    section: Optional<Vec<Located<ListenerKeys>>>,
    tls: &Tls,
    reading: &mut Reading<'_>,
) -> (Option<Admin>, Vec<Arc<Listener>>) {
    let mut places = Places::default();
    let mut names = Names(Vec::new());
    let admin = admin.get().and_then(|keys| {
        let bind = keys.bind.0?;
        if !bind.value.ip().is_loopback() && keys.plaintext.0.is_none() {
            let help = "bind it to 127.0.0.1, or write `plaintext: allow` if the network is safe";
            reading.mistake(&bind.at, "the admin API would be in plain text for everybody").help(help);
        }
        places.admin(&bind);
        Some(Admin { bind: bind.value })
    });
    let listeners = entries(section)
        .into_iter()
        .filter_map(|keys| listener(keys.value, tls, &mut names, &mut places, reading))
        .map(Arc::new)
        .collect();
    (admin, listeners)
}

fn listener(
    keys: ListenerKeys,
    tls: &Tls,
    names: &mut Names,
    places: &mut Places,
    reading: &mut Reading<'_>,
) -> Option<Listener> {
    if let Some(name) = &keys.name.0 {
        names.take("listener", name, reading);
    }
    if let Some(profile) = &keys.tls.0
        && !tls.profiles.contains_key(profile.value.as_str())
    {
        let names = tls.profiles.keys().map(|name| &**name);
        unknown_name("entry of `tls`", &profile.value, &profile.at, names, reading);
    }
    if let (Some(_), Some(plaintext)) = (keys.tls.0.as_ref().or(keys.dtls.0.as_ref()), &keys.plaintext.0) {
        reading
            .mistake(&plaintext.at, "the listener has TLS: nothing is in plain text")
            .help("take `plaintext` out");
    }
    let protocol = keys.protocol.0.as_ref().map(|protocol| protocol.value);
    let transport = transport(protocol, &keys.transport, reading);
    if transport == Transport::Udp {
        udp_has_no_streams(&keys, reading);
    }
    let dtls = dtls(&keys.dtls, protocol, transport, tls, reading);
    if let Some(bind) = &keys.bind.0 {
        let is_secured = keys.tls.0.is_some() || keys.dtls.0.is_some();
        let open = !is_secured && keys.plaintext.0.is_none() && !bind.value.ip().is_loopback();
        if open {
            let help = match transport {
                Transport::Udp => {
                    "add `dtls: NAME` or `dtls: psk`, bind it to 127.0.0.1, or write `plaintext: allow` if the network is safe"
                }
                _ => {
                    "add `tls: NAME`, bind it to 127.0.0.1, or write `plaintext: allow` if the network is safe"
                }
            };
            reading.mistake(&bind.at, "without TLS a listener may be on loopback only").help(help);
        }
    }
    let speaks = |one: Protocol| protocol.is_none_or(|protocol| protocol == one);
    let path = path(keys.path, protocol, transport, reading);
    let server_names =
        server_names(keys.server_names, keys.tls.0.is_some() || keys.proxy_protocol.0.is_some(), reading);
    let mqtt_at = keys.mqtt.at().cloned();
    let mqtt = keys.mqtt.get().map(|mqtt| mqtt_options(mqtt, reading)).unwrap_or_default();
    if let Some(at) = mqtt_at
        && !speaks(Protocol::Mqtt)
    {
        reading.mistake(&at, "the listener does not speak MQTT").help("take `mqtt` out");
    }
    let amqp_at = keys.amqp.at().cloned();
    let amqp = keys.amqp.get().map(|amqp| amqp::options(amqp, reading)).unwrap_or_default();
    if let Some(at) = amqp_at
        && !speaks(Protocol::Amqp)
    {
        reading.mistake(&at, "the listener does not speak AMQP").help("take `amqp` out");
    }
    let at = keys.bind.0.as_ref().map(|bind| bind.at.clone());
    let listener = Listener {
        name: keys.name.0?.value.0.into(),
        protocol: protocol?,
        bind: keys.bind.0?.value,
        transport,
        path,
        server_names,
        proxy_protocol: keys.proxy_protocol.0.is_some(),
        tls: keys.tls.get().map(Into::into),
        dtls,
        mqtt,
        amqp,
    };
    if let Some(at) = at {
        places.take(&listener, &at, reading);
    }
    Some(listener)
}

/// What carries the protocol: for CoAP UDP unless it says otherwise (RFC 7252 §3), for the others TCP.
fn transport(protocol: Option<Protocol>, key: &Optional<Transport>, reading: &mut Reading<'_>) -> Transport {
    let default = if protocol == Some(Protocol::Coap) { Transport::Udp } else { Transport::Tcp };
    let Some(chosen) = &key.0 else { return default };
    match (protocol, chosen.value) {
        (Some(Protocol::Http), _) => {
            reading.mistake(&chosen.at, "HTTP has no choice of transports").help("take `transport` out");
        }
        (Some(protocol @ (Protocol::Mqtt | Protocol::Amqp)), Transport::Udp) => {
            let name = if protocol == Protocol::Mqtt { "MQTT" } else { "AMQP" };
            reading
                .mistake(&chosen.at, format!("{name} needs a stream, which UDP is not"))
                .help("write `tcp` or `websocket`");
        }
        _ => {}
    }
    chosen.value
}

/// Notes what only makes sense for connections.
fn udp_has_no_streams(keys: &ListenerKeys, reading: &mut Reading<'_>) {
    if let Some(tls) = &keys.tls.0 {
        reading
            .mistake(&tls.at, "UDP is secured by DTLS, not by TLS")
            .help(format!("write `dtls: {}`, or `transport: tcp`", tls.value));
    }
    for (at, what) in [(keys.proxy_protocol.at(), "proxy_protocol"), (keys.server_names.at(), "server_names")]
    {
        if let Some(at) = at {
            let message = format!("`{what}` is for connections, which UDP has none of");
            reading.mistake(at, message).help("take it out, or write `transport: tcp`");
        }
    }
}

/// How a listener of UDP is secured. `psk` is no name of an entry, so that it cannot be meant by mistake.
fn dtls(
    key: &Optional<String>,
    protocol: Option<Protocol>,
    transport: Transport,
    tls: &Tls,
    reading: &mut Reading<'_>,
) -> Option<Dtls> {
    let dtls = key.0.as_ref()?;
    if protocol.is_some() && transport != Transport::Udp {
        reading
            .mistake(&dtls.at, "DTLS is for UDP only, which carries CoAP")
            .help("write `tls: NAME` for what a connection carries");
    }
    let name = dtls.value.as_str();
    if name == PSK {
        if tls.profiles.contains_key(PSK) {
            reading
                .mistake(&dtls.at, "`psk` is pre-shared keys, and an entry of `tls` has that name")
                .help("give the entry another name");
        }
        return Some(Dtls::Psk);
    }
    if !tls.profiles.contains_key(name) {
        let names = tls.profiles.keys().map(|name| &**name).chain([PSK]);
        unknown_name("entry of `tls`", name, &dtls.at, names, reading);
    }
    Some(Dtls::Entry(name.into()))
}

/// The path of a WebSocket listener (CoAP: RFC 8323 §8.1).
fn path(
    path: Optional<String>,
    protocol: Option<Protocol>,
    transport: Transport,
    reading: &mut Reading<'_>,
) -> Option<Arc<str>> {
    let Some(Located { value, at }) = path.0 else {
        let usual = match protocol {
            Some(Protocol::Coap) => "/.well-known/coap",
            Some(Protocol::Amqp) => "/amqp",
            _ => "/mqtt",
        };
        return (transport == Transport::WebSocket).then(|| usual.into());
    };
    if transport != Transport::WebSocket {
        reading
            .mistake(&at, "only WebSocket has a path")
            .help("write `transport: websocket`, or take `path` out");
    }
    let visible = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#');
    if !value.starts_with('/') || value.len() > 1024 || !value.bytes().all(visible) {
        reading
            .mistake(&at, format!("`{value}` is not a path"))
            .help("write such as `/mqtt`, without a query");
    }
    Some(value.into())
}

fn server_names(
    list: Optional<Vec<Located<String>>>,
    is_told: bool,
    reading: &mut Reading<'_>,
) -> Vec<Arc<str>> {
    if let Some(at) = list.at()
        && !is_told
    {
        let help =
            "add `tls: NAME`, or `proxy_protocol: required` if a proxy tells, or take `server_names` out";
        reading.mistake(at, "without TLS a client does not say which server it wants").help(help);
    }
    let names = entries(list);
    for Located { value, at } in &names {
        let name = value.strip_prefix("*.").unwrap_or(value);
        let label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        if name.len() > 253 || !name.split('.').all(label) {
            reading
                .mistake(at, format!("`{value}` is not the name of a server"))
                .help("write such as `mqtt.example`, or `*.example` for any one label before it");
        }
    }
    names.into_iter().map(|name| name.value.to_ascii_lowercase().into()).collect()
}

fn mqtt_options(keys: MqttKeys, reading: &mut Reading<'_>) -> MqttOptions {
    // Longer ones would make packets that small clients cannot take.
    const LONGEST: usize = 1024;
    for text in [&keys.server_reference.0, &keys.response_information.0].into_iter().flatten() {
        if text.value.is_empty() || text.value.len() > LONGEST || text.value.contains('\0') {
            reading.mistake(&text.at, "expected a text of 1 to 1024 bytes");
        }
    }
    let quirks = keys.quirks.get().map_or_else(Quirks::default, |keys| Quirks {
        empty_client_id: keys.empty_client_id.or(false),
        long_client_id: keys.long_client_id.or(false),
        cap_keep_alive: keys.cap_keep_alive.or(false),
        maximum_qos: keys.maximum_qos.get().and_then(|qos| u8::try_from(qos.0).ok()),
    });
    MqttOptions {
        quirks,
        server_reference: keys.server_reference.get().map(Into::into),
        response_information: keys.response_information.get().map(Into::into),
        overlapping_subscriptions: keys.overlapping_subscriptions.or(Overlapping::Each),
    }
}
