//! Reply codes, and what is wrong with what a peer wrote (AMQP 0-9-1 §1.2, constants).

use std::fmt;

/// A reply code (AMQP 0-9-1 §1.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplyCode(pub u16);

impl ReplyCode {
    /// All is well (AMQP 0-9-1 §1.2, reply-success).
    pub const SUCCESS: Self = Self(200);
    /// The content is larger than is taken (content-too-large).
    pub const CONTENT_TOO_LARGE: Self = Self(311);
    /// A mandatory message got into no queue (RabbitMQ's no-route).
    pub const NO_ROUTE: Self = Self(312);
    /// An immediate message got to no consumer (no-consumers).
    pub const NO_CONSUMERS: Self = Self(313);
    /// The connection is ended by whoever operates the server (connection-forced).
    pub const CONNECTION_FORCED: Self = Self(320);
    /// There is no such virtual host (invalid-path).
    pub const INVALID_PATH: Self = Self(402);
    /// It may not be done by this peer (access-refused).
    pub const ACCESS_REFUSED: Self = Self(403);
    /// There is no such exchange or queue (not-found).
    pub const NOT_FOUND: Self = Self(404);
    /// Another connection has it (resource-locked).
    pub const RESOURCE_LOCKED: Self = Self(405);
    /// It is not as it would have to be (precondition-failed).
    pub const PRECONDITION_FAILED: Self = Self(406);
    /// A frame is malformed (frame-error).
    pub const FRAME_ERROR: Self = Self(501);
    /// A field of a frame is malformed (syntax-error).
    pub const SYNTAX_ERROR: Self = Self(502);
    /// A method came that has no business here (command-invalid).
    pub const COMMAND_INVALID: Self = Self(503);
    /// A channel is not open, or open already (channel-error).
    pub const CHANNEL_ERROR: Self = Self(504);
    /// A frame came that has no business here (unexpected-frame).
    pub const UNEXPECTED_FRAME: Self = Self(505);
    /// There is no room for it (resource-error).
    pub const RESOURCE_ERROR: Self = Self(506);
    /// It is never done (not-allowed).
    pub const NOT_ALLOWED: Self = Self(530);
    /// It is not done here (not-implemented).
    pub const NOT_IMPLEMENTED: Self = Self(540);
    /// The server failed (internal-error).
    pub const INTERNAL_ERROR: Self = Self(541);

    /// The code's name as RabbitMQ begins its sentences with it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SUCCESS => "SUCCESS",
            Self::CONTENT_TOO_LARGE => "CONTENT_TOO_LARGE",
            Self::NO_ROUTE => "NO_ROUTE",
            Self::NO_CONSUMERS => "NO_CONSUMERS",
            Self::CONNECTION_FORCED => "CONNECTION_FORCED",
            Self::INVALID_PATH => "INVALID_PATH",
            Self::ACCESS_REFUSED => "ACCESS_REFUSED",
            Self::NOT_FOUND => "NOT_FOUND",
            Self::RESOURCE_LOCKED => "RESOURCE_LOCKED",
            Self::PRECONDITION_FAILED => "PRECONDITION_FAILED",
            Self::FRAME_ERROR => "FRAME_ERROR",
            Self::SYNTAX_ERROR => "SYNTAX_ERROR",
            Self::COMMAND_INVALID => "COMMAND_INVALID",
            Self::CHANNEL_ERROR => "CHANNEL_ERROR",
            Self::UNEXPECTED_FRAME => "UNEXPECTED_FRAME",
            Self::RESOURCE_ERROR => "RESOURCE_ERROR",
            Self::NOT_ALLOWED => "NOT_ALLOWED",
            Self::NOT_IMPLEMENTED => "NOT_IMPLEMENTED",
            Self::INTERNAL_ERROR => "INTERNAL_ERROR",
            _ => "UNKNOWN",
        }
    }

    /// Whether it ends the connection; the others end a channel (AMQP 0-9-1 §1.2, hard and soft errors).
    pub const fn is_hard(self) -> bool {
        matches!(self.0, 320 | 402 | 500..)
    }
}

impl fmt::Debug for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.name())
    }
}

/// What is wrong with what a peer wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodecError {
    /// The reply code that says so.
    pub code: ReplyCode,
    /// What is wrong, for the peer and for the log.
    pub problem: &'static str,
}

impl CodecError {
    /// A frame is malformed.
    pub const fn frame(problem: &'static str) -> Self {
        Self { code: ReplyCode::FRAME_ERROR, problem }
    }

    /// A field is malformed.
    pub const fn syntax(problem: &'static str) -> Self {
        Self { code: ReplyCode::SYNTAX_ERROR, problem }
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} - {}", self.code.name(), self.problem)
    }
}

impl std::error::Error for CodecError {}
