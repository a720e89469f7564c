//! Open, begin, end, close: connections and sessions (part 2 §2.7.1, §2.7.2, §2.7.8, §2.7.9).

use super::format::descriptor;
use super::state::ErrorInfo;
use super::value::Map;
use super::{CodecError, Fields, ListWriter, Symbols};

/// Open (§2.7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Open<'a> {
    /// The sender's container.
    pub container_id: &'a str,
    /// The host that the sender means.
    pub hostname: Option<&'a str>,
    /// The largest frame that it takes; `None`: any.
    pub max_frame_size: Option<u32>,
    /// The highest channel that it takes; `None`: 65,535.
    pub channel_max: Option<u16>,
    /// After how many milliseconds without a frame it gives up; `None`: never.
    pub idle_time_out: Option<u32>,
    /// Languages of its texts.
    pub outgoing_locales: Symbols<'a>,
    /// Languages that it wishes.
    pub incoming_locales: Symbols<'a>,
    /// Extensions that it has.
    pub offered_capabilities: Symbols<'a>,
    /// Extensions that it would use.
    pub desired_capabilities: Symbols<'a>,
    /// What it says of itself.
    pub properties: Option<Map<'a>>,
}

impl<'a> Open<'a> {
    pub(super) fn read(mut fields: Fields<'a>) -> Result<Self, CodecError> {
        Ok(Self {
            container_id: fields.string()?.ok_or(CodecError::field("open has no container-id"))?,
            hostname: fields.string()?,
            max_frame_size: fields.uint()?,
            channel_max: fields.ushort()?,
            idle_time_out: fields.uint()?,
            outgoing_locales: fields.symbols()?,
            incoming_locales: fields.symbols()?,
            offered_capabilities: fields.symbols()?,
            desired_capabilities: fields.symbols()?,
            properties: fields.map()?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut list = ListWriter::described(out, descriptor::OPEN);
        list.string(Some(self.container_id));
        list.string(self.hostname);
        list.uint(self.max_frame_size);
        list.ushort(self.channel_max);
        list.uint(self.idle_time_out);
        list.symbols(&self.outgoing_locales);
        list.symbols(&self.incoming_locales);
        list.symbols(&self.offered_capabilities);
        list.symbols(&self.desired_capabilities);
        list.map(self.properties.as_ref());
        list.finish();
    }
}

/// Begin (§2.7.2).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Begin<'a> {
    /// In the answer: the channel of the begin that is answered.
    pub remote_channel: Option<u16>,
    /// The transfer-id of the sender's first transfer.
    pub next_outgoing_id: u32,
    /// How many transfers it takes now.
    pub incoming_window: u32,
    /// How many it would send now.
    pub outgoing_window: u32,
    /// The highest handle that it takes; `None`: any.
    pub handle_max: Option<u32>,
    /// Extensions that it has.
    pub offered_capabilities: Symbols<'a>,
    /// Extensions that it would use.
    pub desired_capabilities: Symbols<'a>,
    /// What it says of the session.
    pub properties: Option<Map<'a>>,
}

impl<'a> Begin<'a> {
    pub(super) fn read(mut fields: Fields<'a>) -> Result<Self, CodecError> {
        const MANDATORY: CodecError = CodecError::field("begin lacks its next-outgoing-id or a window");
        Ok(Self {
            remote_channel: fields.ushort()?,
            next_outgoing_id: fields.uint()?.ok_or(MANDATORY)?,
            incoming_window: fields.uint()?.ok_or(MANDATORY)?,
            outgoing_window: fields.uint()?.ok_or(MANDATORY)?,
            handle_max: fields.uint()?,
            offered_capabilities: fields.symbols()?,
            desired_capabilities: fields.symbols()?,
            properties: fields.map()?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut list = ListWriter::described(out, descriptor::BEGIN);
        list.ushort(self.remote_channel);
        list.uint(Some(self.next_outgoing_id));
        list.uint(Some(self.incoming_window));
        list.uint(Some(self.outgoing_window));
        list.uint(self.handle_max);
        list.symbols(&self.offered_capabilities);
        list.symbols(&self.desired_capabilities);
        list.map(self.properties.as_ref());
        list.finish();
    }
}

/// End (§2.7.8).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct End<'a> {
    /// Why, if something is wrong.
    pub error: Option<ErrorInfo<'a>>,
}

impl<'a> End<'a> {
    pub(super) fn read(mut fields: Fields<'a>) -> Result<Self, CodecError> {
        Ok(Self { error: ErrorInfo::field(&mut fields)? })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut list = ListWriter::described(out, descriptor::END);
        ErrorInfo::put(self.error.as_ref(), &mut list);
        list.finish();
    }
}

/// Close (§2.7.9).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Close<'a> {
    /// Why, if something is wrong.
    pub error: Option<ErrorInfo<'a>>,
}

impl<'a> Close<'a> {
    pub(super) fn read(mut fields: Fields<'a>) -> Result<Self, CodecError> {
        Ok(Self { error: ErrorInfo::field(&mut fields)? })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut list = ListWriter::described(out, descriptor::CLOSE);
        ErrorInfo::put(self.error.as_ref(), &mut list);
        list.finish();
    }
}
