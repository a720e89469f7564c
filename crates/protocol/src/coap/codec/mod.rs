//! CoAP's bytes: messages of datagrams (RFC 7252 §3) and the parts that they share with frames of streams (RFC 8323 §3).
//!
//! Reading allocates nothing: a [`Message`] and its [`Options`] are views of what was received.

mod block;
mod code;
mod message;
pub mod option;
mod options;
#[cfg(test)]
mod tests;
mod uint;

pub use block::Block;
pub use code::Code;
pub use message::{Header, Kind, Malformed, Message, MessageError, encode_token_length, parse_token};
pub use options::{OptionView, Options, OptionsBuf, OptionsIter};
pub use uint::{Uint, read_uint};
