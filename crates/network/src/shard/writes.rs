//! Writing late: what several reads of one turn of the runtime have for a connection leaves in one write.
//!
//! A subscriber gets events from many publishers, and a publisher gets many acknowledgements from a service's answers.
//! Written at once, each would be a system call of its own, and system calls are most of what an event costs.

use super::{Link, Shard};
use std::rc::Rc;
use windrose_event::{ConnectionId, Now};

/// So much for one connection is written at once: putting it off would only grow memory, and save nothing.
const AT_ONCE: usize = 64 * 1024;

impl Shard {
    /// Writes what waits for a connection at the end of this turn of the runtime, or now if it is much.
    pub(super) fn write_later(self: &Rc<Self>, now: Now, id: ConnectionId) {
        {
            let mut core = self.core.borrow_mut();
            let much = core.pump.transmit(id).is_some_and(|transmit| transmit.len() >= AT_ONCE);
            let Some(socket) = core.socket(id) else { return };
            if !much {
                if !socket.put_off {
                    socket.put_off = true;
                    self.put_off.borrow_mut().push(id);
                }
                self.writes.notify_one();
                return;
            }
        }
        self.flush(now, id);
    }

    /// Lets the batches for other shards leave at the end of this turn. One that waits for room leaves by itself: to ask for it
    /// again and again would keep the shard busy with nothing else.
    pub(super) fn send_later(&self) {
        if self.links.iter().flatten().any(Link::wants_flush) {
            self.writes.notify_one();
        }
    }

    /// Runs for as long as the shard does.
    pub(crate) async fn keep_writing(self: Rc<Self>) {
        let mut ids = Vec::new();
        loop {
            self.writes.notified().await;
            // Everybody who is ready has a turn first.
            tokio::task::yield_now().await;
            for link in self.links.iter().flatten() {
                link.flush(self.id);
            }
            let now = self.now();
            std::mem::swap(&mut ids, &mut *self.put_off.borrow_mut());
            for id in ids.drain(..) {
                if let Some(socket) = self.core.borrow_mut().socket(id) {
                    socket.put_off = false;
                }
                self.flush(now, id);
            }
            self.act(now);
        }
    }
}
