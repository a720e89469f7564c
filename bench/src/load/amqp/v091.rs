//! AMQP 0-9-1, as far as the load generator speaks it.

use super::{Arrived, Side};
use crate::Result;
use crate::load::wire::Opening;
use std::collections::VecDeque;
use std::io::{Read, Write};

/// The channel that everything happens on.
const CHANNEL: u16 = 1;
const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const END: u8 = 0xce;

/// A frame of a method (§2.3.5).
pub(super) fn method(channel: u16, class: u16, id: u16, arguments: &[u8]) -> Vec<u8> {
    let payload = [&class.to_be_bytes(), &id.to_be_bytes(), arguments].concat();
    frame(METHOD, channel, &payload)
}

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut frame = vec![kind];
    frame.extend(channel.to_be_bytes());
    frame.extend(length.to_be_bytes());
    frame.extend_from_slice(payload);
    frame.push(END);
    frame
}

fn short(text: &str) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(text.len()).unwrap_or(u8::MAX)];
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn long(bytes: &[u8]) -> Vec<u8> {
    let mut all = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    all.extend_from_slice(bytes);
    all
}

/// Waits for a method on a connection that blocks.
fn expect(stream: &mut Opening, class: u16, id: u16) -> Result<Vec<u8>> {
    loop {
        let mut head = [0; 7];
        stream.read_exact(&mut head).map_err(|error| format!("the server does not answer: {error}"))?;
        let [kind, _, _, length @ ..] = head;
        let length = u32::from_be_bytes(length) as usize;
        if length > 1 << 20 {
            return Err("the server sent a huge frame, or no AMQP 0-9-1".into());
        }
        let mut payload = vec![0; length + 1];
        stream.read_exact(&mut payload)?;
        if kind != METHOD {
            continue;
        }
        return match payload.as_slice() {
            [a, b, c, d, rest @ ..] if ([*a, *b], [*c, *d]) == (class.to_be_bytes(), id.to_be_bytes()) => {
                Ok(rest.to_vec())
            }
            other => {
                Err(format!("the server sent {:?} instead of {class}.{id}", other.escape_ascii()).into())
            }
        };
    }
}

/// Opens a connection and its channel.
pub(super) fn open(stream: &mut Opening) -> Result<()> {
    stream.write_all(b"AMQP\x00\x00\x09\x01")?;
    expect(stream, 10, 10)?;
    let start_ok = [long(&[]), short("PLAIN"), long(b"\0guest\0guest"), short("en_US")].concat();
    stream.write_all(&method(0, 10, 11, &start_ok))?;
    let tune = expect(stream, 10, 30)?;
    // What the server proposes, but for heartbeats.
    let agreed = [tune.get(..6).unwrap_or_default(), &[0, 0]].concat();
    stream.write_all(&method(0, 10, 31, &agreed))?;
    stream.write_all(&method(0, 10, 40, &[short("/"), short(""), vec![0]].concat()))?;
    expect(stream, 10, 41)?;
    stream.write_all(&method(CHANNEL, 20, 10, &short("")))?;
    expect(stream, 20, 11)?;
    Ok(())
}

/// Makes a queue, which goes with the process.
pub(super) fn declare(stream: &mut Opening, queue: &str) -> Result<()> {
    let arguments = [vec![0, 0], short(queue), vec![0], long(&[])].concat();
    stream.write_all(&method(CHANNEL, 50, 10, &arguments))?;
    expect(stream, 50, 11)?;
    Ok(())
}

/// Asks for confirms.
pub(super) fn confirm(stream: &mut Opening) -> Result<()> {
    stream.write_all(&method(CHANNEL, 85, 10, &[0]))?;
    expect(stream, 85, 11)?;
    Ok(())
}

/// Consumes from a queue, so many at once.
pub(super) fn consume(stream: &mut Opening, queue: &str, prefetch: u16) -> Result<()> {
    let qos = [&0_u32.to_be_bytes()[..], &prefetch.to_be_bytes(), &[0]].concat();
    stream.write_all(&method(CHANNEL, 60, 10, &qos))?;
    expect(stream, 60, 11)?;
    let arguments = [vec![0, 0], short(queue), short("c"), vec![0], long(&[])].concat();
    stream.write_all(&method(CHANNEL, 60, 20, &arguments))?;
    expect(stream, 60, 21)?;
    Ok(())
}

