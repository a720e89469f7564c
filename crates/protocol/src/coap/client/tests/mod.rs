#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod calls;
mod machine;
mod requests;
