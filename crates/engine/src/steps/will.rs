//! Wills: what is published when a connection is lost (MQTT 5 §3.1.2.5).

use crate::counts::ListenerIndex;
use crate::engine::Engine;
use crate::sessions::SessionKey;
use std::sync::Arc;
use windrose_event::{Now, Origin, Will};

impl Engine {
    /// Publishes a session's will if its time has come.
    pub(crate) fn publish_due_will(&mut self, now: Now, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.will_due.is_none_or(|due| due > now.moment) {
            return;
        }
        session.will_due = None;
        let will = session.will.take();
        let (origin, listener) = (session.origin.clone(), session.listener);
        self.record_session(now, key);
        self.sessions.rearm(key);
        if let Some(will) = will {
            self.publish_will(now, &origin, listener, *will);
        }
    }

    /// Publishes a will, if the rules as they are now still allow it.
    pub(crate) fn publish_will(
        &mut self,
        now: Now,
        origin: &Arc<Origin>,
        listener: ListenerIndex,
        will: Will,
    ) {
        if let Some(inspected) = self.inspect_will(now, origin, listener, will) {
            let routed = self.route(now, inspected);
            self.deliver(now, routed);
        }
    }
}
