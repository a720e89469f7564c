//! Attach and detach: links (part 2 §2.7.3, §2.7.7).

use super::format::descriptor;
use super::state::ErrorInfo;
use super::value::Map;
use super::{CodecError, Fields, ListWriter, Source, Symbols, Terminus};

/// Which end of a link somebody is (part 2 §2.8.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It sends.
    #[default]
    Sender,
    /// It receives.
    Receiver,
}

impl Role {
    pub(super) const fn of(receiver: bool) -> Self {
        if receiver { Self::Receiver } else { Self::Sender }
    }

    /// The other end.
    pub const fn other(self) -> Self {
        match self {
            Self::Sender => Self::Receiver,
            Self::Receiver => Self::Sender,
        }
    }
}

/// Whether a sender settles before it hears of an outcome (part 2 §2.8.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SenderSettleMode {
    /// Never.
    Unsettled,
    /// Always.
    Settled,
    /// As it likes.
    #[default]
    Mixed,
}

/// Whether a receiver settles before it hears that the sender has (part 2 §2.8.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReceiverSettleMode {
    /// Yes.
    #[default]
    First,
    /// No.
    Second,
}

/// Attach (§2.7.3).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Attach<'a> {
    /// The link's name.
    pub name: &'a str,
    /// What the sender of this calls the link while it is attached.
    pub handle: u32,
    /// Which end the sender of this is.
    pub role: Role,
    /// How the link's sender settles.
    pub snd_settle_mode: SenderSettleMode,
    /// How the link's receiver settles.
    pub rcv_settle_mode: ReceiverSettleMode,
    /// Where messages come from.
    pub source: Option<Source<'a>>,
    /// Where they go.
    pub target: Option<Terminus<'a>>,
    /// Delivery tags, and the states of those deliveries.
    pub unsettled: Option<Map<'a>>,
    /// Whether `unsettled` is not all.
    pub incomplete_unsettled: bool,
    /// From a link's sender: where it begins to count deliveries.
    pub initial_delivery_count: Option<u32>,
    /// The largest message that is taken; `None`: any.
    pub max_message_size: Option<u64>,
    /// Extensions that the sender of this has.
    pub offered_capabilities: Symbols<'a>,
    /// Extensions that it would use.
    pub desired_capabilities: Symbols<'a>,
    /// What it says of the link.
    pub properties: Option<Map<'a>>,
}

impl<'a> Attach<'a> {
    pub(super) fn read(mut fields: Fields<'a>) -> Result<Self, CodecError> {
        const MANDATORY: CodecError = CodecError::field("attach lacks its name, handle or role");
        const MODE: CodecError = CodecError::field("attach has a settle mode that there is not");
        Ok(Self {
            name: fields.string()?.ok_or(MANDATORY)?,
            handle: fields.uint()?.ok_or(MANDATORY)?,
            role: Role::of(fields.boolean()?.ok_or(MANDATORY)?),
            snd_settle_mode: match fields.ubyte()? {
                Some(0) => SenderSettleMode::Unsettled,
                Some(1) => SenderSettleMode::Settled,
                None | Some(2) => SenderSettleMode::Mixed,
                Some(_) => return Err(MODE),
            },
            rcv_settle_mode: match fields.ubyte()? {
                None | Some(0) => ReceiverSettleMode::First,
                Some(1) => ReceiverSettleMode::Second,
                Some(_) => return Err(MODE),
            },
            source: fields.described()?.map(Source::read).transpose()?,
            target: fields.described()?.map(Terminus::read).transpose()?,
            unsettled: fields.map()?,
            incomplete_unsettled: fields.boolean()?.unwrap_or(false),
            initial_delivery_count: fields.uint()?,
            max_message_size: fields.ulong()?,
            offered_capabilities: fields.symbols()?,
            desired_capabilities: fields.symbols()?,
            properties: fields.map()?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut list = ListWriter::described(out, descriptor::ATTACH);
        list.string(Some(self.name));
        list.uint(Some(self.handle));
        list.boolean(Some(self.role == Role::Receiver));
        list.ubyte(Some(self.snd_settle_mode as u8));
        list.ubyte(Some(self.rcv_settle_mode as u8));
        match &self.source {
            Some(source) => list.field(|out| source.write(out)),
            None => list.null(),
        }
        match &self.target {
            Some(target) => list.field(|out| target.write(out)),
            None => list.null(),
        }
        list.map(self.unsettled.as_ref());
        list.flag(self.incomplete_unsettled);
        list.uint(self.initial_delivery_count);
        list.ulong(self.max_message_size);
        list.symbols(&self.offered_capabilities);
        list.symbols(&self.desired_capabilities);
        list.map(self.properties.as_ref());
        list.finish();
    }
}

/// Detach (§2.7.7).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Detach<'a> {
    /// Which link, as the sender of this calls it.
    pub handle: u32,
    /// Whether the link is given up, and not only detached.
    pub closed: bool,
    /// Why, if something is wrong.
    pub error: Option<ErrorInfo<'a>>,
}

impl<'a> Detach<'a> {
    pub(super) fn read(mut fields: Fields<'a>) -> Result<Self, CodecError> {
        Ok(Self {
            handle: fields.uint()?.ok_or(CodecError::field("detach has no handle"))?,
            closed: fields.boolean()?.unwrap_or(false),
            error: ErrorInfo::field(&mut fields)?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut list = ListWriter::described(out, descriptor::DETACH);
        list.uint(Some(self.handle));
        list.flag(self.closed);
        ErrorInfo::put(self.error.as_ref(), &mut list);
        list.finish();
    }
}
