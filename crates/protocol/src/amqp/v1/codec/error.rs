//! Why bytes are not what they should be.

use super::condition;
use std::fmt;

/// Why bytes are no frame, no value or no message: the condition to answer with, and what is wrong in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodecError {
    /// The error condition (part 2 §2.8.15, §2.8.16).
    pub condition: &'static str,
    /// What is wrong.
    pub problem: &'static str,
}

impl CodecError {
    /// Bytes that cannot be read.
    pub const fn decode(problem: &'static str) -> Self {
        Self { condition: condition::DECODE_ERROR, problem }
    }

    /// A frame that is none.
    pub const fn framing(problem: &'static str) -> Self {
        Self { condition: condition::FRAMING_ERROR, problem }
    }

    /// A field that lacks, or has another type than it should.
    pub const fn field(problem: &'static str) -> Self {
        Self { condition: condition::INVALID_FIELD, problem }
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.problem)
    }
}

impl std::error::Error for CodecError {}
