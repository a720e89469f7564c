//! From the protocol header to an open channel (AMQP 0-9-1 §1.4, §1.5; RabbitMQ's confirm class).

use super::{CHANNEL, Client, State};
use crate::Transmit;
use crate::amqp::client::ClientOutput;
use crate::amqp::v091::codec::{
    BasicConsume, BasicQos, ChannelOpen, ConfirmSelect, ConnectionOpen, ConnectionStart, ConnectionStartOk,
    ConnectionTune, ConnectionTuneOk, FRAME_MIN, PROTOCOL_HEADER, Table, TableBuf, Value,
};
use std::time::Duration;
use windrose_event::Now;

/// The consumer tag of those queues that the document has consumed from.
pub(super) const QUEUE_TAG: &str = "queue";

impl Client {
    pub(crate) fn handle_connected(&mut self, now: Now) {
        self.state = State::Greeting;
        self.transmit = Transmit::default();
        (self.since, self.last_heard, self.last_said) = (now.moment, now.moment, now.moment);
        (self.blocked, self.hears_replies, self.first, self.declared) = (false, false, 1, false);
        self.frame_max = FRAME_MIN;
        self.heartbeat = None;
        self.transmit.buffer().extend_from_slice(PROTOCOL_HEADER);
    }

    /// connection.start: proves who we are (AMQP 0-9-1 §1.4.2.1).
    pub(super) fn start(&mut self, now: Now, start: ConnectionStart<'_>) {
        let offers =
            |name: &str| start.mechanisms.split(|byte| *byte == b' ').any(|known| known == name.as_bytes());
        let config = self.config.clone();
        let plain = || {
            let password = config.password.as_deref().unwrap_or_default();
            config.username.as_deref().map(|name| format!("\0{name}\0{password}"))
        };
        let (mechanism, response) = match plain() {
            Some(response) if offers("PLAIN") => ("PLAIN", response),
            None if offers("ANONYMOUS") => ("ANONYMOUS", String::new()),
            // What RabbitMQ lets in on loopback if nobody says otherwise.
            None if offers("PLAIN") => ("PLAIN", "\0guest\0guest".to_owned()),
            _ => {
                let offered = String::from_utf8_lossy(start.mechanisms);
                return self.leave(Some(format!("the server takes none of our mechanisms, but {offered}")));
            }
        };
        let mut capabilities = TableBuf::new();
        for name in [
            "publisher_confirms",
            "basic.nack",
            "connection.blocked",
            "consumer_cancel_notify",
            "authentication_failure_close",
        ] {
            capabilities.put(name, Value::Bool(true));
        }
        let mut properties = TableBuf::new();
        properties
            .put_text("product", "Windrose")
            .put_text("version", env!("CARGO_PKG_VERSION"))
            .put_text("connection_name", &config.name)
            .put("capabilities", Value::Table(capabilities.table()));
        self.state = State::Authenticating;
        let client_properties = properties.table();
        let response = response.as_bytes();
        self.say(now, 0, ConnectionStartOk { client_properties, mechanism, response, locale: "en_US" });
    }

    /// connection.tune: agrees on limits (AMQP 0-9-1 §1.4.2.5).
    pub(super) fn tune(&mut self, now: Now, tune: ConnectionTune) {
        let ours = u16::try_from(self.config.heartbeat.as_secs()).unwrap_or(u16::MAX);
        let heartbeat = match (ours, tune.heartbeat) {
            (0, other) | (other, 0) => other,
            (ours, theirs) => ours.min(theirs),
        };
        let most = self.config.frame_bytes.max(FRAME_MIN);
        let frame_max = if tune.frame_max == 0 { most } else { most.min(tune.frame_max) };
        self.heartbeat = (heartbeat > 0).then(|| Duration::from_secs(heartbeat.into()));
        self.frame_max = frame_max;
        self.state = State::Opening;
        self.say(now, 0, ConnectionTuneOk { channel_max: 1, frame_max, heartbeat });
        let config = self.config.clone();
        self.say(now, 0, ConnectionOpen { virtual_host: &config.virtual_host });
    }

    /// connection.open-ok: opens the channel.
    pub(super) fn opened(&mut self, now: Now) {
        self.state = State::Channel;
        self.say(now, CHANNEL, ChannelOpen {});
        let prefetch_count = self.config.prefetch;
        self.say(now, CHANNEL, BasicQos { prefetch_size: 0, prefetch_count, global: false });
        self.say(now, CHANNEL, ConfirmSelect { no_wait: false });
    }

    /// confirm.select-ok: the channel is as it is to be.
    pub(super) fn ready(&mut self, now: Now) {
        self.state = State::Open;
        self.put(ClientOutput::Opened);
        let config = self.config.clone();
        for (index, queue) in config.consume.iter().enumerate() {
            let consumer_tag = &*format!("{QUEUE_TAG}-{index}");
            self.say(
                now,
                CHANNEL,
                BasicConsume {
                    queue,
                    consumer_tag,
                    no_local: false,
                    no_ack: false,
                    exclusive: false,
                    no_wait: true,
                    arguments: Table::default(),
                },
            );
        }
        self.unbind_stale(now);
        self.send_waiting(now);
    }
}
