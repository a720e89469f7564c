//! From the protocol header to a session (part 2 §2.2, §2.4, §2.5; part 5 §5.3).

use super::{Client, State};
use crate::Transmit;
use crate::amqp::client::ClientOutput;
use crate::amqp::v1::codec::{
    AMQP_HEADER, Begin, Flow, MIN_MAX_FRAME_SIZE, MapWriter, Open, Performative, SASL_HEADER, SaslCode,
    SaslFrame, Value,
};
use std::time::Duration;
use windrose_event::Now;

/// How many transfers we take, and would send: the session is no bound of ours.
const WINDOW: u32 = 2_048;

/// The capability of servers whose anonymous terminus takes messages for anywhere.
const RELAY: &str = "ANONYMOUS-RELAY";

impl Client {
    pub(crate) fn handle_connected(&mut self, now: Now) {
        self.state = State::Greeting;
        self.transmit = Transmit::default();
        (self.since, self.last_heard, self.last_said) = (now.moment, now.moment, now.moment);
        (self.first, self.next_outgoing, self.window) = (0, 0, 0);
        (self.next_incoming, self.incoming_window) = (0, WINDOW);
        (self.relays, self.handle_max, self.frame_max) = (false, u32::MAX, MIN_MAX_FRAME_SIZE);
        self.idle = None;
        self.transmit.buffer().extend_from_slice(SASL_HEADER);
    }

    /// A frame of SASL.
    pub(super) fn sasl(&mut self, now: Now, frame: SaslFrame<'_>) {
        match (self.state, frame) {
            (State::Mechanisms, SaslFrame::Mechanisms(offered)) => {
                let config = self.config.clone();
                let password = config.password.as_deref().unwrap_or_default();
                let plain = config.username.as_deref().map(|name| format!("\0{name}\0{password}"));
                let (mechanism, response) = match &plain {
                    Some(response) if offered.has("PLAIN") => ("PLAIN", response.as_bytes()),
                    None if offered.has("ANONYMOUS") => ("ANONYMOUS", &b"windrose"[..]),
                    None if offered.has("EXTERNAL") => ("EXTERNAL", &b""[..]),
                    _ => {
                        let offered: Vec<_> = offered.iter().collect();
                        let offered = offered.join(", ");
                        return self.leave(Some(format!(
                            "the server takes none of our SASL mechanisms, but {offered}"
                        )));
                    }
                };
                self.state = State::Outcome;
                self.last_said = now.moment;
                let hostname = Some(config.host.as_str());
                SaslFrame::Init { mechanism, initial_response: Some(response), hostname }
                    .write(self.transmit.buffer());
            }
            (State::Outcome, SaslFrame::Outcome { code: SaslCode::Ok, .. }) => {
                self.state = State::Header;
                self.transmit.buffer().extend_from_slice(AMQP_HEADER);
                self.begin(now);
            }
            (State::Outcome, SaslFrame::Outcome { code, .. }) => {
                self.leave(Some(format!("the server refused our credentials ({code:?})")));
            }
            _ => self.leave(Some("the server's SASL frames are out of order".to_owned())),
        }
    }

    fn begin(&mut self, now: Now) {
        let config = self.config.clone();
        let mut properties = MapWriter::new();
        properties.symbol("product", &Value::String("Windrose"));
        properties.symbol("version", &Value::String(env!("CARGO_PKG_VERSION")));
        let open = Open {
            container_id: &config.name,
            hostname: Some(&config.host),
            max_frame_size: Some(config.frame_bytes.max(MIN_MAX_FRAME_SIZE)),
            channel_max: Some(0),
            idle_time_out: u32::try_from(config.heartbeat.as_millis()).ok(),
            properties: Some(properties.map()),
            ..Open::default()
        };
        self.say(now, &Performative::Open(open));
        let (incoming_window, outgoing_window) = (WINDOW, WINDOW);
        let begin = Begin { incoming_window, outgoing_window, ..Begin::default() };
        self.say(now, &Performative::Begin(begin));
    }

    /// The server's open.
    pub(super) fn opened(&mut self, open: &Open<'_>) {
        self.state = State::Beginning;
        self.relays = open.offered_capabilities.has(RELAY);
        self.frame_max = open.max_frame_size.unwrap_or(u32::MAX).max(MIN_MAX_FRAME_SIZE);
        let idle = open.idle_time_out.filter(|millis| *millis > 0);
        self.idle = idle.map(|millis| Duration::from_millis(millis.into()));
    }

    /// The server's begin: all is ready.
    pub(super) fn begun(&mut self, now: Now, begin: &Begin<'_>) {
        self.state = State::Open;
        self.next_incoming = begin.next_outgoing_id;
        self.window = begin.incoming_window;
        self.handle_max = begin.handle_max.unwrap_or(u32::MAX);
        self.put(ClientOutput::Opened);
        self.consume(now);
        self.send_waiting(now);
    }

    /// Lets the server send on when half of the window is used up.
    pub(super) fn keep_window(&mut self, now: Now) {
        if self.incoming_window <= WINDOW / 2 {
            self.incoming_window = WINDOW;
            let flow = self.session_flow();
            self.say(now, &Performative::Flow(flow));
        }
    }

    /// A flow that says how the session is (part 2 §2.5.6).
    pub(super) fn session_flow(&self) -> Flow<'static> {
        Flow {
            next_incoming_id: Some(self.next_incoming),
            incoming_window: self.incoming_window,
            next_outgoing_id: self.next_outgoing,
            outgoing_window: WINDOW,
            ..Default::default()
        }
    }
}
