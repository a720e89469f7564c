//! Brokers of MQTT: pools with `protocol: mqtt`.

use super::client::Place;
use super::machine::{Because, Machine, Message, Said};
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Event, Filter, Moment, Now, Outcome, Tag, Text};
use windrose_policy::{Limits, MqttPool, MqttVersion, Pool};
use windrose_protocol::Transmit;
use windrose_protocol::mqtt::codec::Version;
use windrose_protocol::mqtt::{Client, ClientConfig, ClientOutput};

/// How long a broker keeps a session whose connection is lost: longer than any outage that a sender waits through.
const SESSION_EXPIRY: Duration = Duration::from_secs(3600);
/// The longest that the answer to CONNECT or PINGREQ may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The node as a client of a member.
pub(super) fn client(pool: &Pool, options: &MqttPool, limits: &Limits, place: &Place<'_>) -> Client {
    Client::new(Arc::new(ClientConfig {
        version: match options.version {
            MqttVersion::V5 => Version::V5,
            MqttVersion::V311 => Version::V3,
        },
        client_id: place.name(&options.client_id, &pool.name).into(),
        username: options.username.as_deref().map(Text::from),
        password: options.password.as_ref().map(|password| password.0.clone().into()),
        session_expiry: SESSION_EXPIRY,
        keep_alive: u16::try_from(options.keep_alive.as_secs()).unwrap_or(u16::MAX),
        answer_timeout: pool.timeout.min(ANSWER_TIMEOUT),
        receive_maximum: limits.receive_maximum,
        packet_bytes: limits.packet_bytes,
        address_levels: limits.address_levels,
        topic_aliases: limits.topic_aliases,
        via: (options.version == MqttVersion::V5).then(|| Text::from(place.node)),
        others: true,
    }))
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
            ClientOutput::Opened { resumed } => Said::Opened { resumed },
            ClientOutput::Sent { token } => Said::Sent { token },
            ClientOutput::Settled { token, outcome } => Said::Settled { token, outcome },
            ClientOutput::Message { tag, publication, again, subscriptions } => {
                let because = Because::Subscriptions(subscriptions);
                Said::Message(Message { tag, publication, again, because })
            }
            ClientOutput::Released { tag } => Said::Released { tag },
            ClientOutput::Subscribed { identifier, granted } => Said::Subscribed { identifier, granted },
            ClientOutput::Close { problem } => Said::Close { problem },
        })
    }

    fn transmit(&mut self) -> &mut Transmit {
        self.transmit()
    }

    fn is_full(&self) -> bool {
        self.is_full()
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
