//! Performatives: the bodies of AMQP frames (part 2 §2.7).

use super::format::descriptor;
use super::{
    Attach, Begin, Close, CodecError, Detach, Disposition, End, Fields, Flow, FrameKind, Open, Reader,
    Transfer, finish_frame, start_frame,
};

/// A performative.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names are the specification's own")]
#[allow(clippy::large_enum_variant, reason = "it is read, acted on and gone")]
pub enum Performative<'a> {
    Open(Open<'a>),
    Begin(Begin<'a>),
    Attach(Attach<'a>),
    Flow(Flow<'a>),
    Transfer(Transfer<'a>),
    Disposition(Disposition<'a>),
    Detach(Detach<'a>),
    End(End<'a>),
    Close(Close<'a>),
}

impl<'a> Performative<'a> {
    /// Reads a frame's body, which is not empty; what follows the performative comes with it.
    #[inline]
    pub fn read(body: &'a [u8]) -> Result<(Self, &'a [u8]), CodecError> {
        let mut reader = Reader::new(body);
        let code = reader.descriptor()?.code();
        let fields = Fields::new(reader.list()?);
        let performative = match code {
            Some(descriptor::TRANSFER) => Self::Transfer(Transfer::read(fields)?),
            Some(descriptor::DISPOSITION) => Self::Disposition(Disposition::read(fields)?),
            Some(descriptor::FLOW) => Self::Flow(Flow::read(fields)?),
            Some(descriptor::OPEN) => Self::Open(Open::read(fields)?),
            Some(descriptor::BEGIN) => Self::Begin(Begin::read(fields)?),
            Some(descriptor::ATTACH) => Self::Attach(Attach::read(fields)?),
            Some(descriptor::DETACH) => Self::Detach(Detach::read(fields)?),
            Some(descriptor::END) => Self::End(End::read(fields)?),
            Some(descriptor::CLOSE) => Self::Close(Close::read(fields)?),
            _ => return Err(CodecError::decode("a frame carries no performative that there is")),
        };
        Ok((performative, reader.rest()))
    }

    /// Appends it as a whole frame. What a transfer carries is not part of it: see [`Transfer::write`].
    pub fn write(&self, channel: u16, out: &mut Vec<u8>) {
        let start = start_frame(out, FrameKind::Amqp, channel);
        match self {
            Self::Open(open) => open.write(out),
            Self::Begin(begin) => begin.write(out),
            Self::Attach(attach) => attach.write(out),
            Self::Flow(flow) => flow.write(out),
            Self::Transfer(transfer) => transfer.write(out),
            Self::Disposition(disposition) => disposition.write(out),
            Self::Detach(detach) => detach.write(out),
            Self::End(end) => end.write(out),
            Self::Close(close) => close.write(out),
        }
        finish_frame(out, start, 0);
    }
}
