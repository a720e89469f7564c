//! Reading responses, one after the other, from the bytes of a connection.

use super::chunked::Chunks;
use super::framing::Framing;
use super::head::{Head, MAX_HEAD, Violation};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};

/// The longest body that is read.
pub const MAX_BODY: usize = 1 << 20;

/// A whole response.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// Those headers that say something of an answer; none of a success that nobody wants to know more of.
    pub headers: HeaderMap,
    /// The body, likewise. `None`: it is longer than is read, and its end has not been waited for.
    pub body: Option<Bytes>,
    /// Whether the connection can have another request.
    pub reusable: bool,
}

/// The connection ended before a response was whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Nothing of it had come.
    Before,
    /// Something had come.
    Amid,
}

/// Reads the responses of one connection. An idle one owns no memory.
#[derive(Debug, Default)]
pub struct ResponseReader {
    state: State,
    /// Whether more than the status of a success is wanted.
    keep: bool,
    /// A head that is not whole.
    head: Vec<u8>,
}

#[derive(Debug, Default)]
enum State {
    /// No request is under way.
    #[default]
    Idle,
    /// Nothing of the response has come.
    Waiting,
    /// Something of a head has come.
    Head,
    Body(Box<Body>),
}

#[derive(Debug)]
struct Body {
    response: Response,
    shape: Shape,
    /// What has come, if it is kept.
    kept: BytesMut,
    keep: bool,
    length: usize,
}

#[derive(Debug)]
enum Shape {
    Left(u64),
    Chunks(Chunks),
    UntilEnd,
}

impl ResponseReader {
    /// A request goes out. `keep`: headers and body are wanted even of a success; those of other responses always are.
    pub fn begin(&mut self, keep: bool) {
        self.state = State::Waiting;
        self.keep = keep;
    }

    /// Takes in what the transport read. A violation, or a response that is not reusable, is the connection's end.
    pub fn handle_bytes(&mut self, mut bytes: &[u8]) -> Result<Option<Response>, Violation> {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Idle => return Err(Violation::Unasked),
                State::Waiting | State::Head => {
                    let Some(head) = self.handle_head(&mut bytes)? else { break };
                    // Interim responses are not what is waited for.
                    if head.status.is_informational() {
                        continue;
                    }
                    if head.framing == Framing::Length(0) {
                        let response = Response {
                            status: head.status,
                            headers: head.headers,
                            body: Some(Bytes::new()),
                            reusable: head.keep_alive && bytes.is_empty(),
                        };
                        self.state = State::Idle;
                        return Ok(Some(response));
                    }
                    self.state = State::Body(Box::new(Body::new(head, self.keep)));
                }
                State::Body(body) => {
                    if body.handle_bytes(&mut bytes)? {
                        return Ok(self.finish(bytes.is_empty()));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The connection ended: by its end, if the body was of that kind, there is a response.
    pub fn handle_eof(&mut self) -> Result<Response, Ended> {
        match &self.state {
            State::Idle | State::Waiting => Err(Ended::Before),
            State::Body(body) if matches!(body.shape, Shape::UntilEnd) => {
                self.finish(true).ok_or(Ended::Amid)
            }
            State::Head | State::Body(_) => Err(Ended::Amid),
        }
    }

    /// Takes a head off the front of `bytes`, once it is whole with what was before.
    fn handle_head(&mut self, bytes: &mut &[u8]) -> Result<Option<Head>, Violation> {
        self.state = State::Head;
        let before = self.head.len();
        if before == 0 {
            // Nearly always it is whole in one read.
            if let Some(head) = Head::read(bytes, self.keep)? {
                *bytes = bytes.get(head.len..).unwrap_or_default();
                return Ok(Some(head));
            }
        }
        let room = MAX_HEAD.saturating_sub(before);
        self.head.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        // One that trickles in is parsed when it may be whole, not again for each byte.
        let since = before.saturating_sub(3);
        let may_be_whole = before > 0 && self.head.get(since..).is_some_and(has_blank_line);
        if may_be_whole && let Some(head) = Head::read(&self.head, self.keep)? {
            *bytes = bytes.get(head.len.saturating_sub(before)..).unwrap_or_default();
            self.head = Vec::new();
            return Ok(Some(head));
        }
        if bytes.len() >= room {
            return Err(Violation::HeadTooLong);
        }
        *bytes = &[];
        Ok(None)
    }

    /// The body is whole. `alone`: nothing followed it.
    fn finish(&mut self, alone: bool) -> Option<Response> {
        let State::Body(body) = std::mem::take(&mut self.state) else { return None };
        let mut response = body.response;
        if response.body.is_some() {
            response.body = Some(body.kept.freeze());
        }
        response.reusable &= alone && response.body.is_some();
        Some(response)
    }
}

impl Body {
    fn new(head: Head, keep: bool) -> Self {
        let shape = match head.framing {
            Framing::Length(length) => Shape::Left(length),
            Framing::Chunked => Shape::Chunks(Chunks::new()),
            Framing::UntilEnd => Shape::UntilEnd,
        };
        let keep = keep || !head.status.is_success();
        let response = Response {
            status: head.status,
            headers: head.headers,
            body: Some(Bytes::new()),
            reusable: head.keep_alive,
        };
        Self { response, shape, kept: BytesMut::new(), keep, length: 0 }
    }

    /// Takes what is its own off the front of `bytes`. `true`: it is over.
    fn handle_bytes(&mut self, bytes: &mut &[u8]) -> Result<bool, Violation> {
        while !bytes.is_empty() {
            let data = match &mut self.shape {
                Shape::Left(left) => {
                    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    let (data, rest) = bytes.split_at(length);
                    *bytes = rest;
                    *left -= length as u64;
                    data
                }
                Shape::Chunks(chunks) => chunks.next(bytes)?,
                Shape::UntilEnd => std::mem::take(bytes),
            };
            self.length += data.len();
            if self.length > MAX_BODY {
                self.response.body = None;
                return Ok(true);
            }
            if self.keep {
                self.kept.extend_from_slice(data);
            }
            match &self.shape {
                Shape::Left(0) => return Ok(true),
                Shape::Chunks(chunks) if chunks.is_end() => return Ok(true),
                _ => {}
            }
        }
        Ok(false)
    }
}

/// Whether a line without anything ends in it.
fn has_blank_line(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|two| two == b"\n\n") || bytes.windows(3).any(|three| three == b"\n\r\n")
}
