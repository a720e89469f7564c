//! One request of ours until its whole response is here: blocks both ways (RFC 7959), and once more with the Echo that a
//! server asks for (RFC 9175 §2.3).

use crate::coap::codec::{Block, Code, Options, OptionsBuf, option};
use crate::coap::exchange::Response;
use bytes::Bytes;
use smallvec::SmallVec;
use std::fmt;

/// A request to send, whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// The method (RFC 7252 §5.8).
    pub code: Code,
    /// Its options, without those of blocks.
    pub options: OptionsBuf,
    /// Its payload, however long.
    pub payload: Bytes,
}

/// Why there is no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Its host cannot be found or reached.
    Unreachable,
    /// None came in time.
    TimedOut,
    /// The peer does not know what it was sent (RFC 7252 §4.2, Reset).
    Reset,
    /// It is larger than is taken.
    TooLarge,
    /// It makes no sense; the sentence says how.
    Nonsense(&'static str),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "it cannot be reached",
            Self::TimedOut => "it said nothing in time",
            Self::Reset => "it refused the request: nobody listens there",
            Self::TooLarge => "its answer is larger than is taken",
            Self::Nonsense(how) => return write!(f, "its answer makes no sense: {how}"),
        })
    }
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Send [`Call::message`].
    Again,
    /// The response, whole.
    Done(Response),
    /// There will be none.
    Failed(Failure),
}

/// A request of ours that has no whole response yet.
#[derive(Debug)]
pub(super) struct Call {
    request: Outgoing,
    /// Tells servers our bodies apart (RFC 9175 §3.2).
    tag: u32,
    /// The block of the payload that is on its way; `None`: it goes whole.
    sending: Option<Block>,
    /// What the server wants to see (RFC 9175 §2.2).
    echo: Option<SmallVec<[u8; 40]>>,
    /// Whether the payload's blocks were sent anew from the first.
    restarted: bool,
    /// The block of the response that is asked for.
    asking: Option<Block>,
    /// What is here of the response.
    body: Vec<u8>,
    etag: Option<SmallVec<[u8; 8]>>,
}

impl Call {
    /// A request whose messages have room for so many bytes of payload.
    pub(super) fn new(request: Outgoing, room: usize, tag: u32) -> Self {
        let mut call = Self {
            request,
            tag,
            sending: None,
            echo: None,
            restarted: false,
            asking: None,
            body: Vec::new(),
            etag: None,
        };
        let exponent = (0..=6).rev().find(|exponent| 16 << exponent <= room).unwrap_or(0);
        if call.request.payload.len() > (16 << exponent) {
            call.send_from(0, exponent);
        }
        call
    }

    /// The message to send now: the request, or what it goes on with.
    pub(super) fn message(&self) -> Outgoing {
        let Outgoing { code, options, payload } = &self.request;
        let (code, mut options) = (*code, options.clone());
        if let Some(echo) = &self.echo {
            options.insert(option::ECHO, echo);
        }
        if self.sending.is_some() {
            options.insert(option::REQUEST_TAG, &self.tag.to_be_bytes());
        }
        if let Some(block) = self.asking {
            // The payload is there already: a body is asked for block by block without it, by all other options
            // (RFC 7959 §3.3).
            options.insert(option::BLOCK2, block.value().as_bytes());
            return Outgoing { code, options, payload: Bytes::new() };
        }
        let Some(block) = self.sending else {
            return Outgoing { code, options, payload: payload.clone() };
        };
        options.insert(option::BLOCK1, block.value().as_bytes());
        if block.number == 0 {
            options.insert_uint(option::SIZE1, u32::try_from(payload.len()).unwrap_or(u32::MAX));
        }
        let end = payload.len().min(block.offset() + block.size());
        Outgoing { code, options, payload: payload.slice(block.offset().min(end)..end) }
    }

