//! The wire format: frames, methods, content headers and field tables (AMQP 0-9-1 §2.3, §4.2), for both roles.
//!
//! Nothing is copied in reading: a [`Method`], a [`Table`] and [`Properties`] are views of the frame that they came in.
//! Tables are looked through once, within a depth, so that what is read of them later is well-formed.

mod code;
mod content;
mod frame;
mod method;
mod read;
mod table;
#[cfg(test)]
mod tests;
mod write;

pub use code::{CodecError, ReplyCode};
pub use content::{BASIC, ContentHeader, Properties, property};
pub use frame::{FRAME_END, FRAME_MIN, FRAME_OVERHEAD, Frame, FrameKind, PROTOCOL_HEADER, frame};
pub use method::*;
pub(crate) use read::put_short;
pub use table::{Array, ArrayBuf, Table, TableBuf, Value};
pub(crate) use write::raw_method;
pub use write::{body_frames, content_header, heartbeat, method_frame};
