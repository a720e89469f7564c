//! One broker, as the shard that fetches from it speaks to it: what local sessions subscribe to comes from there as events
//! of an exchange with the engine, and is acknowledged there as the engine settles it.

use super::client::Source;
use super::link::{Link, Owner};
use super::machine::{Because, Machine, Message, Said};
use crate::exchange::{Exchange, ExchangeHost};
use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;
use windrose_event::{Claim, ConnectionId, Directive, Filter, Intent, Open, Origin, Outcome, Publish, Tag};
use windrose_policy::Listener;

/// A broker and what is subscribed to there.
pub(super) struct Fetcher<M: Machine> {
    own: Weak<Self>,
    link: Rc<Link<M>>,
    road: Road,
    subscriptions: RefCell<Subscriptions>,
    exchange: RefCell<Option<Bringing>>,
}

/// The road by which what is fetched comes into the engine.
pub(super) struct Road {
    pub(super) host: Rc<dyn ExchangeHost>,
    /// A listener in the pool's name.
    pub(super) listener: Arc<Listener>,
    pub(super) peer: SocketAddr,
    /// The name of its session.
    pub(super) session: Arc<str>,
    /// Told whose exchange a connection is, before the engine asks.
    pub(super) introduce: Box<dyn Fn(ConnectionId)>,
}

/// An exchange and who reads its directives.
struct Bringing {
    exchange: Rc<Exchange>,
    reader: AbortHandle,
}

impl Drop for Bringing {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// What is subscribed to at a broker.
#[derive(Default)]
struct Subscriptions {
    wanted: HashMap<Filter, Subscription>,
    /// Those of `wanted` with wildcards: few, because of many the whole is asked for.
    wild: Vec<Filter>,
    /// What is to be unsubscribed from when the session is open again.
    left: Vec<Filter>,
    last: u32,
}

#[derive(Clone, Copy)]
struct Subscription {
    identifier: u32,
    granted: bool,
}

impl Subscriptions {
    /// Whether a message is to be taken. Of several copies, one for each subscription that matches, it is the one for the
    /// oldest of them (MQTT 5 §3.3.4 lets servers send several).
    fn takes(&self, address: &str, identifiers: &[u32]) -> bool {
        let exact = Filter::new(address).ok().and_then(|exact| self.wanted.get(&exact));
        let wild = self.wild.iter().filter(|filter| filter.matches(address));
        let matching = || exact.into_iter().chain(wild.clone().filter_map(|filter| self.wanted.get(filter)));
        let oldest = matching().filter(|known| known.granted).map(|known| known.identifier).min();
        match oldest {
            None => matching().next().is_some(),
            Some(oldest) => identifiers.is_empty() || identifiers.contains(&oldest),
        }
    }
}

impl<M: Machine> Fetcher<M> {
    /// A fetcher whose session is connected until it is dropped.
    pub(super) fn new(road: Road, link: impl FnOnce(Weak<dyn Owner>) -> Rc<Link<M>>) -> Rc<Self> {
        Rc::new_cyclic(|own: &Weak<Self>| Self {
            own: own.clone(),
            link: link(own.clone() as Weak<dyn Owner>),
            road,
            subscriptions: RefCell::default(),
            exchange: RefCell::default(),
        })
    }

    /// The session is open: brings what the broker knows up to what is wanted.
    fn opened(&self, resumed: bool) {
        let mut subscriptions = self.subscriptions.borrow_mut();
        let left = std::mem::take(&mut subscriptions.left);
        if resumed {
            for filter in &left {
                self.link.with(|client, now| client.unsubscribe(now, filter));
            }
        }
        for (filter, subscription) in &mut subscriptions.wanted {
            subscription.granted &= resumed;
            if !subscription.granted {
                let identifier = subscription.identifier;
                self.link.with(|client, now| client.subscribe(now, filter, identifier));
            }
        }
    }

    fn subscribed(&self, identifier: u32, granted: bool) {
        let mut subscriptions = self.subscriptions.borrow_mut();
        let known =
            subscriptions.wanted.iter_mut().find(|(_, subscription)| subscription.identifier == identifier);
        let Some((filter, subscription)) = known else { return };
        subscription.granted = granted;
        if !granted {
            self.link.warn(format_args!("it does not grant the subscription to '{filter}'"));
        }
    }

    fn bring(&self, message: Message) {
        let Message { tag, publication, again, because } = message;
        let address = publication.address.as_str();
        if let Because::Subscriptions(identifiers) = &because
            && !self.subscriptions.borrow().takes(address, identifiers)
        {
            return self.settle(tag, &Outcome::Accepted);
        }
        self.intent(Intent::Publish(Publish { tag, again, publication }));
    }

    fn settle(&self, tag: Tag, outcome: &Outcome) {
        self.link.with(|client, now| client.settle(now, tag, outcome));
    }

    /// Tells the engine.
    fn intent(&self, intent: Intent) {
        // The borrow ends before the engine is told, because its answers may end the exchange.
        let exchange = self.exchange.borrow().as_ref().map(|bringing| Rc::clone(&bringing.exchange));
        let exchange = exchange.unwrap_or_else(|| self.exchange());
        exchange.intent(intent);
    }

