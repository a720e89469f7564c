//! Constructors of values (part 1 §1.6) and descriptors of described types.

/// Constructor codes (part 1 §1.6).
#[allow(missing_docs, reason = "the names are the specification's own")]
pub mod code {
    pub const DESCRIBED: u8 = 0x00;
    pub const NULL: u8 = 0x40;
    pub const TRUE: u8 = 0x41;
    pub const FALSE: u8 = 0x42;
    pub const UINT_0: u8 = 0x43;
    pub const ULONG_0: u8 = 0x44;
    pub const LIST_0: u8 = 0x45;
    pub const UBYTE: u8 = 0x50;
    pub const BYTE: u8 = 0x51;
    pub const SMALL_UINT: u8 = 0x52;
    pub const SMALL_ULONG: u8 = 0x53;
    pub const SMALL_INT: u8 = 0x54;
    pub const SMALL_LONG: u8 = 0x55;
    pub const BOOLEAN: u8 = 0x56;
    pub const USHORT: u8 = 0x60;
    pub const SHORT: u8 = 0x61;
    pub const UINT: u8 = 0x70;
    pub const INT: u8 = 0x71;
    pub const FLOAT: u8 = 0x72;
    pub const CHAR: u8 = 0x73;
    pub const DECIMAL_32: u8 = 0x74;
    pub const ULONG: u8 = 0x80;
    pub const LONG: u8 = 0x81;
    pub const DOUBLE: u8 = 0x82;
    pub const TIMESTAMP: u8 = 0x83;
    pub const DECIMAL_64: u8 = 0x84;
    pub const DECIMAL_128: u8 = 0x94;
    pub const UUID: u8 = 0x98;
    pub const BINARY_8: u8 = 0xa0;
    pub const STRING_8: u8 = 0xa1;
    pub const SYMBOL_8: u8 = 0xa3;
    pub const BINARY_32: u8 = 0xb0;
    pub const STRING_32: u8 = 0xb1;
    pub const SYMBOL_32: u8 = 0xb3;
    pub const LIST_8: u8 = 0xc0;
    pub const MAP_8: u8 = 0xc1;
    pub const LIST_32: u8 = 0xd0;
    pub const MAP_32: u8 = 0xd1;
    pub const ARRAY_8: u8 = 0xe0;
    pub const ARRAY_32: u8 = 0xf0;
}

/// How wide a primitive value is, by its constructor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// Always as many bytes.
    Fixed(usize),
    /// A length of one byte, or of four, then the bytes.
    Variable { wide: bool },
    /// Size and count of one byte, or of four, then values.
    Compound { wide: bool },
    /// The same, with one constructor for all values.
    Array { wide: bool },
}

/// The width of a known constructor; `None`: there is no such.
pub(super) const fn width(constructor: u8) -> Option<Width> {
    Some(match constructor {
        0x40..=0x45 => Width::Fixed(0),
        0x50..=0x56 => Width::Fixed(1),
        0x60..=0x61 => Width::Fixed(2),
        0x70..=0x74 => Width::Fixed(4),
        0x80..=0x84 => Width::Fixed(8),
        0x94 | 0x98 => Width::Fixed(16),
        0xa0 | 0xa1 | 0xa3 => Width::Variable { wide: false },
        0xb0 | 0xb1 | 0xb3 => Width::Variable { wide: true },
        0xc0 | 0xc1 => Width::Compound { wide: false },
        0xd0 | 0xd1 => Width::Compound { wide: true },
        0xe0 => Width::Array { wide: false },
        0xf0 => Width::Array { wide: true },
        _ => return None,
    })
}

/// What a described value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descriptor<'a> {
    /// By its code; also if it was written by its name and we know that.
    Code(u64),
    /// By a name that we do not know.
    Name(&'a str),
    /// By something else, which the specification reserves (part 1 §1.5).
    Other,
}

impl<'a> Descriptor<'a> {
    /// The descriptor that a symbol is.
    pub fn named(name: &'a str) -> Self {
        match NAMES.iter().find(|(_, known)| *known == name) {
            Some((code, _)) => Self::Code((*code).into()),
            None => Self::Name(name),
        }
    }

    /// Its code, if it is one that could be ours.
    pub fn code(self) -> Option<u8> {
        match self {
            Self::Code(code) => u8::try_from(code).ok(),
            _ => None,
        }
    }
}

