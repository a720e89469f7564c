//! Small peers for the first ten minutes: a REST service that prints what it gets, and a thing that answers.

mod thing;

pub use crate::http::sample_service::sample_service as service;
pub use thing::thing;

/// Takes a line for people to read.
pub type Print = Box<dyn Fn(&str)>;
