//! The codec: types, frames, performatives and messages of AMQP 1.0, read and written in both directions.
//!
//! Reading borrows: texts and binaries are slices of the frame, and what is nested is read when it is asked for. Nothing
//! recurses, and nothing is allocated by a length that a peer claims.

pub mod condition;
mod connection;
mod delivery;
mod error;
mod fields;
mod format;
mod frame;
mod header;
mod link;
mod list;
mod map;
mod measure;
mod message;
mod performative;
mod properties;
mod reader;
mod sasl;
mod state;
mod symbols;
mod terminus;
#[cfg(test)]
mod tests;
mod value;
mod write;

pub use connection::{Begin, Close, End, Open};
pub use delivery::{Disposition, Flow, Transfer};
pub use error::CodecError;
pub use fields::Fields;
pub use format::{Descriptor, code};
pub use frame::{
    AMQP_HEADER, FRAME_HEADER, FrameHeader, FrameKind, MIN_MAX_FRAME_SIZE, PROTOCOL_HEADER, SASL_HEADER,
    TLS_HEADER, finish_frame, frame_header, start_frame,
};
pub use header::Header;
pub use link::{Attach, Detach, ReceiverSettleMode, Role, SenderSettleMode};
pub use list::ListWriter;
pub use map::MapWriter;
pub use measure::{MOST_LEVELS, measure};
pub use message::{Body, MapSection, Message, Pieces, write_data_head, write_section_map};
pub use performative::Performative;
pub use properties::Properties;
pub use reader::Reader;
pub use sasl::{SaslCode, SaslFrame};
pub use state::{DeliveryState, ErrorInfo};
pub use symbols::Symbols;
pub use terminus::{Durability, Source, Target, Terminus};
pub use value::{Array, Described, List, Map, Value};
pub use write::{
    put_binary, put_boolean, put_described, put_string, put_symbol, put_timestamp, put_uint, put_ulong,
    put_value,
};
