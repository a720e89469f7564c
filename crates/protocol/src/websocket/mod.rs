//! WebSocket as a transport for MQTT and CoAP (RFC 6455; MQTT 5 §6; RFC 8323 §4): the opening handshake and the frames,
//! sans-IO.
//!
//! MQTT sees a stream of bytes. Packets may span frames and frames may hold several packets, so nothing is put together
//! here: payloads are unmasked where they were read, and go straight to the machine. CoAP's messages are WebSocket's: its
//! machine is told where they end, and what it writes goes message by message.

mod close;
mod frame;
mod handshake;
#[cfg(test)]
mod tests;

pub use close::{CloseCode, End, Violation};
pub use handshake::{Accepted, Carried, Head, HeadError, Refused, head};

use crate::Transmit;
use close::read_close;
use frame::{Kind, PartialHead, unmask, write_head};
use std::io::IoSlice;
use std::mem::take;
use std::ops::Range;

/// One WebSocket, after its handshake: the server's end.
#[derive(Debug)]
pub struct WebSocket {
    /// The largest frame that is taken.
    frame_limit: u64,
    head: PartialHead,
    reading: Reading,
    /// A message has begun and its last frame has not come.
    in_message: bool,
    /// Where messages ended in the last read, if anybody wants to know.
    ends: Option<Vec<usize>>,
    /// The payload of a control frame, as far as it has come.
    control: Vec<u8>,
    /// The answer to the last question for a sign of life. Older ones need none (§5.5.3), so that no flood of questions
    /// grows anything.
    pong: Option<Vec<u8>>,
    /// Close once everything else is written, with this code.
    close: Option<Option<CloseCode>>,
    /// The Close frame is among what is written: nothing follows it.
    is_closed: bool,
    /// Frames of control and the head of the frame of data that follows them, and how much of it is written.
    lead: Vec<u8>,
    lead_start: usize,
    /// Bytes of the frame of data under way that are still to be written.
    body_left: usize,
    end: Option<End>,
}

#[derive(Debug)]
enum Reading {
    Head,
    Payload { kind: Kind, left: u64, mask: [u8; 4] },
}

impl WebSocket {
    /// A WebSocket that takes frames of up to `frame_limit` bytes.
    pub fn new(frame_limit: u64) -> Self {
        Self {
            frame_limit,
            head: PartialHead::default(),
            reading: Reading::Head,
            in_message: false,
            ends: None,
            control: Vec::new(),
            pong: None,
            close: None,
            is_closed: false,
            lead: Vec::new(),
            lead_start: 0,
            body_left: 0,
            end: None,
        }
    }

    /// The same, and it remembers where messages end.
    pub fn with_ends(self) -> Self {
        Self { ends: Some(Vec::new()), ..self }
    }

    /// Where messages ended in the last read: places in what was read, ascending, behind the last byte of each.
    /// `None`: nobody asked for them.
    pub fn take_ends(&mut self) -> Option<Vec<usize>> {
        self.ends.as_mut().map(take)
    }

    /// Takes a read. The payload in it is unmasked and moved together: it is `bytes[range]` afterwards. Look at
    /// [`WebSocket::end`] next: what came after the end is not read.
    pub fn receive(&mut self, bytes: &mut [u8]) -> Range<usize> {
        let mut payload = 0..0;
        if let Err(violation) = self.read(bytes, &mut payload) {
            self.end = Some(End::Violated(violation));
            self.close(violation.code);
        }
        payload
    }

