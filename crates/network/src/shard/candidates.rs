//! The listeners of one address, and which of them a connection belongs to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use windrose_policy::{Listener, Protocol, Snapshot, Transport};

/// Where listeners listen together. Those that leave the port to the system do so alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) bind: SocketAddr,
    /// Datagrams are another place than connections.
    pub(crate) is_udp: bool,
    alone: Option<Arc<str>>,
}

impl Place {
    pub(crate) fn of(listener: &Listener) -> Self {
        let alone = (listener.bind.port() == 0).then(|| Arc::clone(&listener.name));
        Self { bind: listener.bind, is_udp: listener.is_udp(), alone }
    }
}

/// The listeners of one place, in the document's order: one at least. The document sees to it that they agree on whether
/// there is TLS and a PROXY header, and that something tells their connections apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Candidates {
    first: Arc<Listener>,
    others: Vec<Arc<Listener>>,
}

/// Every place of a document.
pub(crate) fn candidates(snapshot: &Snapshot) -> BTreeMap<Place, Candidates> {
    let mut candidates: BTreeMap<Place, Candidates> = BTreeMap::new();
    for listener in &snapshot.listeners {
        let place = Place::of(listener);
        match candidates.get_mut(&place) {
            Some(candidates) => candidates.others.push(Arc::clone(listener)),
            None => drop(candidates.insert(place, Candidates::new(Arc::clone(listener)))),
        }
    }
    candidates
}

impl Candidates {
    fn new(first: Arc<Listener>) -> Self {
        Self { first, others: Vec::new() }
    }

    /// The one that speaks for all of them, as long as nobody knows which it will be.
    pub(crate) fn first(&self) -> &Arc<Listener> {
        &self.first
    }

    /// The only one, if there are no others.
    pub(crate) fn only(&self) -> Option<&Arc<Listener>> {
        self.others.is_empty().then_some(&self.first)
    }

    /// The only one, if it speaks something else than HTTP, without WebSocket.
    pub(crate) fn only_stream(&self) -> Option<&Arc<Listener>> {
        self.only().filter(|listener| is_stream(listener))
    }

    /// The only one, if all that it needs is the connection itself.
    pub(crate) fn plain_stream(&self) -> Option<&Arc<Listener>> {
        self.only_stream().filter(|listener| listener.tls.is_none() && !listener.proxy_protocol)
    }

    /// All of them.
    pub(crate) fn listeners(&self) -> impl Iterator<Item = &Arc<Listener>> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Those that are for a server name: those that have the name itself, else those that have it by a `*`, else those
    /// that have no names. `None`: nobody is.
    pub(crate) fn named(&self, name: Option<&str>) -> Option<Self> {
        let fit = self.listeners().map(|listener| fit(listener, name)).max().flatten()?;
        self.of(|listener| self::fit(listener, name) == Some(fit))
    }

    /// Those that a test is true of, if there are any.
    fn of(&self, test: impl Fn(&Listener) -> bool) -> Option<Self> {
        let mut chosen = self.listeners().filter(|listener| test(listener)).cloned();
        let first = chosen.next()?;
        Some(Self { first, others: chosen.collect() })
    }

    /// The one that speaks a protocol without WebSocket.
    pub(crate) fn stream(&self, protocol: Protocol) -> Option<&Arc<Listener>> {
        self.streams().find(|listener| listener.protocol == protocol)
    }

    /// Those that speak something else than HTTP, without WebSocket: one of AMQP, and one of others, at most.
    pub(crate) fn streams(&self) -> impl Iterator<Item = &Arc<Listener>> {
        self.listeners().filter(|listener| is_stream(listener))
    }

    /// The one that speaks REST.
    pub(crate) fn rest(&self) -> Option<&Arc<Listener>> {
        self.listeners().find(|listener| listener.protocol == Protocol::Http)
    }

    /// The one that is on a path of WebSocket. Clients that name no path ask for `/`: they get the one that
    /// there is, if there is only one.
    pub(crate) fn websocket(&self, path: &str) -> Option<&Arc<Listener>> {
        let exact = self.websockets().find(|(own, _)| *own == path);
        let mut all = self.websockets();
        exact.or_else(|| all.next().filter(|_| path == "/" && all.next().is_none())).map(|(_, one)| one)
    }

