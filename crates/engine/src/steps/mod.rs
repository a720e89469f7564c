//! The seven steps: once per connection listen, session and identify; once per event inspect, route, deliver and
//! acknowledge. Beside them stands what peers ask for that is no event of theirs: subscriptions, last values, replies.

mod acknowledge;
mod arrange;
mod brake;
mod bury;
mod consume;
mod converse;
mod deliver;
mod enrol;
mod fetch;
mod forward;
mod identify;
mod inspect;
pub(crate) mod journal;
mod kept;
mod listen;
mod outbound;
mod private;
mod pull;
mod queue;
mod recover;
mod request;
mod route;
mod session;
mod standing;
pub(crate) mod state;
mod subscribe;
mod sync;
mod takeover;
mod through;
mod topology;
mod transcode;
mod will;
mod words;

use crate::engine::Engine;
use windrose_event::{ConnectionId, Now, Publish};

impl Engine {
    /// One event's way through the steps. Whatever becomes of it, its receipt is settled now or waits for its targets.
    pub(crate) fn publish(&mut self, now: Now, connection: ConnectionId, publish: Publish) {
        let Some(identified) = self.identify(connection) else { return };
        let Some(inspected) = self.inspect(now, identified, publish) else { return };
        let routed = self.route(now, inspected);
        self.deliver(now, routed);
    }
}
