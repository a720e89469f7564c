//! From bytes to frames, and each to who acts on it (AMQP 0-9-1 §2.3.5).

use super::consume::{Asked, Incoming, OUT_OF_ORDER, Purpose};
use super::{CHANNEL, Client, State};
use crate::amqp::v091::codec::{
    BasicCancelOk, ChannelCloseOk, ChannelFlowOk, CodecError, ConnectionClose, ConnectionCloseOk,
    ContentHeader, FRAME_MIN, Frame, FrameKind, Method, frame,
};
use windrose_event::Now;

impl Client {
    pub(crate) fn handle_bytes(&mut self, now: Now, bytes: &[u8]) {
        if self.partial.is_empty() {
            let taken = self.parse(now, bytes);
            self.keep_rest(bytes.get(taken..).unwrap_or_default());
            return;
        }
        let mut whole = std::mem::take(&mut self.partial);
        whole.extend_from_slice(bytes);
        let taken = self.parse(now, &whole);
        if taken > 0 {
            self.keep_rest(whole.get(taken..).unwrap_or_default());
        } else if self.is_reading() {
            self.partial = whole;
        }
    }

    fn is_reading(&self) -> bool {
        !matches!(self.state, State::Away | State::Closed)
    }

    fn keep_rest(&mut self, rest: &[u8]) {
        if self.is_reading() && !rest.is_empty() {
            self.partial.extend_from_slice(rest);
        }
    }

    /// Takes every complete frame; returns how many bytes those were.
    fn parse(&mut self, now: Now, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while self.is_reading() {
            let rest = bytes.get(taken..).unwrap_or_default();
            if self.state == State::Greeting && rest.first() == Some(&b'A') {
                self.leave(Some("the server does not speak AMQP 0-9-1".to_owned()));
                break;
            }
            match frame(rest, self.config.frame_bytes.max(FRAME_MIN)) {
                Ok(Some((frame, length))) => {
                    taken += length;
                    self.last_heard = now.moment;
                    if let Err(error) = self.take(now, frame) {
                        self.fail(now, error);
                    }
                }
                Ok(None) => break,
                Err(error) => self.fail(now, error),
            }
        }
        taken
    }

    /// The server broke the protocol (AMQP 0-9-1 §2.2.8).
    fn fail(&mut self, now: Now, error: CodecError) {
        let CodecError { code, problem } = error;
        let close = ConnectionClose { reply_code: code.0, reply_text: problem, class_id: 0, method_id: 0 };
        self.say(now, 0, close);
        self.leave(Some(format!("the server broke the protocol: {problem}")));
    }

    fn take(&mut self, now: Now, frame: Frame<'_>) -> Result<(), CodecError> {
        match (frame.kind, frame.channel) {
            (FrameKind::Heartbeat, _) => Ok(()),
            (FrameKind::Method, 0) => self.connection(now, Method::read(frame.payload)?),
            (FrameKind::Method, CHANNEL) if self.incoming.is_none() => {
                self.channel(now, Method::read(frame.payload)?)
            }
            (FrameKind::Header, CHANNEL) => self.header(now, ContentHeader::read(frame.payload)?),
            (FrameKind::Body, CHANNEL) => self.body(now, frame.payload),
            _ => Err(OUT_OF_ORDER),
        }
    }

    fn connection(&mut self, now: Now, method: Method<'_>) -> Result<(), CodecError> {
        match (self.state, method) {
            (State::Greeting, Method::ConnectionStart(start)) => self.start(now, start),
            (State::Authenticating, Method::ConnectionTune(tune)) => self.tune(now, tune),
            (State::Authenticating, Method::ConnectionSecure(_)) => {
                self.leave(Some("the server asks for more than a name and a password".to_owned()));
            }
            (State::Opening, Method::ConnectionOpenOk(_)) => self.opened(now),
            (_, Method::ConnectionClose(close)) => {
                self.say(now, 0, ConnectionCloseOk {});
                let ConnectionClose { reply_code, reply_text, .. } = close;
                self.leave(Some(format!("the server ended the connection with {reply_code} {reply_text}")));
            }
            (_, Method::ConnectionBlocked(_)) => self.blocked = true,
            (_, Method::ConnectionUnblocked(_)) => {
                self.blocked = false;
                self.send_waiting(now);
            }
            _ => return Err(OUT_OF_ORDER),
        }
        Ok(())
    }

    fn channel(&mut self, now: Now, method: Method<'_>) -> Result<(), CodecError> {
        match (self.state, method) {
            (State::Channel, Method::ChannelOpenOk(_) | Method::BasicQosOk(_)) => {}
            (State::Channel, Method::ConfirmSelectOk(_)) => self.ready(now),
            (State::Channel | State::Open, Method::ChannelClose(close)) => {
                // A channel has one thing to do, and what closed it would close the next one.
                self.say(now, CHANNEL, ChannelCloseOk {});
                let (code, text) = (close.reply_code, close.reply_text);
                self.leave(Some(format!("the server closed the channel with {code} {text}")));
            }
            (State::Open, Method::ChannelFlow(flow)) => {
                self.blocked = !flow.active;
                self.say(now, CHANNEL, ChannelFlowOk { active: flow.active });
                self.send_waiting(now);
            }
            (State::Open, Method::BasicAck(ack)) => self.confirmed(ack.delivery_tag, ack.multiple, true),
            (State::Open, Method::BasicNack(nack)) => {
                self.confirmed(nack.delivery_tag, nack.multiple, false);
            }
            (State::Open, Method::BasicReturn(returned)) => {
                let key = returned.routing_key.into();
                self.incoming = Some(Incoming::new(Purpose::Return { key }));
            }
            (State::Open, Method::BasicDeliver(deliver)) => {
                let purpose = Self::purpose(
                    deliver.delivery_tag,
                    deliver.consumer_tag,
                    deliver.redelivered,
                    deliver.exchange,
                    deliver.routing_key,
                );
                self.incoming = Some(Incoming::new(purpose));
            }
            (State::Open, Method::BasicCancel(cancel)) => {
                // Its queue is gone: the next connection makes it anew, or says that it is not there.
                let consumer_tag = cancel.consumer_tag;
                if !cancel.no_wait {
                    self.say(now, CHANNEL, BasicCancelOk { consumer_tag });
                }
                self.leave(Some(format!("the server canceled the consumer '{consumer_tag}'")));
            }
            (State::Open, Method::BasicConsumeOk(_)) => {}
            (State::Open, Method::QueueDeclareOk(_)) => {
                self.answered(|asked| matches!(asked, Asked::Declare))?;
            }
            (State::Open, Method::QueueBindOk(_)) => {
                self.answered(|asked| matches!(asked, Asked::Bind(_)))?
            }
            (State::Open, Method::QueueUnbindOk(_)) => {
                self.answered(|asked| matches!(asked, Asked::Unbind))?
            }
            _ => return Err(OUT_OF_ORDER),
        }
        Ok(())
    }
}