    fn read(&mut self, bytes: &mut [u8], payload: &mut Range<usize>) -> Result<(), Violation> {
        let mut at = 0;
        while at < bytes.len() && self.end.is_none() {
            match &mut self.reading {
                Reading::Head => {
                    let mut rest = &bytes[at..];
                    let head = self.head.take(&mut rest, self.frame_limit)?;
                    at = bytes.len() - rest.len();
                    let Some(head) = head else { break };
                    match head.kind {
                        Kind::Continuation if !self.in_message => {
                            return Err(Violation::protocol("WebSocket: more of a message that never began"));
                        }
                        Kind::Binary if self.in_message => {
                            return Err(Violation::protocol("WebSocket: a message begins amid another"));
                        }
                        Kind::Continuation | Kind::Binary => self.in_message = !head.is_last,
                        Kind::Close | Kind::Ping | Kind::Pong => {}
                    }
                    self.reading = Reading::Payload { kind: head.kind, left: head.length, mask: head.mask };
                }
                Reading::Payload { kind, left, mask } => {
                    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len() - at);
                    let part = at..at + length;
                    unmask(&mut bytes[part.clone()], mask);
                    *left -= length as u64;
                    if kind.is_control() {
                        self.control.extend_from_slice(&bytes[part]);
                    } else if payload.start == payload.end {
                        *payload = part;
                    } else {
                        bytes.copy_within(part, payload.end);
                        payload.end += length;
                    }
                    at += length;
                }
            }
            if let Reading::Payload { kind, left: 0, .. } = self.reading {
                self.reading = Reading::Head;
                if !kind.is_control()
                    && !self.in_message
                    && let Some(ends) = &mut self.ends
                {
                    ends.push(payload.end);
                }
                self.control(kind)?;
            }
        }
        Ok(())
    }

    /// A frame is whole: acts on it, if it is one of control.
    fn control(&mut self, kind: Kind) -> Result<(), Violation> {
        match kind {
            Kind::Continuation | Kind::Binary => {}
            Kind::Pong => self.control = Vec::new(),
            Kind::Ping => self.pong = Some(take(&mut self.control)),
            Kind::Close => {
                let code = read_close(&take(&mut self.control))?;
                self.end = Some(End::Closed);
                // The same code goes back (§5.5.1), unless our own Close frame is on its way.
                self.close.get_or_insert(code);
            }
        }
        Ok(())
    }

    /// Why nothing more is read, if so.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Closes once everything that waits is written.
    pub fn close(&mut self, code: CloseCode) {
        self.close.get_or_insert(Some(code));
    }

    /// Fills `slices` for one vectored write of what waits, in frames; returns how many were filled. Zero: nothing waits.
    pub fn io_slices<'a>(&'a mut self, transmit: &'a Transmit, slices: &mut [IoSlice<'a>]) -> usize {
        if self.is_between_frames() {
            self.begin(transmit.frame_len());
        }
        let lead = &self.lead[self.lead_start..];
        let mut filled = 0;
        let mut rest = slices;
        if !lead.is_empty()
            && let Some((slot, others)) = take(&mut rest).split_first_mut()
        {
            *slot = IoSlice::new(lead);
            (filled, rest) = (1, others);
        }
        // What was added to `transmit` since the frame began is for the next frame.
        let mut left = self.body_left;
        let parts = transmit.parts().map_while(|part| {
            let part = &part[..part.len().min(left)];
            left -= part.len();
            (!part.is_empty()).then_some(part)
        });
        for (slot, part) in rest.iter_mut().zip(parts) {
            *slot = IoSlice::new(part);
            filled += 1;
        }
        filled
    }

    /// Forgets what was written of what [`WebSocket::io_slices`] filled.
    pub fn advance(&mut self, transmit: &mut Transmit, written: usize) {
        let of_lead = written.min(self.lead.len() - self.lead_start);
        self.lead_start += of_lead;
        if self.lead_start == self.lead.len() {
            self.lead.clear();
            self.lead_start = 0;
        }
        let of_body = (written - of_lead).min(self.body_left);
        self.body_left -= of_body;
        transmit.advance(of_body);
    }

    /// Whether it has something of its own to write, besides what a machine has.
    pub fn wants_write(&self) -> bool {
        !self.is_between_frames() || self.pong.is_some() || (self.close.is_some() && !self.is_closed)
    }

    fn is_between_frames(&self) -> bool {
        self.lead.is_empty() && self.body_left == 0
    }

    /// Begins to write what waits: an answer to a question for a sign of life, a frame with all that the machine has, or
    /// the last frame of all.
    fn begin(&mut self, waiting: usize) {
        if self.is_closed {
            return;
        }
        if let Some(pong) = self.pong.take() {
            write_head(Kind::Pong, pong.len(), &mut self.lead);
            self.lead.extend_from_slice(&pong);
        }
        if waiting > 0 {
            write_head(Kind::Binary, waiting, &mut self.lead);
            self.body_left = waiting;
        } else if let Some(code) = self.close {
            let code = code.map(|code| code.0.to_be_bytes());
            let code = code.as_ref().map_or(&[][..], |code| code);
            write_head(Kind::Close, code.len(), &mut self.lead);
            self.lead.extend_from_slice(code);
            self.is_closed = true;
        }
    }
}
