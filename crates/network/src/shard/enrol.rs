//! Asking the authority for somebody who is known.

use super::Shard;
use std::rc::Rc;
use windrose_engine::Input;
use windrose_event::{ConnectionId, EnrolRequest, Identity, IdentityChange, Tag};

impl Shard {
    pub(super) fn enrol(
        self: &Rc<Self>,
        connection: ConnectionId,
        tag: Tag,
        by: &Identity,
        request: EnrolRequest,
    ) {
        let answer = self.enrolment.enrol(by, request);
        let shard = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let result = Box::new(answer.await);
            shard.input(Input::Enrolled { connection, tag, result });
        });
    }

    /// What is known of some is not as it was.
    pub(crate) fn identities_changed(self: &Rc<Self>, changes: &std::sync::Arc<[IdentityChange]>) {
        self.input(Input::IdentitiesChanged(std::sync::Arc::clone(changes)));
        // After the engine: what it has to say to somebody still goes by the session.
        self.end_sessions(changes);
    }
}
