//! Frames that are written (AMQP 0-9-1 §4.2.3, §4.2.6).

use super::frame::{FRAME_END, FRAME_OVERHEAD, FrameKind};
use super::{BASIC, Method};
use crate::Transmit;
use bytes::Bytes;

/// Appends a method's frame.
pub fn method_frame(method: &Method<'_>, channel: u16, out: &mut Vec<u8>) {
    frame_of(FrameKind::Method, channel, out, |out| method.write(out));
}

/// Appends a heartbeat (AMQP 0-9-1 §4.2.7).
pub fn heartbeat(out: &mut Vec<u8>) {
    frame_of(FrameKind::Heartbeat, 0, out, |_| {});
}

/// Appends a content header's frame. `properties` are property flags and list.
pub fn content_header(channel: u16, body_size: u64, properties: &[u8], out: &mut Vec<u8>) {
    frame_of(FrameKind::Header, channel, out, |out| {
        out.extend_from_slice(&BASIC.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&body_size.to_be_bytes());
        out.extend_from_slice(properties);
    });
}

/// Appends a body's frames, none larger than `largest`; zero is no limit. An empty body has none. Says how many.
pub fn body_frames(channel: u16, body: &Bytes, largest: u32, transmit: &mut Transmit) -> u32 {
    let room = match largest {
        0 => usize::MAX,
        largest => (largest as usize).saturating_sub(FRAME_OVERHEAD).max(1),
    };
    let mut frames = 0;
    let mut start = 0;
    while start < body.len() {
        let length = (body.len() - start).min(room);
        let head = transmit.frame(FRAME_OVERHEAD, length);
        put_head(FrameKind::Body, channel, length, head);
        if length == body.len() {
            transmit.payload(body);
        } else {
            transmit.payload(&body.slice(start..start + length));
        }
        transmit.buffer().push(FRAME_END);
        start += length;
        frames += 1;
    }
    frames
}

fn put_head(kind: FrameKind, channel: u16, length: usize, out: &mut Vec<u8>) {
    let [high, low] = channel.to_be_bytes();
    let [a, b, c, d] = (length as u32).to_be_bytes();
    out.extend_from_slice(&[kind as u8, high, low, a, b, c, d]);
}

/// Appends a frame around what `write` appends.
#[inline]
fn frame_of(kind: FrameKind, channel: u16, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    put_head(kind, channel, 0, out);
    let start = out.len();
    write(out);
    let length = (out.len() - start) as u32;
    if let Some(place) = out.get_mut(start - 4..start) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    out.push(FRAME_END);
}

/// Appends a method's frame around what `write` appends: class, number and fields.
#[inline]
pub(crate) fn raw_method(channel: u16, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    frame_of(FrameKind::Method, channel, out, write);
}
