//! AMQP 1.0, as far as the load generator speaks it.

use super::{Arrived, Side};
use crate::Result;
use crate::load::wire::Opening;
use std::collections::VecDeque;
use std::io::{Read, Write};

const OPEN: u8 = 0x10;
const BEGIN: u8 = 0x11;
const ATTACH: u8 = 0x12;
const FLOW: u8 = 0x13;
const TRANSFER: u8 = 0x14;
const DISPOSITION: u8 = 0x15;
const SASL_OUTCOME: u8 = 0x44;

/// More than any run sends: session windows bound nothing here.
const WINDOW: u32 = 0x4000_0000;

/// Values (§1.6), encoded.
fn uint(value: u32) -> Vec<u8> {
    [&[0x70][..], &value.to_be_bytes()].concat()
}

fn text(value: &str) -> Vec<u8> {
    [&[0xb1][..], &u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes(), value.as_bytes()].concat()
}

fn symbol(value: &str) -> Vec<u8> {
    [&[0xa3, u8::try_from(value.len()).unwrap_or(u8::MAX)][..], value.as_bytes()].concat()
}

const NULL: &[u8] = &[0x40];
const TRUE: &[u8] = &[0x41];
const FALSE: &[u8] = &[0x42];

/// A described list (§1.4): a performative, a terminus.
fn list(code: u8, fields: &[&[u8]]) -> Vec<u8> {
    let body = fields.concat();
    let size = u32::try_from(body.len() + 4).unwrap_or(u32::MAX).to_be_bytes();
    let count = u32::try_from(fields.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0, 0x53, code, 0xd0][..], &size, &count, &body].concat()
}

/// A frame (§2.3): of the channel 0, and of the kind, 0 for AMQP and 1 for SASL.
fn frame(kind: u8, performative: &[u8]) -> Vec<u8> {
    let size = u32::try_from(performative.len() + 8).unwrap_or(u32::MAX).to_be_bytes();
    [&size[..], &[2, kind, 0, 0], performative].concat()
}

/// The length of the value that bytes begin with.
fn length(bytes: &[u8]) -> Option<usize> {
    let (code, rest) = bytes.split_first()?;
    let small = || rest.first().map(|size| 2 + usize::from(*size));
    let large = || rest.first_chunk().map(|size| 5 + u32::from_be_bytes(*size) as usize);
    match code >> 4 {
        0 => {
            let descriptor = length(rest)?;
            Some(1 + descriptor + length(rest.get(descriptor..)?)?)
        }
        4 => Some(1),
        5 => Some(2),
        6 => Some(3),
        7 => Some(5),
        8 => Some(9),
        9 => Some(17),
        0xa | 0xc | 0xe => small(),
        0xb | 0xd | 0xf => large(),
        _ => None,
    }
}

/// The fields of a described list, and its code.
struct Fields<'b> {
    code: u8,
    rest: &'b [u8],
}

impl<'b> Fields<'b> {
    fn of(bytes: &'b [u8]) -> Option<Self> {
        let (code, list) = match bytes {
            [0, 0x53, code, list @ ..] => (*code, list),
            [0, 0x80, 0, 0, 0, 0, 0, 0, 0, code, list @ ..] => (*code, list),
            _ => return None,
        };
        let rest = match list {
            [0x45, ..] => &[],
            [0xc0, size, rest @ ..] => rest.get(1..usize::from(*size))?,
            [0xd0, a, b, c, d, rest @ ..] => rest.get(4..u32::from_be_bytes([*a, *b, *c, *d]) as usize)?,
            _ => return None,
        };
        Some(Self { code, rest })
    }

    fn next(&mut self) -> &'b [u8] {
        let length = length(self.rest).unwrap_or(self.rest.len()).min(self.rest.len());
        let (field, rest) = self.rest.split_at(length);
        self.rest = rest;
        field
    }

    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.next();
        }
    }

    fn uint(&mut self) -> Option<u32> {
        match self.next() {
            [0x43] => Some(0),
            [0x52, value] => Some(u32::from(*value)),
            [0x70, a, b, c, d] => Some(u32::from_be_bytes([*a, *b, *c, *d])),
            _ => None,
        }
    }

    fn is_true(&mut self) -> bool {
        matches!(self.next(), [0x41] | [0x56, 1])
    }
}

