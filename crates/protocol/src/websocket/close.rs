//! Why a WebSocket ends (RFC 6455 §7.4).

/// A status code of a Close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// All was said (§7.4.1).
    pub const NORMAL: Self = Self(1000);
    /// The peer broke the protocol of frames.
    pub const PROTOCOL: Self = Self(1002);
    /// A kind of data that is not taken: text.
    pub const UNSUPPORTED: Self = Self(1003);
    /// A text that is not UTF-8.
    pub const NOT_UTF8: Self = Self(1007);
    /// A frame that is too large.
    pub const TOO_LARGE: Self = Self(1009);

    /// Whether an endpoint may send it (§7.4.1, §7.4.2): some codes only ever stand for a Close frame that never came.
    fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

/// Why a WebSocket is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer closed it.
    Closed,
    /// The peer broke the protocol.
    Violated(Violation),
}

/// What the peer did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What the peer is told.
    pub code: CloseCode,
    /// What the log is told.
    pub problem: &'static str,
}

impl Violation {
    pub(super) const fn new(code: CloseCode, problem: &'static str) -> Self {
        Self { code, problem }
    }

    pub(super) const fn protocol(problem: &'static str) -> Self {
        Self::new(CloseCode::PROTOCOL, problem)
    }
}

/// The code in a Close frame's payload, if it has one (§5.5.1).
pub(super) fn read_close(payload: &[u8]) -> Result<Option<CloseCode>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() {
            Ok(None)
        } else {
            Err(Violation::protocol("WebSocket: a Close frame holds half of a status code"))
        };
    };
    let code = CloseCode(u16::from_be_bytes(*code));
    if !code.may_be_sent() {
        return Err(Violation::protocol("WebSocket: a Close frame holds a status code that none may hold"));
    }
    if std::str::from_utf8(reason).is_err() {
        return Err(Violation::new(CloseCode::NOT_UTF8, "WebSocket: a Close frame's reason is not UTF-8"));
    }
    Ok(Some(code))
}
