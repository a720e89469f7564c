//! Which listeners may share an address: a connection must be told apart by what it says first.

use crate::document::{At, Located, Reading};
use crate::snapshot::{Admin, Listener, Protocol, Transport};
use std::net::SocketAddr;

/// The addresses that are taken, and by whom.
#[derive(Default)]
pub(super) struct Places {
    admin: Option<SocketAddr>,
    listeners: Vec<Listener>,
}

impl Places {
    /// The admin API, which shares with nobody.
    pub(super) fn admin(&mut self, bind: &Located<SocketAddr>) -> Admin {
        self.admin = Some(bind.value);
        Admin { bind: bind.value }
    }

    /// One more listener. Notes what keeps it from having its address, and remembers it.
    pub(super) fn take(&mut self, listener: &Listener, at: &At, reading: &mut Reading<'_>) {
        let port = listener.bind.port();
        if let Some(admin) = self.admin.filter(|admin| !listener.is_udp() && overlap(*admin, listener.bind)) {
            let message = format!("port {port} is taken by the admin API on {admin}");
            reading.mistake(at, message).help("choose another port");
        }
        let mut others = self
            .listeners
            .iter()
            .filter(|other| other.is_udp() == listener.is_udp() && overlap(other.bind, listener.bind));
        if let Some((other, why)) = others.find_map(|other| Some((other, conflict(other, listener)?))) {
            let message = format!("port {port} is taken by {} on {}", other.name, other.bind);
            reading.mistake(at, message).help(format!("choose another port: {why}"));
        }
        self.listeners.push(listener.clone());
    }
}

fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let same_family = one.is_ipv4() == other.is_ipv4();
    let same_host = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && same_family && same_host
}

/// Why two listeners cannot share a port, if they cannot.
fn conflict(one: &Listener, other: &Listener) -> Option<&'static str> {
    if one.bind != other.bind {
        return Some("listeners share a port only if `bind` is the same to the letter");
    }
    if one.proxy_protocol != other.proxy_protocol {
        return Some("listeners that share a port agree on `proxy_protocol`");
    }
    if one.tls.is_some() != other.tls.is_some() {
        return Some("listeners that share a port have TLS all, or none");
    }
    let named = |listener: &Listener| !listener.server_names.is_empty();
    let same_names = match (named(one), named(other)) {
        (false, false) => true,
        (true, true) => one.server_names.iter().any(|name| other.server_names.contains(name)),
        // The one without names is for clients that name none of the other's.
        _ => false,
    };
    if !same_names {
        return None;
    }
    if one.tls != other.tls {
        return Some("listeners of the same server name have the same entry of `tls`");
    }
    let same_first_words = match (one.protocol, other.protocol) {
        (Protocol::Http, Protocol::Http) => true,
        // Requests are text, and what begins MQTT or CoAP over TCP is not; AMQP begins with its name,
        // which is no request either, nor what begins MQTT or CoAP.
        (Protocol::Http, _) | (_, Protocol::Http) => false,
        (Protocol::Amqp, another) | (another, Protocol::Amqp)
            if another != Protocol::Amqp
                && (one.transport, other.transport) == (Transport::Tcp, Transport::Tcp) =>
        {
            false
        }
        _ => one.transport == other.transport && one.path == other.path,
    };
    same_first_words.then_some(match one.transport {
        Transport::WebSocket => "give one of them another `path`, or other `server_names`",
        Transport::Tcp => "nothing tells their clients apart; other `server_names` would, with TLS",
        Transport::Udp => "nothing tells their datagrams apart",
    })
}