    /// A new exchange, whose directives are read from now on.
    fn exchange(&self) -> Rc<Exchange> {
        let Road { host, listener, peer, session, introduce } = &self.road;
        let exchange = Rc::new(Exchange::new(host, listener, *peer));
        introduce(exchange.id());
        exchange.intent(Intent::Open(Box::new(Open {
            protocol: Origin::FETCHED,
            version: "",
            session: Some(Arc::clone(session)),
            claim: Claim { listener: Arc::clone(&listener.name), peer: Some(*peer), ..Claim::default() },
            resume: false,
            keep: Duration::ZERO,
            window: 1,
            will: None,
        })));
        let reader = tokio::task::spawn_local(read(self.own.clone(), Rc::clone(&exchange))).abort_handle();
        *self.exchange.borrow_mut() = Some(Bringing { exchange: Rc::clone(&exchange), reader });
        exchange
    }

    /// The engine ended the exchange: what it has not settled, the broker is to send again.
    fn ended(&self) {
        let ended = self.exchange.borrow_mut().take();
        self.link.set_paused(false);
        self.link.with(|client, now| client.give_up(now));
        drop(ended);
    }
}

impl<M: Machine> Source for Fetcher<M> {
    fn want(&self, filter: &Filter) {
        let mut subscriptions = self.subscriptions.borrow_mut();
        if subscriptions.wanted.contains_key(filter) {
            return;
        }
        subscriptions.left.retain(|left| left != filter);
        subscriptions.last = subscriptions.last % MOST_IDENTIFIER + 1;
        let identifier = subscriptions.last;
        subscriptions.wanted.insert(filter.clone(), Subscription { identifier, granted: false });
        if filter.is_wild() {
            subscriptions.wild.push(filter.clone());
        }
        self.link.with(|client, now| client.subscribe(now, filter, identifier));
    }

    fn leave(&self, filter: &Filter) {
        let mut subscriptions = self.subscriptions.borrow_mut();
        if subscriptions.wanted.remove(filter).is_none() {
            return;
        }
        subscriptions.wild.retain(|wild| wild != filter);
        if !self.link.with(|client, now| client.unsubscribe(now, filter)) {
            subscriptions.left.push(filter.clone());
        }
    }
}

/// The largest subscription identifier (MQTT 5 §3.8.2.1.2).
const MOST_IDENTIFIER: u32 = 268_435_455;

/// Reads an exchange's directives.
async fn read<M: Machine>(fetcher: Weak<Fetcher<M>>, exchange: Rc<Exchange>) {
    loop {
        let directive = poll_fn(|cx| {
            let directive = exchange.poll_directive(cx);
            if let Some(fetcher) = fetcher.upgrade() {
                fetcher.link.set_paused(exchange.is_paused());
            }
            directive
        });
        let directive = directive.await;
        let Some(fetcher) = fetcher.upgrade() else { return };
        match directive {
            Directive::Settle { tag, outcome, .. } => fetcher.settle(tag, &outcome),
            Directive::Refuse(_) | Directive::Close(_) => return fetcher.ended(),
            // It subscribes to nothing, and asks nothing else.
            _ => {}
        }
    }
}

impl<M: Machine> Owner for Fetcher<M> {
    fn hear(&self, said: Said) {
        match said {
            Said::Opened { resumed } => self.opened(resumed),
            Said::Subscribed { identifier, granted } => self.subscribed(identifier, granted),
            Said::Message(message) => self.bring(message),
            Said::Released { tag } => self.intent(Intent::Release { tag }),
            // It publishes nothing.
            Said::Sent { .. } | Said::Settled { .. } | Said::Replied { .. } | Said::Close { .. } => {}
        }
    }
}

impl<M: Machine> Drop for Fetcher<M> {
    fn drop(&mut self) {
        self.link.end();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn of_several_copies_one_is_taken() {
        let mut subscriptions = Subscriptions::default();
        for (text, identifier, granted) in
            [("a/#", 1, true), ("a/b", 2, true), ("+/b", 3, true), ("c", 4, false)]
        {
            let filter = Filter::new(text).unwrap();
            if filter.is_wild() {
                subscriptions.wild.push(filter.clone());
            }
            subscriptions.wanted.insert(filter, Subscription { identifier, granted });
        }
        assert!(subscriptions.takes("a/b", &[1, 2, 3]), "one copy for all");
        assert!(subscriptions.takes("a/b", &[1]));
        assert!(!subscriptions.takes("a/b", &[2]));
        assert!(!subscriptions.takes("a/b", &[3, 2]));
        assert!(subscriptions.takes("x/b", &[3]));
        assert!(subscriptions.takes("a/b", &[]), "a server that tells no identifiers");
        assert!(subscriptions.takes("c", &[4]), "a retained message may come before SUBACK");
        assert!(!subscriptions.takes("d", &[5]), "it is not wanted any more");
    }
}
