//! Links between shards: batches of messages, in order, without a lock that another core holds.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use tokio::sync::mpsc::{self, error::TrySendError};
use windrose_engine::{ShardId, ShardMessage};

/// Batches under way between two shards. Events in them are bounded by `limits.shard_queue`, whatever this is.
const BATCHES: usize = 256;

type Batch = (ShardId, Vec<ShardMessage>);

/// Where a shard's messages arrive.
pub(crate) type Inbox = mpsc::Receiver<Batch>;

/// The sending end towards one other shard. A turn's messages leave as one batch.
#[derive(Clone)]
pub(crate) struct Link {
    sender: mpsc::Sender<Batch>,
    local: Rc<Local>,
}

#[derive(Default)]
struct Local {
    pending: RefCell<Vec<ShardMessage>>,
    /// A task waits for room and will send what is pending then.
    waiting: Cell<bool>,
}

/// The senders and the inbox of every shard of a node.
pub(crate) fn links(shards: u16) -> (Vec<mpsc::Sender<Batch>>, Vec<Inbox>) {
    (0..shards).map(|_| mpsc::channel(BATCHES)).unzip()
}

impl Link {
    pub(crate) fn new(sender: mpsc::Sender<Batch>) -> Self {
        Self { sender, local: Rc::default() }
    }

    /// Adds a message to this turn's batch.
    pub(crate) fn push(&self, message: ShardMessage) {
        self.local.pending.borrow_mut().push(message);
    }

    /// Whether nothing waits to be sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.local.pending.borrow().is_empty()
    }

    /// Whether [`Link::flush`] would send something now.
    pub(crate) fn wants_flush(&self) -> bool {
        !self.is_empty() && !self.local.waiting.get()
    }

    /// Sends the batch, or has it sent when there is room.
    pub(crate) fn flush(&self, from: ShardId) {
        if !self.wants_flush() {
            return;
        }
        let batch = self.local.pending.take();
        if let Err(TrySendError::Full((_, batch))) = self.sender.try_send((from, batch)) {
            *self.local.pending.borrow_mut() = batch;
            self.local.waiting.set(true);
            let link = self.clone();
            tokio::task::spawn_local(async move {
                // A closed channel means that the other shard has shut down: nobody is there to tell.
                if let Ok(permit) = link.sender.reserve().await {
                    permit.send((from, link.local.pending.take()));
                }
                link.local.waiting.set(false);
            });
        }
    }
}
