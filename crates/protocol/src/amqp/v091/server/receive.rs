//! From bytes to frames, and each frame to who acts on it (AMQP 0-9-1 §4.2).

use super::failure::Failure;
use super::{HELD, Server, State};
use crate::amqp::v091::codec::{
    Frame, FrameKind, Method, ReplyCode, TxCommitOk, TxRollbackOk, TxSelectOk, frame,
};
use windrose_event::Now;

/// Class and number of basic.publish, as its frames begin.
const PUBLISH: &[u8] = &[0, 60, 0, 40];

impl Server {
    /// Takes a whole read.
    pub fn handle_bytes(&mut self, now: Now, bytes: &[u8]) {
        if matches!(self.state, State::Leaving | State::Closed) {
            return;
        }
        if matches!(self.state, State::Open | State::Opening) {
            self.heard = now.moment;
        }
        if self.partial.is_empty() && !self.is_held() {
            let taken = self.parse(now, bytes);
            self.keep(bytes.get(taken..).unwrap_or_default());
        } else {
            self.keep(bytes);
            self.go_on(now);
        }
        self.tell_stirred();
    }

    /// Takes what was held, as far as it may be.
    pub(super) fn go_on(&mut self, now: Now) {
        if self.partial.is_empty() || self.is_held() {
            return;
        }
        let bytes = std::mem::take(&mut self.partial);
        let start = std::mem::take(&mut self.start);
        let taken = self.parse(now, bytes.get(start..).unwrap_or_default());
        if matches!(self.state, State::Leaving | State::Closed) || start + taken >= bytes.len() {
            return;
        }
        (self.partial, self.start) = (bytes, start + taken);
    }

    fn keep(&mut self, rest: &[u8]) {
        if matches!(self.state, State::Leaving | State::Closed) || rest.is_empty() {
            return;
        }
        if self.start > self.partial.len() / 2 {
            self.partial.drain(..self.start);
            self.start = 0;
        }
        if self.partial.len() - self.start + rest.len() > HELD {
            let text = "too much came before the node could answer";
            return self.fail(&Failure::new(ReplyCode::RESOURCE_ERROR, text));
        }
        self.partial.extend_from_slice(rest);
    }

    /// Whether nothing more is taken for now: the engine must answer first, or settle something.
    fn is_held(&self) -> bool {
        self.pending.is_some() || self.state == State::Asking || self.unsettled.is_full()
    }

    /// Takes every whole frame, as long as it may; returns how many bytes those were.
    fn parse(&mut self, now: Now, bytes: &[u8]) -> usize {
        let mut taken = 0;
        if self.state == State::Header {
            let Some(header) = bytes.get(..8) else { return 0 };
            self.header(header);
            taken = 8;
        }
        while !matches!(self.state, State::Leaving | State::Closed) && !self.is_held() {
            let rest = bytes.get(taken..).unwrap_or_default();
            let (frame, length) = match frame(rest, self.frame_max) {
                Ok(Some(found)) => found,
                Ok(None) => break,
                Err(error) => {
                    self.frames.received += 1;
                    self.fail(&error.into());
                    // Nothing that follows can be made out, not even connection.close-ok.
                    if self.state == State::Closing {
                        self.leave(now);
                    }
                    return bytes.len();
                }
            };
            taken += length;
            self.frames.received += 1;
            let after = bytes.get(taken..).unwrap_or_default();
            match self.frame(now, frame, after) {
                Ok(more) => taken += more,
                Err(failure) => self.raise(frame.channel, &failure),
            }
        }
        taken
    }

    /// Takes a frame; `after` follows it. Says how much of that was taken as well.
    #[inline]
    fn frame(&mut self, now: Now, frame: Frame<'_>, after: &[u8]) -> Result<usize, Failure> {
        if frame.kind == FrameKind::Method && frame.payload.starts_with(PUBLISH) && self.state == State::Open
        {
            return self.publish_frame(frame.channel, frame.payload, after);
        }
        match frame.kind {
            FrameKind::Method if frame.channel == 0 => {
                let method = self.method_of(frame.payload)?;
                self.connection_method(now, method)?;
            }
            FrameKind::Method => {
                self.expect_open()?;
                let method = self.method_of(frame.payload)?;
                self.channel_method(frame.channel, method)?;
            }
            FrameKind::Header | FrameKind::Body => {
                self.expect_open()?;
                self.method = (60, 40);
                self.content_frame(frame)?;
            }
            FrameKind::Heartbeat if frame.channel == 0 && frame.payload.is_empty() => {}
            FrameKind::Heartbeat => {
                let text = "a heartbeat is not on channel 0, or not empty";
                return Err(Failure::new(ReplyCode::FRAME_ERROR, text));
            }
        }
        Ok(0)
    }

