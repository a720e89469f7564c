//! The shard's one timer: machines and engine name their next moment, and one sleep waits for the earliest.

use super::Shard;
use std::rc::Rc;

impl Shard {
    /// Wakes the timer's task when something is due before what it sleeps for.
    pub(super) fn rearm(&self) {
        let next = self.core.borrow().pump.next_timeout();
        let earlier = match (next, self.armed.get()) {
            (Some(next), Some(armed)) => next < armed,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if earlier {
            self.timer.notify_one();
        }
    }

    /// Runs for as long as the shard does.
    pub(crate) async fn keep_time(self: Rc<Self>) {
        loop {
            let next = self.core.borrow().pump.next_timeout();
            self.armed.set(next);
            match next {
                None => self.timer.notified().await,
                Some(moment) => {
                    let sleep = tokio::time::sleep_until(self.clock.instant(moment).into());
                    tokio::select! {
                        () = sleep => {
                            let now = self.now();
                            self.core.borrow_mut().pump.timeout(now);
                            self.act(now);
                        }
                        () = self.timer.notified() => {}
                    }
                }
            }
        }
    }
}
