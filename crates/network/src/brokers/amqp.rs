//! Brokers of AMQP: pools with `protocol: amqp`.

use super::client::Place;
use super::machine::{Because, Machine, Message, Said};
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;
use std::time::Duration;
use windrose_engine::Reply;
use windrose_event::{Event, Filter, Moment, Now, Outcome, Tag, Text};
use windrose_policy::{AmqpPool, AmqpVersion, Limits, Member, Pool};
use windrose_protocol::Transmit;
use windrose_protocol::amqp::client::{Client, ClientConfig, ClientOutput, ClientVersion, MessageCause};

/// The longest that a connection may take to open.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The node as a client of a member.
pub(super) fn client(
    pool: &Pool,
    options: &AmqpPool,
    member: &Member,
    limits: &Limits,
    place: &Place<'_>,
) -> Client {
    let consume = if place.fetches {
        options.consume.iter().map(|name| Text::from(&**name)).collect()
    } else {
        Vec::new()
    };
    Client::new(Arc::new(ClientConfig {
        version: match options.version {
            AmqpVersion::Auto => ClientVersion::Auto,
            AmqpVersion::V1 => ClientVersion::V1,
            AmqpVersion::V091 => ClientVersion::V091,
        },
        name: Text::from(&*place.name(&options.client_id, &pool.name)),
        host: Text::from(&*member.host),
        virtual_host: Text::from(&*virtual_host(&member.path)),
        username: options.username.as_deref().map(Text::from),
        password: options.password.as_ref().map(|password| Text::from(&*password.0)),
        heartbeat: options.keep_alive,
        answer_timeout: pool.timeout.min(ANSWER_TIMEOUT),
        frame_bytes: limits.packet_bytes,
        payload_bytes: limits.payload_bytes,
        address_levels: limits.address_levels,
        prefetch: options.prefetch,
        via: Text::from(place.node),
        address: options.address.clone(),
        exchange: Text::from(&*options.exchange),
        routing_key: options.routing_key.clone(),
        consume,
    }))
}

/// The virtual host that a URL's path names: no path is the one called `/`.
fn virtual_host(path: &str) -> String {
    let name = path.strip_prefix('/').unwrap_or(path);
    if name.is_empty() {
        return "/".to_owned();
    }
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| first == b'%').and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| name.to_owned())
}

impl Machine for Client {
    fn handle_connected(&mut self, now: Now) {
        self.handle_connected(now);
    }

    fn handle_bytes(&mut self, now: Now, bytes: &[u8]) {
        self.handle_bytes(now, bytes);
    }

    fn handle_eof(&mut self, now: Now) {
        self.handle_eof(now);
    }

    fn handle_timeout(&mut self, now: Now) {
        self.handle_timeout(now);
    }

    fn next_timeout(&self) -> Option<Moment> {
        self.next_timeout()
    }

    fn poll_output(&mut self) -> Option<Said> {
        Some(match self.poll_output()? {
            // What is not bound any more at the broker is bound again, and what is has nothing against it.
            ClientOutput::Opened => Said::Opened { resumed: false },
            ClientOutput::Settled { token, outcome } => Said::Settled { token, outcome },
            ClientOutput::Replied { token, content_type, payload } => {
                Said::Replied { token, reply: Reply { content_type, payload } }
            }
            ClientOutput::Message { tag, publication, again, cause } => {
                let because = match cause {
                    MessageCause::Queue => Because::Queue,
                    MessageCause::Subscriptions => Because::Subscriptions(SmallVec::new()),
                    MessageCause::Subscription(identifier) => Because::Subscriptions(smallvec![identifier]),
                };
                let publication = *publication;
                Said::Message(Message { tag, publication, again, because })
            }
            ClientOutput::Subscribed { identifier, granted } => Said::Subscribed { identifier, granted },
            ClientOutput::Close { problem } => Said::Close { problem },
        })
    }

    fn transmit(&mut self) -> &mut Transmit {
        self.transmit()
    }

    /// Brokers of AMQP keep to the prefetch and the credit that they are given.
    fn is_full(&self) -> bool {
        false
    }

    fn is_open(&self) -> bool {
        self.is_open()
    }

    fn last_heard(&self) -> Moment {
        self.last_heard()
    }

    fn set_paused(&mut self, now: Now, paused: bool) {
        self.set_paused(now, paused);
    }

    fn give_up(&mut self, now: Now) {
        self.give_up(now);
    }

    fn disconnect(&mut self, now: Now) {
        self.disconnect(now);
    }

    fn publish(&mut self, now: Now, token: u64, event: Arc<Event>) {
        self.publish(now, token, event);
    }

    fn abandon(&mut self, token: u64) {
        self.abandon(token);
    }

    fn settle(&mut self, now: Now, tag: Tag, outcome: &Outcome) {
        self.settle(now, tag, outcome);
    }

    fn subscribe(&mut self, now: Now, filter: &Filter, identifier: u32) -> bool {
        self.subscribe(now, filter, identifier)
    }

    fn unsubscribe(&mut self, now: Now, filter: &Filter) -> bool {
        self.unsubscribe(now, filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_virtual_host() {
        for (path, host) in [("/", "/"), ("", "/"), ("/a", "a"), ("/%2f", "/"), ("/a%2Fb%zz", "a/b%zz")] {
            assert_eq!(virtual_host(path), host);
        }
    }
}
