//! The deadlines of a member's requests, without a timer for each of them.
//!
//! Nearly all requests are answered long before, and nearly all have the same limit. So one task sleeps until the earliest
//! deadline that it knows of, then looks through the connections, and sleeps until the earliest that it finds there.

use super::member::MemberClient;
use std::cell::Cell;
use std::rc::{Rc, Weak};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until};

/// When a member's requests have to be looked at.
pub(super) struct Deadlines {
    member: Weak<MemberClient>,
    /// What the task sleeps for; `None`: there is no task.
    armed: Cell<Option<Instant>>,
    earlier: Rc<Notify>,
}

impl Deadlines {
    pub(super) fn new(member: Weak<MemberClient>) -> Self {
        Self { member, armed: Cell::new(None), earlier: Rc::default() }
    }

    /// A request with that deadline is under way.
    pub(super) fn watch(&self, deadline: Instant) {
        match self.armed.get() {
            Some(armed) if armed <= deadline => {}
            Some(_) => {
                self.armed.set(Some(deadline));
                self.earlier.notify_one();
            }
            None => {
                self.armed.set(Some(deadline));
                spawn_local(run(self.member.clone(), deadline, Rc::clone(&self.earlier)));
            }
        }
    }
}

/// Lasts for as long as requests are under way.
async fn run(member: Weak<MemberClient>, mut deadline: Instant, earlier: Rc<Notify>) {
    loop {
        let woken = tokio::select! {
            () = sleep_until(deadline) => false,
            () = earlier.notified() => true,
        };
        // The member is gone, and with it all requests.
        let Some(member) = member.upgrade() else { return };
        let next = if woken { member.deadlines().armed.get() } else { member.expire(Instant::now()) };
        member.deadlines().armed.set(next);
        let Some(next) = next else { return };
        deadline = next;
    }
}