    fn method_of<'a>(&mut self, payload: &'a [u8]) -> Result<Method<'a>, Failure> {
        if let Some(&[a, b, c, d]) = payload.get(..4) {
            self.method = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        }
        Ok(Method::read(payload)?)
    }

    fn expect_open(&self) -> Result<(), Failure> {
        match self.state {
            State::Open | State::Closing => Ok(()),
            _ => Err(Failure::new(ReplyCode::COMMAND_INVALID, "a channel was used before connection.open")),
        }
    }

    /// A method on a channel.
    fn channel_method(&mut self, number: u16, method: Method<'_>) -> Result<(), Failure> {
        if self.state == State::Closing {
            return Ok(());
        }
        if let Method::ChannelOpen(_) = method {
            return self.open_channel(number);
        }
        let Some(channel) = self.channel(number) else {
            // Both sides said channel.close at once: the client's answer to ours may come late.
            if let Method::ChannelCloseOk(_) = method {
                return Ok(());
            }
            let text = format!("expected 'channel.open' on channel {number}");
            return Err(Failure::new(ReplyCode::CHANNEL_ERROR, text));
        };
        match method {
            Method::ChannelClose(_) => return self.close_channel(number),
            Method::ChannelCloseOk(_) if channel.is_closing => {
                self.forget_channel(number);
                return Ok(());
            }
            // What was under way when we closed it.
            _ if channel.is_closing => return Ok(()),
            _ if channel.content.is_some() => {
                let text = "a method came where a content header or body had to";
                return Err(Failure::new(ReplyCode::UNEXPECTED_FRAME, text));
            }
            _ => {}
        }
        match method {
            Method::ChannelFlow(flow) => self.flow(number, flow.active),
            Method::ChannelFlowOk(_) => {}
            Method::AccessRequest(_) => self.grant_access(number),
            Method::ExchangeDeclare(declare) => self.declare_exchange(number, declare)?,
            Method::ExchangeDelete(delete) => self.delete_exchange(number, delete)?,
            Method::ExchangeBind(bind) => self.bind_exchange(number, bind)?,
            Method::ExchangeUnbind(unbind) => self.unbind_exchange(number, unbind)?,
            Method::QueueDeclare(declare) => self.declare_queue(number, declare)?,
            Method::QueueBind(bind) => self.bind_queue(number, bind)?,
            Method::QueueUnbind(unbind) => self.unbind_queue(number, unbind)?,
            Method::QueuePurge(purge) => self.purge_queue(number, purge)?,
            Method::QueueDelete(delete) => self.delete_queue(number, delete)?,
            Method::BasicQos(qos) => self.qos(number, qos)?,
            Method::BasicConsume(consume) => self.consume(number, consume)?,
            Method::BasicCancel(cancel) => self.cancel(number, cancel),
            // The answer to our own basic.cancel; few clients give it.
            Method::BasicCancelOk(_) => {}
            Method::BasicGet(get) => self.get(number, get)?,
            Method::BasicAck(ack) => self.ack(number, ack)?,
            Method::BasicReject(reject) => self.reject(number, reject)?,
            Method::BasicNack(nack) => self.nack(number, nack)?,
            Method::BasicRecover(recover) => self.recover(number, recover.requeue, true)?,
            Method::BasicRecoverAsync(recover) => self.recover(number, recover.requeue, false)?,
            Method::ConfirmSelect(select) => self.select_confirm(number, select)?,
            Method::TxSelect(_) => {
                self.select_tx(number)?;
                self.say(number, TxSelectOk {});
            }
            Method::TxCommit(_) => {
                if self.commit(number)? {
                    self.say(number, TxCommitOk {});
                }
            }
            Method::TxRollback(_) => {
                self.rollback(number)?;
                self.say(number, TxRollbackOk {});
            }
            method => {
                let (class, number) = method.id();
                let text = format!("method {class}.{number} is not for a client to say on a channel");
                return Err(Failure::new(ReplyCode::COMMAND_INVALID, text));
            }
        }
        Ok(())
    }
}