    /// Those that WebSocket carries, with their paths.
    pub(crate) fn websockets(&self) -> impl Iterator<Item = (&str, &Arc<Listener>)> {
        let all = self.listeners().filter(|listener| listener.transport == Transport::WebSocket);
        all.map(|listener| (listener.path.as_deref().unwrap_or("/"), listener))
    }
}

/// Whether it speaks what is no HTTP from the first byte.
fn is_stream(listener: &Listener) -> bool {
    listener.protocol != Protocol::Http && listener.transport == Transport::Tcp
}

/// How well a listener fits a server name: the larger, the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Any,
    Wildcard,
    Exact,
}

fn fit(listener: &Listener, asked: Option<&str>) -> Option<Fit> {
    if listener.server_names.is_empty() {
        return Some(Fit::Any);
    }
    // A name may end in the dot of the root (RFC 9525 §2, RFC 6066 §3 has none).
    let asked = asked?.trim_end_matches('.');
    let fits = |name: &str| match name.strip_prefix("*.") {
        None => name.eq_ignore_ascii_case(asked).then_some(Fit::Exact),
        Some(domain) => asked
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(domain))
            .then_some(Fit::Wildcard),
    };
    listener.server_names.iter().filter_map(|name| fits(name)).max()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use windrose_policy::{AmqpOptions, MqttOptions};

    fn listener(name: &str, server_names: &[&str]) -> Arc<Listener> {
        Arc::new(Listener {
            name: name.into(),
            protocol: Protocol::Mqtt,
            bind: ([127, 0, 0, 1], 8883).into(),
            transport: Transport::Tcp,
            path: None,
            server_names: server_names.iter().map(|name| Arc::from(*name)).collect(),
            proxy_protocol: false,
            tls: None,
            dtls: None,
            mqtt: MqttOptions::default(),
            amqp: AmqpOptions::default(),
        })
    }

    fn candidates(listeners: &[Arc<Listener>]) -> Candidates {
        Candidates { first: Arc::clone(&listeners[0]), others: listeners[1..].to_vec() }
    }

    fn names(candidates: Option<Candidates>) -> String {
        let names: Vec<String> = candidates
            .iter()
            .flat_map(Candidates::listeners)
            .map(|listener| listener.name.to_string())
            .collect();
        names.join(" ")
    }

    #[test]
    fn the_best_fit_is_chosen() {
        let all = candidates(&[
            listener("any", &[]),
            listener("wild", &["*.b.example"]),
            listener("exact", &["a.b.example", "a.example"]),
            listener("also", &["a.example"]),
        ]);
        assert_eq!(names(all.named(Some("a.b.example"))), "exact");
        assert_eq!(names(all.named(Some("A.Example."))), "exact also");
        assert_eq!(names(all.named(Some("c.B.example"))), "wild");
        assert_eq!(names(all.named(Some("d.c.b.example"))), "any");
        assert_eq!(names(all.named(Some("b.example"))), "any");
        assert_eq!(names(all.named(None)), "any");
    }

    #[test]
    fn a_client_without_a_path_gets_the_only_websocket_there_is() {
        let websocket = |name: &str, path: &str| {
            let plain = Arc::unwrap_or_clone(listener(name, &[]));
            Arc::new(Listener { transport: Transport::WebSocket, path: Some(path.into()), ..plain })
        };
        let one = candidates(&[listener("tcp", &[]), websocket("ws", "/mqtt")]);
        let name = |candidates: &Candidates, path| candidates.websocket(path).map(|one| one.name.to_string());
        assert_eq!(name(&one, "/mqtt").as_deref(), Some("ws"));
        assert_eq!(name(&one, "/").as_deref(), Some("ws"));
        assert_eq!(name(&one, "/mqtt/"), None);
        let two = candidates(&[websocket("ws", "/mqtt"), websocket("cars", "/cars")]);
        assert_eq!(name(&two, "/cars").as_deref(), Some("cars"));
        assert_eq!(name(&two, "/"), None);
    }

    #[test]
    fn nobody_is_chosen_for_a_name_that_nobody_has() {
        let all = candidates(&[listener("wild", &["*.b.example"]), listener("exact", &["a.example"])]);
        assert!(all.named(Some("c.example")).is_none());
        assert!(all.named(Some(".b.example")).is_none());
        assert!(all.named(None).is_none());
    }
}