/// A publication to a queue, by the default exchange: the same bytes each time.
pub(super) fn publication(queue: &str, payload: usize) -> Vec<u8> {
    let publish = method(CHANNEL, 60, 40, &[vec![0, 0], short(""), short(queue), vec![0]].concat());
    let size = u64::try_from(payload).unwrap_or(u64::MAX).to_be_bytes();
    // Content type and a delivery mode that says that it need not be kept (§1.8: basic, class 60).
    let mut header = [&60_u16.to_be_bytes()[..], &[0, 0], &size, &0x9000_u16.to_be_bytes()].concat();
    header.extend(short("application/octet-stream"));
    header.push(1);
    [publish, frame(HEADER, CHANNEL, &header), frame(BODY, CHANNEL, &vec![b'x'; payload])].concat()
}

/// One side of a connection that is open.
pub(super) struct Talk {
    side: Side,
    publication: Vec<u8>,
    /// Publications that are not confirmed, the oldest first; those that are meanwhile are true.
    waiting: VecDeque<bool>,
    /// The number of the oldest.
    oldest: u64,
    /// The delivery that is arriving.
    delivery: [u8; 8],
}

impl Talk {
    pub(super) fn new(side: Side, publication: Vec<u8>) -> Self {
        Self { side, publication, waiting: VecDeque::new(), oldest: 1, delivery: [0; 8] }
    }

    /// How many wait for their confirm.
    pub(super) fn unconfirmed(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn publish(&mut self, output: &mut Vec<u8>) {
        output.extend_from_slice(&self.publication);
        self.waiting.push_back(false);
    }

    /// Reads whole frames, says what they are answered with; returns how many bytes they were.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        output: &mut Vec<u8>,
        arrived: &mut Arrived,
    ) -> Result<usize> {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let [kind, _, _, a, b, c, d, body @ ..] = rest else { return Ok(at) };
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            let (Some(payload), Some(&END)) = (body.get(..length), body.get(length)) else {
                if body.len() > length {
                    return Err("the server sent a frame without its end".into());
                }
                return Ok(at);
            };
            at += 8 + length;
            match *kind {
                METHOD => self.method(payload, output, arrived)?,
                BODY if self.side == Side::Consumer => {
                    arrived.deliveries += 1;
                    // basic.ack of just this one.
                    output.extend_from_slice(&[METHOD, 0, 1, 0, 0, 0, 13, 0, 60, 0, 80]);
                    output.extend_from_slice(&self.delivery);
                    output.extend_from_slice(&[0, END]);
                }
                _ => {}
            }
        }
    }

    fn method(&mut self, payload: &[u8], output: &mut Vec<u8>, arrived: &mut Arrived) -> Result<()> {
        match payload {
            // deliver: the consumer's tag, then the delivery's.
            [0, 60, 0, 60, tag, rest @ ..] => {
                let delivery = rest.get(usize::from(*tag)..).and_then(|rest| rest.first_chunk::<8>());
                self.delivery = *delivery.ok_or("the server sent a short delivery")?;
            }
            [0, 60, 0, 80, tag @ .., multiple] => {
                let tag: [u8; 8] = tag.try_into().map_err(|_| "the server sent a bad ack")?;
                arrived.confirms += self.confirmed(u64::from_be_bytes(tag), multiple & 1 == 1);
            }
            // channel.flow: agreed to; what it asks for is what the windows do anyway.
            [0, 20, 0, 20, active] => output.extend(method(CHANNEL, 20, 21, &[*active])),
            other => {
                let said = other.escape_ascii();
                return Err(format!("the server sent {said} amid the load").into());
            }
        }
        Ok(())
    }

    /// Takes what is confirmed off the books; returns how many that were.
    fn confirmed(&mut self, tag: u64, multiple: bool) -> u64 {
        let Some(index) = tag.checked_sub(self.oldest).and_then(|index| usize::try_from(index).ok()) else {
            return 0;
        };
        let mut count = 0;
        let first = if multiple { 0 } else { index };
        for place in self.waiting.iter_mut().take(index + 1).skip(first) {
            count += u64::from(!*place);
            *place = true;
        }
        while self.waiting.front() == Some(&true) {
            self.waiting.pop_front();
            self.oldest += 1;
        }
        count
    }
}
