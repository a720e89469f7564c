//! Private queues: a consumer's own subscription, or the replies that it waits for.

use crate::sessions::CatchUp;
use crate::subscriptions::Subscription;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{HeadersTest, Moment, Origin};

/// What is particular to a queue with a subscription of its own.
#[derive(Debug)]
pub(crate) struct Private {
    /// Whom it is for: its own events may be left out, and some are kept from it.
    pub(crate) origin: Arc<Origin>,
    /// Whether its subscription might not be made any more: what is delivered is looked at singly.
    pub(crate) restricted: bool,
    pub(crate) subscription: Option<Subscription>,
    /// Which events of those, if not all.
    pub(crate) headers: Option<Box<HeadersTest>>,
    /// Last values that it has still to get.
    pub(crate) catch_up: Option<Box<CatchUp>>,
    /// The token of its reply address.
    pub(crate) token: Option<u128>,
    /// Whether its consumer was told that it consumes: nothing comes before.
    pub(crate) open: bool,
    /// How long it is kept without a consumer, if it was asked to be.
    pub(crate) keep: Option<Duration>,
    /// Until when it is kept, while it has none.
    pub(crate) kept_until: Option<Moment>,
}
