#![allow(clippy::unwrap_used, clippy::panic)]

mod hostile;
mod messages;
mod performatives;
mod values;