/// Codes of descriptors.
#[allow(missing_docs, reason = "the names are the specification's own")]
pub(super) mod descriptor {
    pub(in super::super) const OPEN: u8 = 0x10;
    pub(in super::super) const BEGIN: u8 = 0x11;
    pub(in super::super) const ATTACH: u8 = 0x12;
    pub(in super::super) const FLOW: u8 = 0x13;
    pub(in super::super) const TRANSFER: u8 = 0x14;
    pub(in super::super) const DISPOSITION: u8 = 0x15;
    pub(in super::super) const DETACH: u8 = 0x16;
    pub(in super::super) const END: u8 = 0x17;
    pub(in super::super) const CLOSE: u8 = 0x18;
    pub(in super::super) const ERROR: u8 = 0x1d;
    pub(in super::super) const RECEIVED: u8 = 0x23;
    pub(in super::super) const ACCEPTED: u8 = 0x24;
    pub(in super::super) const REJECTED: u8 = 0x25;
    pub(in super::super) const RELEASED: u8 = 0x26;
    pub(in super::super) const MODIFIED: u8 = 0x27;
    pub(in super::super) const SOURCE: u8 = 0x28;
    pub(in super::super) const TARGET: u8 = 0x29;
    pub(in super::super) const COORDINATOR: u8 = 0x30;
    pub(in super::super) const SASL_MECHANISMS: u8 = 0x40;
    pub(in super::super) const SASL_INIT: u8 = 0x41;
    pub(in super::super) const SASL_CHALLENGE: u8 = 0x42;
    pub(in super::super) const SASL_RESPONSE: u8 = 0x43;
    pub(in super::super) const SASL_OUTCOME: u8 = 0x44;
    pub(in super::super) const HEADER: u8 = 0x70;
    pub(in super::super) const DELIVERY_ANNOTATIONS: u8 = 0x71;
    pub(in super::super) const MESSAGE_ANNOTATIONS: u8 = 0x72;
    pub(in super::super) const PROPERTIES: u8 = 0x73;
    pub(in super::super) const APPLICATION_PROPERTIES: u8 = 0x74;
    pub(in super::super) const DATA: u8 = 0x75;
    pub(in super::super) const AMQP_SEQUENCE: u8 = 0x76;
    pub(in super::super) const AMQP_VALUE: u8 = 0x77;
    pub(in super::super) const FOOTER: u8 = 0x78;
}

/// The same as symbols: a peer may write either (part 1 §1.5).
const NAMES: [(u8, &str); 32] = [
    (descriptor::OPEN, "amqp:open:list"),
    (descriptor::BEGIN, "amqp:begin:list"),
    (descriptor::ATTACH, "amqp:attach:list"),
    (descriptor::FLOW, "amqp:flow:list"),
    (descriptor::TRANSFER, "amqp:transfer:list"),
    (descriptor::DISPOSITION, "amqp:disposition:list"),
    (descriptor::DETACH, "amqp:detach:list"),
    (descriptor::END, "amqp:end:list"),
    (descriptor::CLOSE, "amqp:close:list"),
    (descriptor::ERROR, "amqp:error:list"),
    (descriptor::RECEIVED, "amqp:received:list"),
    (descriptor::ACCEPTED, "amqp:accepted:list"),
    (descriptor::REJECTED, "amqp:rejected:list"),
    (descriptor::RELEASED, "amqp:released:list"),
    (descriptor::MODIFIED, "amqp:modified:list"),
    (descriptor::SOURCE, "amqp:source:list"),
    (descriptor::TARGET, "amqp:target:list"),
    (descriptor::COORDINATOR, "amqp:coordinator:list"),
    (descriptor::SASL_MECHANISMS, "amqp:sasl-mechanisms:list"),
    (descriptor::SASL_INIT, "amqp:sasl-init:list"),
    (descriptor::SASL_CHALLENGE, "amqp:sasl-challenge:list"),
    (descriptor::SASL_RESPONSE, "amqp:sasl-response:list"),
    (descriptor::SASL_OUTCOME, "amqp:sasl-outcome:list"),
    (descriptor::HEADER, "amqp:header:list"),
    (descriptor::DELIVERY_ANNOTATIONS, "amqp:delivery-annotations:map"),
    (descriptor::MESSAGE_ANNOTATIONS, "amqp:message-annotations:map"),
    (descriptor::PROPERTIES, "amqp:properties:list"),
    (descriptor::APPLICATION_PROPERTIES, "amqp:application-properties:map"),
    (descriptor::DATA, "amqp:data:binary"),
    (descriptor::AMQP_SEQUENCE, "amqp:amqp-sequence:list"),
    (descriptor::AMQP_VALUE, "amqp:amqp-value:*"),
    (descriptor::FOOTER, "amqp:footer:map"),
];
