//! Class connection: from the protocol's header to an open connection (AMQP 0-9-1 §2.2.4, §1.4).

use super::failure::Failure;
use super::{Capabilities, Server, State};
use crate::amqp::v091::codec::{
    ConnectionOpen, ConnectionOpenOk, ConnectionSecure, ConnectionStart, ConnectionStartOk, ConnectionTune,
    ConnectionTuneOk, ConnectionUpdateSecret, ConnectionUpdateSecretOk, FRAME_MIN, Method, PROTOCOL_HEADER,
    ReplyCode, TableBuf, Value,
};
use windrose_event::{Accepted, CloseCause, Now};

/// What this server does beyond the specification, as RabbitMQ names it (server-properties, capabilities).
const CAPABILITIES: [&str; 8] = [
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
];

impl Server {
    /// The protocol's header came, or something else (AMQP 0-9-1 §4.2.2).
    pub(super) fn header(&mut self, header: &[u8]) {
        if header != PROTOCOL_HEADER {
            self.transmit.buffer().extend_from_slice(PROTOCOL_HEADER);
            return self.end(CloseCause::Protocol("its first bytes are not the header of AMQP 0-9-1".into()));
        }
        let mut capabilities = TableBuf::new();
        for name in CAPABILITIES {
            capabilities.put(name, Value::Bool(true));
        }
        let mut properties = TableBuf::new();
        properties
            .put("capabilities", Value::Table(capabilities.table()))
            .put_text("cluster_name", &self.config.node)
            .put_text("product", "Windrose")
            .put_text("platform", "Rust")
            .put_text("version", env!("CARGO_PKG_VERSION"));
        let mechanisms = self.mechanisms();
        self.state = State::Start;
        let start = ConnectionStart {
            version_major: 0,
            version_minor: 9,
            server_properties: properties.table(),
            mechanisms: mechanisms.as_bytes(),
            locales: b"en_US",
        };
        self.say(0, start);
    }

    /// A method on channel zero.
    pub(super) fn connection_method(&mut self, now: Now, method: Method<'_>) -> Result<(), Failure> {
        match (self.state, method) {
            (State::Start, Method::ConnectionStartOk(start)) => self.start_ok(start),
            (State::Secure, Method::ConnectionSecureOk(secure)) => self.secure_ok(secure.response),
            (State::Proved, Method::ConnectionSecureOk(_)) => self.tune(),
            (State::Tune, Method::ConnectionTuneOk(tune)) => self.tune_ok(now, tune)?,
            (State::Opening, Method::ConnectionOpen(open)) => self.open(open)?,
            (State::Open, Method::ConnectionUpdateSecret(update)) => self.update_secret(update),
            // Whoever blocks us says so in vain: what it gets it asked for by credit.
            (State::Open, Method::ConnectionBlocked(_) | Method::ConnectionUnblocked(_)) => {}
            (_, Method::ConnectionClose(_)) => self.goodbye(now),
            (State::Closing, Method::ConnectionCloseOk(_)) => self.end_as_said(),
            (State::Closing, _) => {}
            (State::Open, method) if method.id().0 != 10 => {
                let text = "a method that belongs to a channel came on channel 0";
                return Err(Failure::new(ReplyCode::COMMAND_INVALID, text));
            }
            (_, method) => {
                let (class, number) = method.id();
                let text = format!("method {class}.{number} came out of order");
                return Err(Failure::new(ReplyCode::COMMAND_INVALID, text));
            }
        }
        Ok(())
    }

    fn start_ok(&mut self, start: ConnectionStartOk<'_>) {
        if let Some(Value::Table(known)) = start.client_properties.get("capabilities") {
            let can = |name: &str| known.get(name) == Some(Value::Bool(true));
            self.capabilities = Capabilities {
                authentication_failure_close: can("authentication_failure_close"),
                blocked: can("connection.blocked"),
                consumer_cancel_notify: can("consumer_cancel_notify"),
            };
        }
        self.authenticate(start.mechanism, start.response);
    }

    /// The engine knows who this is.
    pub(super) fn accepted(&mut self, now: Now, accepted: &Accepted) {
        if self.state != State::Asking {
            return;
        }
        // However long the registry took, the client has its whole time.
        self.heard = now.moment;
        if let Some(data) = &accepted.data {
            // What a mechanism says with success has no place in connection.tune: it is a challenge of its own.
            self.state = State::Proved;
            return self.say(0, ConnectionSecure { challenge: data });
        }
        self.tune();
    }

    fn tune(&mut self) {
        self.state = State::Tune;
        let heartbeat = self.config.heartbeat.map_or(0, |every| every.as_secs().clamp(1, 65_535));
        let tune = ConnectionTune {
            channel_max: self.config.channels,
            frame_max: self.frame_max,
            heartbeat: heartbeat as u16,
        };
        self.say(0, tune);
    }

    fn tune_ok(&mut self, now: Now, tune: ConnectionTuneOk) -> Result<(), Failure> {
        let channel_max = u32::from(self.config.channels);
        check("channel_max", 1, channel_max, tune.channel_max.into())?;
        check("frame_max", FRAME_MIN, self.frame_max, tune.frame_max)?;
        self.channel_max = tune.channel_max;
        self.frame_max = tune.frame_max;
        self.begin_beats(now, tune.heartbeat);
        self.state = State::Opening;
        Ok(())
    }

    fn open(&mut self, open: ConnectionOpen<'_>) -> Result<(), Failure> {
        if open.virtual_host != "/" {
            let text = format!("vhost {} not found", open.virtual_host);
            return Err(Failure::new(ReplyCode::NOT_ALLOWED, text));
        }
        self.state = State::Open;
        self.say(0, ConnectionOpenOk {});
        Ok(())
    }

    /// A new secret for who this is already: it is looked at when it next has to be.
    fn update_secret(&mut self, update: ConnectionUpdateSecret<'_>) {
        let _ = update;
        self.secret_updated();
    }

    pub(super) fn secret_updated(&mut self) {
        self.say(0, ConnectionUpdateSecretOk {});
    }
}

/// Whether a client keeps within what it was offered; zero stands for no limit.
fn check(what: &str, least: u32, most: u32, value: u32) -> Result<(), Failure> {
    let (word, bound, limit) = if value != 0 && value < least {
        ("lower", "minimum", least)
    } else if most != 0 && (value == 0 || value > most) {
        ("higher", "maximum", most)
    } else {
        return Ok(());
    };
    let value = if value == 0 { "no_limit (0)".to_owned() } else { value.to_string() };
    let text = format!("negotiated {what} = {value} is {word} than the {bound} allowed value ({limit})");
    Err(Failure::new(ReplyCode::NOT_ALLOWED, text))
}
