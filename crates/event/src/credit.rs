//! Credit: how much more may be in flight.

/// A bounded number of permits, one for each event in flight.
///
/// Taking may overdraw by the event that found the credit gone, because that event is already in memory: the taker is
/// told and must brake its source until [`Credit::available`] is true again.
#[derive(Clone, Debug)]
pub struct Credit {
    limit: u32,
    used: u32,
}

impl Credit {
    /// `limit` permits, none in use.
    pub const fn new(limit: u32) -> Self {
        Self { limit, used: 0 }
    }

    /// Takes a permit. `false` means that the limit is reached or passed: brake the source.
    #[must_use = "when credit is gone the source must be braked"]
    pub fn take(&mut self) -> bool {
        self.used = self.used.saturating_add(1);
        self.used < self.limit
    }

    /// Gives a permit back. `true` means that this made credit available again: release the brake.
    #[must_use = "when credit is back the brake must be released"]
    pub fn give(&mut self) -> bool {
        debug_assert!(self.used > 0, "credit given back that was never taken");
        let braked = !self.available();
        self.used = self.used.saturating_sub(1);
        braked && self.available()
    }

    /// Whether a permit can be taken without reaching past the limit.
    pub const fn available(&self) -> bool {
        self.used < self.limit
    }

    /// Permits in use.
    pub const fn used(&self) -> u32 {
        self.used
    }

    /// Permits in all.
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// Changes the limit, as a reload may; permits in use stay in use.
    pub fn resize(&mut self, limit: u32) {
        self.limit = limit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_permit_brakes_and_its_return_releases() {
        let mut credit = Credit::new(2);
        assert!(credit.take());
        assert!(!credit.take(), "the second of two permits leaves none");
        assert!(!credit.take(), "an event already in memory overdraws");
        assert!(!credit.give(), "still at the limit");
        assert!(credit.give(), "now there is room");
        assert!(!credit.give(), "there was room before");
        assert_eq!(credit.used(), 0);
    }
}
