//! Errors (part 2 §2.8.14) and delivery states (part 3 §3.4).

use super::format::{code, descriptor};
use super::value::Map;
use super::write::put_described;
use super::{CodecError, Fields, ListWriter, Reader};

/// An error (§2.8.14).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ErrorInfo<'a> {
    /// Its condition.
    pub condition: &'a str,
    /// A sentence.
    pub description: Option<&'a str>,
    /// What else is to know.
    pub info: Option<Map<'a>>,
}

impl<'a> ErrorInfo<'a> {
    /// An error without more to know.
    pub const fn new(condition: &'a str, description: &'a str) -> Self {
        Self { condition, description: Some(description), info: None }
    }

    pub(super) fn field(fields: &mut Fields<'a>) -> Result<Option<Self>, CodecError> {
        let Some(mut reader) = fields.described()? else { return Ok(None) };
        if reader.descriptor()?.code() != Some(descriptor::ERROR) {
            return Err(CodecError::decode("an error was to come, and another value did"));
        }
        let mut fields = Fields::new(reader.list()?);
        Ok(Some(Self {
            condition: fields.symbol()?.ok_or(CodecError::field("an error has no condition"))?,
            description: fields.string()?,
            info: fields.map()?,
        }))
    }

    pub(super) fn put(error: Option<&Self>, list: &mut ListWriter<'_>) {
        match error {
            Some(error) => list.field(|out| error.write(out)),
            None => list.null(),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut list = ListWriter::described(out, descriptor::ERROR);
        list.symbol(Some(self.condition));
        list.string(self.description);
        list.map(self.info.as_ref());
        list.finish();
    }
}

/// What has become of a delivery (part 3 §3.4).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DeliveryState<'a> {
    /// As much has arrived (§3.4.1); it says nothing of what becomes of it.
    Received {
        /// The section that is not complete.
        section_number: u32,
        /// How much of it is there.
        section_offset: u64,
    },
    /// It is done with (§3.4.2).
    Accepted,
    /// It cannot be used (§3.4.3).
    Rejected(Option<ErrorInfo<'a>>),
    /// It was not looked at (§3.4.4).
    Released,
    /// It was not used, and is to be changed (§3.4.5).
    Modified {
        /// It counts as a failure.
        delivery_failed: bool,
        /// It is not to come here again.
        undeliverable_here: bool,
        /// Annotations to be put to its own.
        message_annotations: Option<Map<'a>>,
    },
    /// What we do not know: its descriptor's code, if it has one that we could. Transactional states are such.
    Other(Option<u64>),
}

impl<'a> DeliveryState<'a> {
    /// Whether it is one that a delivery ends in.
    pub fn is_terminal(&self) -> bool {
        !matches!(self, Self::Received { .. } | Self::Other(_))
    }

    pub(super) fn field(fields: &mut Fields<'a>) -> Result<Option<Self>, CodecError> {
        fields.described()?.map(Self::read).transpose()
    }

    /// Reads a described value.
    pub fn read(mut reader: Reader<'a>) -> Result<Self, CodecError> {
        // What nearly all are.
        if matches!(reader.rest(), [code::DESCRIBED, code::SMALL_ULONG, descriptor::ACCEPTED, ..]) {
            return Ok(Self::Accepted);
        }
        let what = reader.descriptor()?;
        let known = matches!(what.code(), Some(descriptor::RECEIVED..=descriptor::MODIFIED));
        if !known {
            return Ok(Self::Other(match what {
                super::Descriptor::Code(code) => Some(code),
                _ => None,
            }));
        }
        let mut fields = Fields::new(reader.list()?);
        const MANDATORY: CodecError = CodecError::field("received lacks its section's number or offset");
        Ok(match what.code() {
            Some(descriptor::RECEIVED) => Self::Received {
                section_number: fields.uint()?.ok_or(MANDATORY)?,
                section_offset: fields.ulong()?.ok_or(MANDATORY)?,
            },
            Some(descriptor::ACCEPTED) => Self::Accepted,
            Some(descriptor::REJECTED) => Self::Rejected(ErrorInfo::field(&mut fields)?),
            Some(descriptor::RELEASED) => Self::Released,
            _ => Self::Modified {
                delivery_failed: fields.boolean()?.unwrap_or(false),
                undeliverable_here: fields.boolean()?.unwrap_or(false),
                message_annotations: fields.map()?,
            },
        })
    }

    /// Appends it.
    pub fn write(&self, out: &mut Vec<u8>) {
        let bare = |out: &mut Vec<u8>, descriptor| {
            put_described(out, descriptor);
            out.push(code::LIST_0);
        };
        match self {
            Self::Received { section_number, section_offset } => {
                let mut list = ListWriter::described(out, descriptor::RECEIVED);
                list.uint(Some(*section_number));
                list.ulong(Some(*section_offset));
                list.finish();
            }
            Self::Accepted => bare(out, descriptor::ACCEPTED),
            Self::Rejected(error) => {
                let mut list = ListWriter::described(out, descriptor::REJECTED);
                ErrorInfo::put(error.as_ref(), &mut list);
                list.finish();
            }
            // What we do not know is never written as it was; it counts as not looked at.
            Self::Released | Self::Other(_) => bare(out, descriptor::RELEASED),
            Self::Modified { delivery_failed, undeliverable_here, message_annotations } => {
                let mut list = ListWriter::described(out, descriptor::MODIFIED);
                list.flag(*delivery_failed);
                list.flag(*undeliverable_here);
                list.map(message_annotations.as_ref());
                list.finish();
            }
        }
    }
}