/// Waits for a frame's body on a connection that blocks.
fn receive(stream: &mut Opening) -> Result<Vec<u8>> {
    let mut head = [0; 8];
    stream.read_exact(&mut head).map_err(|error| format!("the server does not answer: {error}"))?;
    let [a, b, c, d, offset, ..] = head;
    let size = u32::from_be_bytes([a, b, c, d]) as usize;
    if !(8..=1 << 20).contains(&size) || offset != 2 {
        return Err("the server sent a huge frame, or no AMQP 1.0".into());
    }
    let mut body = vec![0; size - 8];
    stream.read_exact(&mut body)?;
    Ok(body)
}

/// Waits for a performative; what comes before it is handed on.
fn expect(stream: &mut Opening, code: u8, mut other: impl FnMut(&[u8])) -> Result<Vec<u8>> {
    loop {
        let body = receive(stream)?;
        match Fields::of(&body) {
            Some(fields) if fields.code == code => return Ok(body),
            Some(fields) if (FLOW..=DISPOSITION).contains(&fields.code) => other(&body),
            // The list of SASL mechanisms.
            Some(Fields { code: 0x40, .. }) => {}
            _ if body.is_empty() => {}
            _ => return Err(format!("the server sent {} amid the opening", body.escape_ascii()).into()),
        }
    }
}

fn header(stream: &mut Opening, header: &[u8; 8]) -> Result<()> {
    let mut answer = [0; 8];
    stream.read_exact(&mut answer).map_err(|error| format!("the server does not answer: {error}"))?;
    if answer != *header {
        return Err(format!("the server answered the header with {}", answer.escape_ascii()).into());
    }
    Ok(())
}

/// Opens a connection and a session, as somebody anonymous.
pub(super) fn open(stream: &mut Opening, name: &str) -> Result<()> {
    const SASL: &[u8; 8] = b"AMQP\x03\x01\x00\x00";
    const AMQP: &[u8; 8] = b"AMQP\x00\x01\x00\x00";
    stream.write_all(SASL)?;
    header(stream, SASL)?;
    stream.write_all(&frame(1, &list(0x41, &[&symbol("ANONYMOUS")])))?;
    let outcome = expect(stream, SASL_OUTCOME, |_| ())?;
    if !matches!(Fields::of(&outcome).map(|mut fields| fields.next().to_vec()).as_deref(), Some([0x50, 0])) {
        return Err("the server lets nobody in who is anonymous".into());
    }
    stream.write_all(AMQP)?;
    header(stream, AMQP)?;
    // container-id, hostname, max-frame-size, channel-max, idle-time-out.
    stream.write_all(&frame(0, &list(OPEN, &[&text(name), &text("localhost"), &uint(65_536)])))?;
    expect(stream, OPEN, |_| ())?;
    let window = uint(WINDOW);
    stream.write_all(&frame(0, &list(BEGIN, &[NULL, &uint(0), &window, &window])))?;
    expect(stream, BEGIN, |_| ())?;
    Ok(())
}

/// One side of a connection that is open, and its one link.
pub(super) struct Talk {
    side: Side,
    settled: bool,
    payload: Vec<u8>,
    /// The next transfer's number.
    next: u32,
    /// Where the peer's credit ends.
    limit: u32,
    /// Where the peer's session window ends.
    window: u32,
    /// Transfers that are not settled, the oldest first; those that are meanwhile are true.
    waiting: VecDeque<bool>,
    oldest: u32,
    /// Credit that was given, and deliveries that came.
    credit: u32,
    came: u32,
}

