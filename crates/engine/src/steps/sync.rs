//! Sync: somebody who set a last value is told so when every shard has it, so that whoever it tells of that reads it,
//! whichever shard it reads on.

use crate::engine::Engine;
use crate::io::ShardMessage;
use windrose_event::{ConnectionId, Directive, Tag};

impl Engine {
    /// Tells a connection when all shards have what it published before: they take what they are sent in order.
    pub(crate) fn sync(&mut self, connection: ConnectionId, tag: Tag) {
        let others = self.shards.others().count();
        let answer = Directive::Synced { tag };
        if others == 0 {
            return self.direct(connection, answer);
        }
        let mark = self.grants.hold(connection, answer, others);
        for shard in self.shards.others() {
            self.tell(shard, ShardMessage::Mark(mark));
        }
    }
}
