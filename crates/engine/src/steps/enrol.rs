//! Enrolment: a thing asks the node's authority for a certificate. The engine looks whether it may; the authority answers.

use crate::connections::Stage;
use crate::engine::Engine;
use crate::io::Output;
use windrose_event::{
    ConnectionId, Directive, EnrolCause, EnrolRefusal, EnrolRequest, Enrolled, Now, Permission, Tag,
};

impl Engine {
    /// Somebody asks the authority. What anybody may know needs no permission.
    pub(crate) fn enrol(&mut self, now: Now, id: ConnectionId, tag: Tag, request: Box<EnrolRequest>) {
        let Some(connection) = self.connections.get(id) else { return };
        let Stage::Open { origin, .. } = &connection.stage else { return };
        let by = origin.identity.clone();
        let asks_for_one = matches!(*request, EnrolRequest::Certificate { .. });
        if asks_for_one && !self.snapshot.access.permits_always(&by, Permission::Enrol) {
            let refusal = EnrolRefusal {
                cause: EnrolCause::NotAllowed,
                reason: "no rule lets it enrol",
                detail: format!("{by} may not enrol: allow it with `may: [enrol]` in 'access'"),
            };
            return self.enrolled(now, id, tag, Box::new(Err(refusal)));
        }
        self.outputs.push_back(Output::Enrol { connection: id, tag, by, request });
    }

    /// The authority's answer.
    pub(crate) fn enrolled(
        &mut self,
        now: Now,
        id: ConnectionId,
        tag: Tag,
        result: Box<Result<Enrolled, EnrolRefusal>>,
    ) {
        let Some(connection) = self.connections.get(id) else { return };
        if let (Stage::Open { origin, .. }, Err(refusal)) = (&connection.stage, &*result)
            && let Some(suppressed) = self.notices.allow(now, refusal.cause.name())
        {
            tracing::warn!(
                listener = &*origin.listener,
                identity = %origin.identity,
                cause = refusal.cause.name(),
                detail = refusal.detail,
                suppressed,
                "no certificate was given out"
            );
        }
        self.direct(id, Directive::Enrolled { tag, result });
    }
}