impl Talk {
    pub(super) fn new(side: Side, settled: bool, payload: usize, credit: u32) -> Self {
        let size = u32::try_from(payload).unwrap_or(u32::MAX).to_be_bytes();
        // A section of data.
        let payload = [&[0, 0x53, 0x75, 0xb0][..], &size, &vec![b'x'; payload]].concat();
        let (limit, window) = (0, WINDOW);
        Self {
            side,
            settled,
            payload,
            next: 0,
            limit,
            window,
            waiting: VecDeque::new(),
            oldest: 0,
            credit,
            came: 0,
        }
    }

    /// Attaches the link to an address.
    pub(super) fn attach(&mut self, stream: &mut Opening, address: &str) -> Result<()> {
        let terminus = |code, of_ours: bool| match of_ours {
            true => list(code, &[&text("bench")]),
            false => list(code, &[&text(address)]),
        };
        let consumes = self.side == Side::Consumer;
        let (source, target) = (terminus(0x28, !consumes), terminus(0x29, consumes));
        let role = if consumes { TRUE } else { FALSE };
        let mode: &[u8] = if self.settled { &[0x50, 1] } else { &[0x50, 0] };
        // name, handle, role, snd-settle-mode, rcv-settle-mode, source, target, unsettled, incomplete-unsettled,
        // initial-delivery-count.
        let name = text("link");
        let fields: [&[u8]; 10] =
            [&name, &uint(0), role, mode, &[0x50, 0], &source, &target, NULL, NULL, &uint(0)];
        stream.write_all(&frame(0, &list(ATTACH, &fields)))?;
        let mut arrived = Arrived::default();
        let attached =
            expect(stream, ATTACH, |body| drop(self.perform(body, &mut Vec::new(), &mut arrived)))?;
        let mut fields = Fields::of(&attached).ok_or("the server sent a bad attach")?;
        fields.skip(5);
        let (source, target) = (fields.next(), fields.next());
        // One of the two is the server's: none there means that it refuses, and is about to detach (§2.6.3).
        if matches!(if consumes { source } else { target }, [] | [0x40]) {
            return Err(format!("the server attaches nothing at {address}").into());
        }
        if consumes {
            stream.write_all(&self.flow())?;
        }
        Ok(())
    }

    /// The flow that grants all credit anew.
    fn flow(&self) -> Vec<u8> {
        let (came, window, credit) = (uint(self.came), uint(WINDOW), uint(self.credit));
        frame(0, &list(FLOW, &[&came, &window, &uint(self.next), &window, &uint(0), &came, &credit]))
    }

    /// How many wait for their outcome.
    pub(super) fn unsettled(&self) -> usize {
        self.waiting.len()
    }

    /// How many more may be sent as far as the peer has said.
    pub(super) fn credit(&self) -> usize {
        let ahead = |limit: u32| limit.wrapping_sub(self.next).cast_signed().max(0).unsigned_abs() as usize;
        ahead(self.limit).min(ahead(self.window))
    }

