//! Bytes to frames, frames to what they are for (part 2 §2.2, §2.3).

use super::{Failure, Server, State};
use crate::amqp::v1::codec::{
    AMQP_HEADER, CodecError, FrameHeader, FrameKind, Performative, SASL_HEADER, TLS_HEADER, condition,
    frame_header,
};
use windrose_event::{CloseCause, Now};

/// Bytes that may come before the engine has answered, besides one frame: peers pipeline what they begin with.
const AHEAD: usize = 64 * 1024;

impl Server {
    pub(super) fn receive(&mut self, now: Now, bytes: &[u8]) {
        if self.state != State::Closing {
            self.last_heard = now.moment;
        }
        match self.state {
            State::Closed => {}
            State::Asked => self.hold(bytes),
            _ if self.partial.is_empty() => {
                let taken = self.parse(now, bytes);
                self.keep_rest(bytes.get(taken..).unwrap_or_default());
            }
            _ => {
                self.partial.extend_from_slice(bytes);
                self.parse_partial(now);
            }
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.partial.len() + bytes.len() > self.config.frame_bytes as usize + AHEAD {
            let problem = "too much came before the connection was open";
            return self.fail(0, Failure::connection(condition::RESOURCE_LIMIT_EXCEEDED, problem));
        }
        self.partial.extend_from_slice(bytes);
    }

    pub(super) fn parse_partial(&mut self, now: Now) {
        if self.partial.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.partial);
        let taken = self.parse(now, &bytes);
        if taken > 0 {
            self.keep_rest(bytes.get(taken..).unwrap_or_default());
        } else if self.state != State::Closed {
            self.partial = bytes;
        }
    }

    fn keep_rest(&mut self, rest: &[u8]) {
        if self.state != State::Closed && !rest.is_empty() {
            self.partial.extend_from_slice(rest);
        }
    }

    /// Takes every complete frame, as long as the state lets it; returns how many bytes those were.
    fn parse(&mut self, now: Now, bytes: &[u8]) -> usize {
        let mut taken = 0;
        loop {
            let rest = bytes.get(taken..).unwrap_or_default();
            match self.state {
                State::Closed | State::Asked => break,
                State::Header | State::Proved => {
                    let Some(header) = rest.first_chunk::<8>() else { break };
                    taken += 8;
                    self.header(header);
                }
                State::Sasl | State::Challenged | State::Fresh | State::Open | State::Closing => {
                    let header = match frame_header(rest) {
                        Ok(Some(header)) => header,
                        Ok(None) => break,
                        Err(_) if self.state == State::Closing => {
                            self.close_transport();
                            break;
                        }
                        Err(error) => {
                            self.fail(0, error.into());
                            break;
                        }
                    };
                    if header.size > self.config.frame_bytes && self.state == State::Closing {
                        self.close_transport();
                        break;
                    }
                    if header.size > self.config.frame_bytes {
                        self.fail(0, CodecError::framing("a frame is larger than max-frame-size").into());
                        break;
                    }
                    let Some(frame) = rest.get(..header.size as usize) else { break };
                    let body = frame.get(usize::from(header.body)..).unwrap_or_default();
                    taken += frame.len();
                    self.frames.received += 1;
                    if self.state == State::Closing {
                        if matches!(Performative::read(body), Ok((Performative::Close(_), _))) {
                            self.close_transport();
                        }
                        continue;
                    }
                    if let Err(failure) = self.frame(now, header, body) {
                        self.fail(header.channel, failure);
                    }
                }
            }
        }
        taken
    }

    /// A protocol header (part 2 §2.2; part 5 §5.1). Whoever begins with another than is spoken here is told which is.
    fn header(&mut self, header: &[u8; 8]) {
        match header {
            AMQP_HEADER => {
                self.transmit.buffer().extend_from_slice(AMQP_HEADER);
                self.state = State::Fresh;
            }
            SASL_HEADER if self.state == State::Header => self.begin_sasl(),
            _ => {
                self.transmit.buffer().extend_from_slice(SASL_HEADER);
                let problem = if header == TLS_HEADER {
                    "TLS within AMQP is not spoken: connect with TLS from the start"
                } else {
                    "its protocol header is none that is spoken here"
                };
                self.end(CloseCause::Protocol(problem.into()));
            }
        }
    }

    #[inline]
    fn frame(&mut self, now: Now, header: FrameHeader, body: &[u8]) -> Result<(), Failure> {
        match (header.kind, self.state) {
            (FrameKind::Amqp, State::Fresh | State::Open) => {}
            (FrameKind::Sasl, State::Sasl | State::Challenged) => return self.sasl_frame(body),
            _ => {
                let problem = "a frame of another type came than was to come";
                return Err(Failure::connection(condition::FRAMING_ERROR, problem));
            }
        }
        if body.is_empty() {
            // An empty frame is a sign of life (part 2 §2.4.5).
            return Ok(());
        }
        let (performative, payload) = Performative::read(body)?;
        if self.state == State::Fresh {
            return match performative {
                Performative::Open(open) => self.opened(&open),
                Performative::Close(_) => {
                    self.end(CloseCause::Goodbye);
                    Ok(())
                }
                _ => Err(Failure::connection(condition::ILLEGAL_STATE, "the connection is not open yet")),
            };
        }
        let channel = header.channel;
        match performative {
            Performative::Transfer(transfer) => self.transfer(now, channel, &transfer, payload),
            Performative::Disposition(disposition) => self.disposition(channel, &disposition),
            Performative::Flow(flow) => self.flow(channel, &flow),
            Performative::Begin(begin) => self.begin(channel, &begin),
            Performative::Attach(attach) => self.attach(channel, &attach, body),
            Performative::Detach(detach) => self.detach(channel, &detach),
            Performative::End(_) => self.ended(channel),
            Performative::Close(_) => {
                self.closed_by_peer();
                Ok(())
            }
            Performative::Open(_) => {
                Err(Failure::connection(condition::ILLEGAL_STATE, "open came a second time"))
            }
        }
    }
}
