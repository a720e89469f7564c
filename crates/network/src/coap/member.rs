//! One member of a pool that speaks CoAP, as one shard speaks to it.

use super::peer::Peer;
use crate::Clock;
use crate::notice::Notice;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use windrose_engine::{Answer, Reply};
use windrose_event::Event;
use windrose_policy::{Member, Pool};
use windrose_protocol::coap::client::{ClientConfig, Target, outcome, publication};
use windrose_protocol::coap::codec::option;
use windrose_protocol::coap::{Response, format};

/// A member.
pub(super) struct ServiceMember {
    pool: Arc<str>,
    url: Arc<str>,
    target: Target,
    peer: Peer,
    notice: Notice,
}

impl ServiceMember {
    pub(super) fn new(
        clock: Clock,
        node: &Arc<str>,
        pool: &Pool,
        member: &Member,
        payload_bytes: u32,
    ) -> Rc<Self> {
        let config = ClientConfig { payload_bytes, in_flight: pool.max_in_flight };
        Rc::new(Self {
            pool: Arc::clone(&pool.name),
            url: Arc::clone(&member.url),
            target: Target::new(&member.host, &member.path, Arc::clone(node)),
            peer: Peer::new(Arc::clone(&member.host), member.port, clock, config),
            notice: Notice::default(),
        })
    }

    /// Sends an event. The answer is the response's, or that there will be none.
    pub(super) async fn send(&self, event: &Arc<Event>, limit: Duration) -> Answer {
        let result = self.peer.ask(publication(&self.target, event), limit).await;
        if let Err(failure) = &result
            && let Some(suppressed) = self.notice.admit()
        {
            tracing::warn!(pool = %self.pool, member = %self.url, suppressed, "no answer from a member: {failure}");
        }
        let outcome = outcome(&result);
        let reply = result.ok().filter(|response| outcome.is_accepted() && has_content(response)).map(reply);
        Answer { outcome, reply }
    }
}

/// Whether a response says more than that the event was taken.
fn has_content(response: &Response) -> bool {
    !response.payload.is_empty() || response.options.as_options().has(option::CONTENT_FORMAT)
}

fn reply(response: Response) -> Reply {
    let number = response.options.as_options().uint(option::CONTENT_FORMAT);
    let content_type = number.and_then(|number| u16::try_from(number).ok()).map(format::media_type);
    Reply { content_type, payload: response.payload }
}
