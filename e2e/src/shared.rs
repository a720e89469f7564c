//! A node that many tests share, so that a suite of hundreds of them takes seconds.

use crate::Node;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The node of all tests that run at the moment. It is started by the first of them and ends with the last.
#[derive(Debug)]
pub struct Shared(Mutex<Weak<Node>>);

impl Shared {
    /// None runs yet.
    pub const fn new() -> Self {
        Self(Mutex::new(Weak::new()))
    }

    /// The node that runs, or a new one with this document.
    pub fn node(&self, document: &str) -> Arc<Node> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = shared.upgrade() {
            return node;
        }
        let node = Arc::new(Node::start(document));
        *shared = Arc::downgrade(&node);
        node
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self::new()
    }
}

/// A name that no other test of the process has: for a client, or the first level of a topic.
pub fn name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("n{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
