//! What a machine of DTLS has seen, as plain numbers.

use std::collections::BTreeMap;

/// Counts of one machine. The causes are words of metrics and logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Clients that were asked to show their address.
    pub asked: u64,
    /// Handshakes that began, with an address that was shown.
    pub begun: u64,
    /// Handshakes that ended well.
    pub completed: u64,
    /// Those of them that resumed an earlier session.
    pub resumed: u64,
    /// Flights that were sent again.
    pub repeated: u64,
    /// Handshakes that came to nothing, by cause.
    pub failed: BTreeMap<&'static str, u64>,
    /// Records and datagrams that were dropped, by cause.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Sessions that ended, by cause.
    pub closed: BTreeMap<&'static str, u64>,
}

pub(super) fn count(counts: &mut BTreeMap<&'static str, u64>, cause: &'static str) {
    *counts.entry(cause).or_default() += 1;
}
