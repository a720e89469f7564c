//! Flow, transfer, disposition: what deliveries are made of (part 2 §2.7.4 to §2.7.6).

use super::format::descriptor;
use super::value::Map;
use super::{CodecError, DeliveryState, Fields, ListWriter, ReceiverSettleMode, Role};

/// Flow (§2.7.4).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flow<'a> {
    /// The transfer that the sender of this expects next; `None` before it has our begin.
    pub next_incoming_id: Option<u32>,
    /// How many transfers it takes now.
    pub incoming_window: u32,
    /// The transfer-id of its next transfer.
    pub next_outgoing_id: u32,
    /// How many it would send now.
    pub outgoing_window: u32,
    /// Which link, if it is about one.
    pub handle: Option<u32>,
    /// The link's sender's count of deliveries.
    pub delivery_count: Option<u32>,
    /// How many deliveries more the link's receiver takes.
    pub link_credit: Option<u32>,
    /// How many the link's sender has to send.
    pub available: Option<u32>,
    /// Whether credit is used up, by sending or by giving it up.
    pub drain: bool,
    /// Whether the same is wished in return.
    pub echo: bool,
    /// What else is said of the link.
    pub properties: Option<Map<'a>>,
}

impl<'a> Flow<'a> {
    pub(super) fn read(mut fields: Fields<'a>) -> Result<Self, CodecError> {
        const MANDATORY: CodecError = CodecError::field("flow lacks its next-outgoing-id or a window");
        let flow = Self {
            next_incoming_id: fields.uint()?,
            incoming_window: fields.uint()?.ok_or(MANDATORY)?,
            next_outgoing_id: fields.uint()?.ok_or(MANDATORY)?,
            outgoing_window: fields.uint()?.ok_or(MANDATORY)?,
            handle: fields.uint()?,
            delivery_count: fields.uint()?,
            link_credit: fields.uint()?,
            available: fields.uint()?,
            drain: fields.boolean()?.unwrap_or(false),
            echo: fields.boolean()?.unwrap_or(false),
            properties: fields.map()?,
        };
        if flow.handle.is_none()
            && (flow.delivery_count.is_some() || flow.link_credit.is_some() || flow.available.is_some())
        {
            return Err(CodecError::field("flow speaks of a link, and does not say which"));
        }
        Ok(flow)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut list = ListWriter::described(out, descriptor::FLOW);
        list.uint(self.next_incoming_id);
        list.uint(Some(self.incoming_window));
        list.uint(Some(self.next_outgoing_id));
        list.uint(Some(self.outgoing_window));
        list.uint(self.handle);
        list.uint(self.delivery_count);
        list.uint(self.link_credit);
        list.uint(self.available);
        list.flag(self.drain);
        list.flag(self.echo);
        list.map(self.properties.as_ref());
        list.finish();
    }
}

/// Transfer (§2.7.5). What it carries follows it in the frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Transfer<'a> {
    /// Which link.
    pub handle: u32,
    /// Which delivery of the session; it may be left out after a delivery's first transfer.
    pub delivery_id: Option<u32>,
    /// What the link's sender knows the delivery by; the same.
    pub delivery_tag: Option<&'a [u8]>,
    /// The format of the message; the same. Zero: AMQP's own.
    pub message_format: Option<u32>,
    /// Whether its sender has settled it.
    pub settled: Option<bool>,
    /// Whether more of the delivery follows.
    pub more: bool,
    /// How its receiver is to settle it, if otherwise than the link says.
    pub rcv_settle_mode: Option<ReceiverSettleMode>,
    /// What its sender says has become of it.
    pub state: Option<DeliveryState<'a>>,
    /// Whether it goes on with what was unsettled.
    pub resume: bool,
    /// Whether it is given up.
    pub aborted: bool,
    /// Whether its sender does not mind if its outcome is told later, with others.
    pub batchable: bool,
}

impl<'a> Transfer<'a> {
    #[inline]
    pub(super) fn read(mut fields: Fields<'a>) -> Result<Self, CodecError> {
        Ok(Self {
            handle: fields.uint()?.ok_or(CodecError::field("transfer has no handle"))?,
            delivery_id: fields.uint()?,
            delivery_tag: fields.binary()?,
            message_format: fields.uint()?,
            settled: fields.boolean()?,
            more: fields.boolean()?.unwrap_or(false),
            rcv_settle_mode: match fields.ubyte()? {
                None => None,
                Some(0) => Some(ReceiverSettleMode::First),
                Some(1) => Some(ReceiverSettleMode::Second),
                Some(_) => return Err(CodecError::field("transfer has a settle mode that there is not")),
            },
            state: DeliveryState::field(&mut fields)?,
            resume: fields.boolean()?.unwrap_or(false),
            aborted: fields.boolean()?.unwrap_or(false),
            batchable: fields.boolean()?.unwrap_or(false),
        })
    }

    /// Appends it; the message follows.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut list = ListWriter::described(out, descriptor::TRANSFER);
        list.uint(Some(self.handle));
        list.uint(self.delivery_id);
        list.binary(self.delivery_tag);
        list.uint(self.message_format);
        list.boolean(self.settled);
        list.flag(self.more);
        list.ubyte(self.rcv_settle_mode.map(|mode| mode as u8));
        match &self.state {
            Some(state) => list.field(|out| state.write(out)),
            None => list.null(),
        }
        list.flag(self.resume);
        list.flag(self.aborted);
        list.flag(self.batchable);
        list.finish();
    }
}

/// Disposition (§2.7.6).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Disposition<'a> {
    /// Which end of the link says this.
    pub role: Role,
    /// The first delivery.
    pub first: u32,
    /// The last; `None`: there is no other.
    pub last: Option<u32>,
    /// Whether they are settled.
    pub settled: bool,
    /// What has become of them.
    pub state: Option<DeliveryState<'a>>,
    /// Whether the same may be told later, with others.
    pub batchable: bool,
}

impl<'a> Disposition<'a> {
    #[inline]
    pub(super) fn read(mut fields: Fields<'a>) -> Result<Self, CodecError> {
        const MANDATORY: CodecError = CodecError::field("disposition lacks its role or first delivery");
        Ok(Self {
            role: Role::of(fields.boolean()?.ok_or(MANDATORY)?),
            first: fields.uint()?.ok_or(MANDATORY)?,
            last: fields.uint()?,
            settled: fields.boolean()?.unwrap_or(false),
            state: DeliveryState::field(&mut fields)?,
            batchable: fields.boolean()?.unwrap_or(false),
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut list = ListWriter::described(out, descriptor::DISPOSITION);
        list.boolean(Some(self.role == Role::Receiver));
        list.uint(Some(self.first));
        list.uint(self.last);
        list.flag(self.settled);
        match &self.state {
            Some(state) => list.field(|out| state.write(out)),
            None => list.null(),
        }
        list.flag(self.batchable);
        list.finish();
    }
}