    pub(super) fn publish(&mut self, output: &mut Vec<u8>) {
        let number = self.next.to_be_bytes();
        let size = u32::try_from(self.payload.len() + 28).unwrap_or(u32::MAX).to_be_bytes();
        output.extend_from_slice(&size);
        // handle, delivery-id, delivery-tag, message-format, settled.
        output.extend_from_slice(&[2, 0, 0, 0, 0, 0x53, TRANSFER, 0xc0, 15, 5, 0x43, 0x70]);
        output.extend_from_slice(&number);
        output.extend_from_slice(&[0xa0, 4]);
        output.extend_from_slice(&number);
        output.extend_from_slice(&[0x43, if self.settled { 0x41 } else { 0x42 }]);
        output.extend_from_slice(&self.payload);
        self.next = self.next.wrapping_add(1);
        if !self.settled {
            self.waiting.push_back(false);
        }
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
            let Some(size) = rest.first_chunk().map(|size| u32::from_be_bytes(*size) as usize) else {
                return Ok(at);
            };
            let Some(whole) = rest.get(..size.max(8)) else { return Ok(at) };
            at += whole.len();
            self.perform(whole.get(8..).unwrap_or_default(), output, arrived)?;
        }
    }

    fn perform(&mut self, body: &[u8], output: &mut Vec<u8>, arrived: &mut Arrived) -> Result<()> {
        if body.is_empty() {
            return Ok(());
        }
        let bad = || format!("the server sent {} amid the load", body.escape_ascii());
        let mut fields = Fields::of(body).ok_or_else(bad)?;
        match fields.code {
            TRANSFER => {
                fields.skip(1);
                let number = fields.uint().unwrap_or(self.came);
                fields.skip(2);
                let settled = fields.is_true();
                if fields.is_true() {
                    return Err("the server cuts what is short into several transfers".into());
                }
                self.came = self.came.wrapping_add(1);
                arrived.deliveries += 1;
                if !settled {
                    // role, first, last, settled, state: accepted.
                    output.extend_from_slice(&[
                        0,
                        0,
                        0,
                        26,
                        2,
                        0,
                        0,
                        0,
                        0,
                        0x53,
                        DISPOSITION,
                        0xc0,
                        13,
                        5,
                        0x41,
                        0x70,
                    ]);
                    output.extend_from_slice(&number.to_be_bytes());
                    output.extend_from_slice(&[0x40, 0x41, 0, 0x53, 0x24, 0x45]);
                }
                if self.came.is_multiple_of((self.credit / 2).max(1)) {
                    output.extend(self.flow());
                }
            }
            DISPOSITION => {
                fields.skip(1);
                let first = fields.uint().ok_or_else(bad)?;
                let last = fields.uint().unwrap_or(first);
                if fields.is_true() {
                    let state = fields.next();
                    if !matches!(state, [0, 0x53, 0x24, ..] | [0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x24, ..]) {
                        return Err(format!("the server settles with {}", state.escape_ascii()).into());
                    }
                    arrived.confirms += self.settle(first, last);
                }
            }
            FLOW => {
                let next_incoming = fields.uint().unwrap_or(0);
                self.window = next_incoming.wrapping_add(fields.uint().unwrap_or(WINDOW));
                fields.skip(2);
                if let Some(_handle) = fields.uint()
                    && self.side == Side::Publisher
                {
                    let count = fields.uint().unwrap_or(0);
                    self.limit = count.wrapping_add(fields.uint().unwrap_or(0));
                }
            }
            _ => return Err(bad().into()),
        }
        Ok(())
    }

    fn settle(&mut self, first: u32, last: u32) -> u64 {
        let index = |number: u32| number.wrapping_sub(self.oldest).cast_signed();
        let (from, to) = (index(first).max(0), index(last));
        let mut count = 0;
        for place in self
            .waiting
            .iter_mut()
            .take((to + 1).max(0).unsigned_abs() as usize)
            .skip(from.unsigned_abs() as usize)
        {
            count += u64::from(!*place);
            *place = true;
        }
        while self.waiting.front() == Some(&true) {
            self.waiting.pop_front();
            self.oldest = self.oldest.wrapping_add(1);
        }
        count
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_published_is_read_and_settled() {
        let (mut publisher, mut consumer) =
            (Talk::new(Side::Publisher, false, 128, 0), Talk::new(Side::Consumer, false, 128, 10));
        let (mut there, mut back) = (Vec::new(), Vec::new());
        for _ in 0..12 {
            publisher.publish(&mut there);
        }
        let mut arrived = Arrived::default();
        let length = there.len();
        assert_eq!(consumer.read(&there, &mut back, &mut arrived).unwrap(), length);
        assert_eq!(arrived.deliveries, 12);
        // As a server would say it: the same, with the other role, and grants of credit between.
        assert_eq!(publisher.read(&back, &mut Vec::new(), &mut arrived).unwrap(), back.len());
        assert_eq!((arrived.confirms, publisher.unsettled()), (12, 0));
        assert!(publisher.credit() > 0);
    }
}
