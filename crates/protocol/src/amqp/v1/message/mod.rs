//! Messages and events: what a message's sections mean to everybody else, and how an event that came by another protocol is
//! written as one (part 3 §3.2; CloudEvents AMQP binding).

mod attributes;
mod ids;
mod read;
#[cfg(test)]
mod tests;
mod text;
mod write;

pub(crate) use read::{Content, read};
pub(crate) use text::text_of;
pub(crate) use write::{Head, write, write_event};

/// The message annotation by which a message becomes, or is, its address's last value.
const RETAIN: &str = "x-opt-retain";
/// The message annotation that tells a receiver of many addresses which one this is of, where the message does not.
const ADDRESS: &str = "x-opt-address";
/// Names under which properties travel beside the payload that only AMQP has.
const MESSAGE_ID: &str = "message-id";
const SUBJECT: &str = "subject";
const CONTENT_ENCODING: &str = "content-encoding";
const GROUP_ID: &str = "group-id";
