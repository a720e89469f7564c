//! From bytes to frames, and each to who acts on it (part 2 §2.3).

use super::fetch::Replies;
use super::{CHANNEL, Client, State};
use crate::amqp::v1::codec::{
    AMQP_HEADER, Close, CodecError, ErrorInfo, FrameHeader, FrameKind, MIN_MAX_FRAME_SIZE, Performative,
    SASL_HEADER, SaslFrame, frame_header,
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

    /// Takes every complete header and frame; returns how many bytes those were.
    fn parse(&mut self, now: Now, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while self.is_reading() {
            let rest = bytes.get(taken..).unwrap_or_default();
            match self.take(now, rest) {
                Ok(Some(length)) => {
                    taken += length;
                    self.last_heard = now.moment;
                }
                Ok(None) => break,
                Err(error) => self.fail(now, error),
            }
        }
        taken
    }

    fn take(&mut self, now: Now, bytes: &[u8]) -> Result<Option<usize>, CodecError> {
        let (expected, next) = match self.state {
            State::Greeting => (SASL_HEADER, State::Mechanisms),
            State::Header => (AMQP_HEADER, State::Opening),
            _ => return self.frame(now, bytes),
        };
        let Some(header) = bytes.first_chunk::<8>() else { return Ok(None) };
        if header == expected {
            self.state = next;
        } else {
            let said = String::from_utf8_lossy(header).escape_debug().to_string();
            self.leave(Some(format!("the server answers with the protocol header {said}")));
        }
        Ok(Some(header.len()))
    }

    fn frame(&mut self, now: Now, bytes: &[u8]) -> Result<Option<usize>, CodecError> {
        let Some(FrameHeader { size, body, kind, channel }) = frame_header(bytes)? else { return Ok(None) };
        if size > self.config.frame_bytes.max(MIN_MAX_FRAME_SIZE) {
            return Err(CodecError::framing("a frame is larger than the max-frame-size that was announced"));
        }
        let Some(whole) = bytes.get(..size as usize) else { return Ok(None) };
        let body = whole.get(usize::from(body)..).unwrap_or_default();
        let in_sasl = matches!(self.state, State::Mechanisms | State::Outcome);
        match kind {
            FrameKind::Sasl if in_sasl => {
                let frame = SaslFrame::read(body)?;
                self.sasl(now, frame);
            }
            FrameKind::Amqp if !in_sasl && body.is_empty() => {}
            FrameKind::Amqp if !in_sasl => self.performative(now, channel, body)?,
            _ => return Err(CodecError::framing("a frame came of another type than is due")),
        }
        Ok(Some(size as usize))
    }

    fn performative(&mut self, now: Now, channel: u16, body: &[u8]) -> Result<(), CodecError> {
        let (performative, payload) = Performative::read(body)?;
        match (self.state, performative) {
            (State::Opening, Performative::Open(open)) => self.opened(&open),
            (_, Performative::Close(close)) => {
                self.say(now, &Performative::Close(Close::default()));
                self.leave(Some(format!("the server closed the connection{}", because(close.error))));
            }
            (State::Beginning, Performative::Begin(begin)) if begin.remote_channel == Some(CHANNEL) => {
                self.begun(now, &begin);
            }
            (State::Open, Performative::End(end)) => {
                if matches!(self.replies, Replies::Asked) {
                    // RabbitMQ 3 ends the session for it: the next one does not ask.
                    self.replies = Replies::Nowhere;
                }
                self.leave(Some(format!("the server ended the session{}", because(end.error))));
            }
            (State::Open, Performative::Attach(attach)) => self.attached(now, &attach)?,
            (State::Open, Performative::Flow(flow)) => self.flow(now, &flow),
            (State::Open, Performative::Transfer(transfer)) => self.transferred(now, &transfer, payload)?,
            (State::Open, Performative::Disposition(disposition)) => self.disposed(now, &disposition),
            (State::Open, Performative::Detach(detach)) => {
                self.detached(now, detach.handle, detach.error.as_ref());
            }
            _ => {
                let _ = channel;
                return Err(CodecError::framing("a performative came that is not due"));
            }
        }
        Ok(())
    }

    /// The server broke the protocol (part 2 §2.4.6).
    fn fail(&mut self, now: Now, error: CodecError) {
        if !matches!(self.state, State::Greeting | State::Mechanisms | State::Outcome | State::Header) {
            let error = Some(ErrorInfo::new(error.condition, error.problem));
            self.say(now, &Performative::Close(Close { error }));
        }
        self.leave(Some(format!("the server broke the protocol: {}", error.problem)));
    }
}

fn because(error: Option<ErrorInfo<'_>>) -> String {
    error.map_or(String::new(), |error| {
        format!(" with {} {}", error.condition, error.description.unwrap_or_default())
    })
}