    /// Takes a response to the message that was sent last; bodies of up to `most` bytes are put together.
    pub(super) fn respond(&mut self, code: Code, options: Options<'_>, payload: &[u8], most: usize) -> Step {
        if code == Code::UNAUTHORIZED
            && self.echo.is_none()
            && let Some(echo) = options.get(option::ECHO)
        {
            self.echo = Some(SmallVec::from_slice(echo));
            return Step::Again;
        }
        let block1 = options.get(option::BLOCK1).and_then(Block::parse);
        if let Some(step) = self.go_on_sending(code, block1) {
            return step;
        }
        match options.get(option::BLOCK2).and_then(Block::parse) {
            Some(block) if code.is_success() => self.receive(block, code, options, payload, most),
            _ if code.is_success() && self.asking.is_some() => {
                Step::Failed(Failure::Nonsense("a block was asked for, and what came is none"))
            }
            _ if payload.len() > most => Step::Failed(Failure::TooLarge),
            _ => Step::Done(whole(code, options, Bytes::copy_from_slice(payload))),
        }
    }

    /// What a response means for the payload; `None`: nothing.
    fn go_on_sending(&mut self, code: Code, theirs: Option<Block>) -> Option<Step> {
        let length = self.request.payload.len();
        match (code, self.sending) {
            (Code::REQUEST_ENTITY_TOO_LARGE, sent) if sent.is_none_or(|block| block.number == 0) => {
                // The server would rather have smaller blocks (RFC 7959 §2.9.3).
                let exponent = theirs?.exponent;
                let is_smaller = sent.map_or(16 << exponent < length, |sent| exponent < sent.exponent);
                is_smaller.then(|| self.send_from(0, exponent))
            }
            (Code::REQUEST_ENTITY_INCOMPLETE, Some(sent)) if !self.restarted => {
                self.restarted = true;
                Some(self.send_from(0, sent.exponent))
            }
            (Code::CONTINUE, Some(sent)) if sent.more => {
                let exponent = theirs.map_or(sent.exponent, |theirs| theirs.exponent.min(sent.exponent));
                Some(self.send_from(sent.offset() + sent.size(), exponent))
            }
            (Code::CONTINUE, _) => {
                Some(Step::Failed(Failure::Nonsense("it wants more than there is (2.31)")))
            }
            // A server that takes blocks one by one may say so with another code of success (RFC 7959 §2.3).
            (code, Some(sent))
                if code.is_success() && sent.more && theirs.is_some_and(|block| block.more) =>
            {
                Some(self.send_from(sent.offset() + sent.size(), sent.exponent))
            }
            _ => None,
        }
    }

    fn send_from(&mut self, offset: usize, exponent: u8) -> Step {
        let size = 16 << exponent;
        let Some(number) = u32::try_from(offset / size).ok().filter(|number| *number <= Block::NUMBER_MAX)
        else {
            return Step::Failed(Failure::TooLarge);
        };
        let more = offset + size < self.request.payload.len();
        self.sending = Some(Block { number, more, exponent });
        Step::Again
    }

    /// Takes a block of the response (RFC 7959 §2.4).
    fn receive(
        &mut self,
        block: Block,
        code: Code,
        options: Options<'_>,
        payload: &[u8],
        most: usize,
    ) -> Step {
        let etag = options.get(option::ETAG).map(SmallVec::from_slice);
        if block.exponent > 6 || block.offset() != self.body.len() {
            return Step::Failed(Failure::Nonsense("another block came than was asked for"));
        }
        if block.number > 0 && etag != self.etag {
            return Step::Failed(Failure::Nonsense("the body changed while its blocks were asked for"));
        }
        if block.more && payload.len() != block.size() {
            return Step::Failed(Failure::Nonsense("a block has not the size that it says"));
        }
        if self.body.len() + payload.len() > most {
            return Step::Failed(Failure::TooLarge);
        }
        self.etag = etag;
        self.body.extend_from_slice(payload);
        if !block.more {
            let body = std::mem::take(&mut self.body);
            return Step::Done(whole(code, options, body.into()));
        }
        let number = u32::try_from(self.body.len() / block.size()).unwrap_or(u32::MAX);
        if number > Block::NUMBER_MAX {
            return Step::Failed(Failure::TooLarge);
        }
        self.asking = Some(Block { number, more: false, exponent: block.exponent });
        Step::Again
    }
}

/// A response without what its blocks needed.
fn whole(code: Code, options: Options<'_>, payload: Bytes) -> Response {
    let of_blocks = [option::BLOCK1, option::BLOCK2, option::SIZE1, option::SIZE2];
    let kept = options.iter().filter(|option| !of_blocks.contains(&option.number));
    Response { code, options: kept.map(|option| (option.number, option.value)).collect(), payload }
}
