//! Publications as they come: a method, a header, and bodies (AMQP 0-9-1 §4.2.6).

use super::failure::Failure;
use super::publish::Described;
use super::{HELD, Server};
use crate::amqp::v091::codec::{BASIC, ContentHeader, Frame, FrameKind, ReplyCode, frame};
use bytes::Bytes;
use windrose_event::{Address, Text};

/// Messages of the largest size that one connection may be amid at once, at least.
const MOST_PARTIAL: usize = 4;

/// A publication of which not all has come.
pub(super) struct Content {
    /// The frame of basic.publish.
    method: Vec<u8>,
    header: Option<Header>,
}

impl Content {
    /// Bytes that it takes until all of it is here.
    fn len(&self) -> usize {
        let header = self.header.as_ref();
        self.method.len() + header.map_or(0, |header| header.properties.len() + header.body.capacity())
    }
}

struct Header {
    properties: Vec<u8>,
    size: usize,
    body: Vec<u8>,
}

/// What the last publication of a channel was like.
pub(super) struct Route {
    /// The frame of basic.publish.
    pub(super) method: Vec<u8>,
    /// Where it is for; `None`: nowhere.
    pub(super) address: Option<Address>,
    /// The exchange, if the engine has to look it up.
    pub(super) through: Option<Text>,
    pub(super) mandatory: bool,
    /// Property flags and list.
    pub(super) properties: Vec<u8>,
    /// What they mean, once they came twice.
    pub(super) described: Option<Box<Described>>,
}

fn unexpected(text: &str) -> Failure {
    Failure::new(ReplyCode::UNEXPECTED_FRAME, text)
}

impl Server {
    /// basic.publish; `after` follows it. If the whole publication is there it is taken as it lies; says how much of
    /// `after` that was.
    pub(super) fn publish_frame(
        &mut self,
        number: u16,
        method: &[u8],
        after: &[u8],
    ) -> Result<usize, Failure> {
        self.method = (60, 40);
        let Some(channel) = self.channel(number) else {
            let text = format!("expected 'channel.open' on channel {number}");
            return Err(Failure::new(ReplyCode::CHANNEL_ERROR, text));
        };
        if channel.is_closing {
            return Ok(0);
        }
        if channel.content.is_some() {
            return Err(unexpected("a method came where a content header or body had to"));
        }
        let frame_max = self.frame_max;
        if let Ok(Some((head, length))) = frame(after, frame_max)
            && head.kind == FrameKind::Header
            && head.channel == number
            && let Ok(header) = ContentHeader::read(head.payload)
            && header.class == BASIC
        {
            if header.body_size == 0 {
                self.frames.received += 1;
                self.publish(number, method, header.properties, Bytes::new())?;
                return Ok(length);
            }
            let rest = after.get(length..).unwrap_or_default();
            if let Ok(Some((body, body_length))) = frame(rest, frame_max)
                && body.kind == FrameKind::Body
                && body.channel == number
                && body.payload.len() as u64 == header.body_size
                && body.payload.len() <= self.config.payload_bytes as usize
            {
                self.frames.received += 2;
                self.publish(number, method, header.properties, Bytes::copy_from_slice(body.payload))?;
                return Ok(length + body_length);
            }
        }
        let content = Box::new(Content { method: method.to_vec(), header: None });
        self.open_one(number)?.content = Some(content);
        self.check_partial()?;
        Ok(0)
    }

    /// A content header, or a part of a body.
    pub(super) fn content_frame(&mut self, frame: Frame<'_>) -> Result<(), Failure> {
        let (number, most) = (frame.channel, self.config.payload_bytes as usize);
        let Some(channel) = self.channel(number) else {
            if self.state == super::State::Closing {
                return Ok(());
            }
            let text = format!("expected 'channel.open' on channel {number}");
            return Err(Failure::new(ReplyCode::CHANNEL_ERROR, text));
        };
        if channel.is_closing {
            return Ok(());
        }
        let Some(content) = &mut channel.content else {
            return Err(unexpected("expected method frame, got content header or body instead"));
        };
        match (&mut content.header, frame.kind) {
            (header @ None, FrameKind::Header) => {
                let found = ContentHeader::read(frame.payload)?;
                if found.class != BASIC {
                    let text = format!(
                        "expected content header for class 60, got one for class {} instead",
                        found.class
                    );
                    return Err(unexpected(&text));
                }
                if found.body_size > most as u64 {
                    let text =
                        format!("message size {} is larger than configured max size {most}", found.body_size);
                    return Err(Failure::new(ReplyCode::CONTENT_TOO_LARGE, text));
                }
                let size = found.body_size as usize;
                *header = Some(Header { properties: found.properties.to_vec(), size, body: Vec::new() });
            }
            (Some(header), FrameKind::Body) => {
                if header.body.len() + frame.payload.len() > header.size {
                    return Err(unexpected("a body is larger than its content header said"));
                }
                if header.body.is_empty() {
                    // As much as has come, and not what it says that will: a million of these cost their sender a million.
                    header.body.reserve(header.size.min(frame.payload.len() * 2));
                }
                header.body.extend_from_slice(frame.payload);
            }
            (None, _) => return Err(unexpected("expected content header, got content body instead")),
            (Some(_), _) => return Err(unexpected("expected content body, got content header instead")),
        }
        if content.header.as_ref().is_some_and(|header| header.body.len() == header.size)
            && let Some(content) = channel.content.take()
            && let Some(header) = content.header
        {
            return self.publish(number, &content.method, &header.properties, Bytes::from(header.body));
        }
        self.check_partial()
    }

    /// Whether what is here of publications that are not complete, on all channels, is no more than may be: each channel may
    /// be amid one of the largest size, but thousands of them are not.
    fn check_partial(&self) -> Result<(), Failure> {
        let most = HELD.max(MOST_PARTIAL * self.config.payload_bytes as usize);
        let contents = self.channels.iter().filter_map(|(_, channel)| channel.content.as_ref());
        if contents.map(|content| content.len()).sum::<usize>() > most {
            let text = format!("more than {most} bytes of messages that are not complete are here");
            return Err(Failure::new(ReplyCode::RESOURCE_ERROR, text));
        }
        Ok(())
    }
}
