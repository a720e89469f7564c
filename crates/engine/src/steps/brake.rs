//! Brakes: connections that are not read from, because too much of theirs is unsettled or credit is gone.

use crate::brakes::Brake;
use crate::engine::Engine;
use crate::io::Output;
use windrose_event::ConnectionId;

impl Engine {
    /// Credit is gone: the connection that found it so waits for its turn.
    pub(crate) fn brake(&mut self, connection: Option<ConnectionId>, brake: Brake) {
        let Some(id) = connection else { return };
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.brakes.contains(&brake) {
            return;
        }
        connection.brakes.push(brake);
        match brake {
            Brake::Pool(key) => {
                if let Some(pool) = self.pools.get_mut(key) {
                    pool.braked_credit().wait(id);
                }
            }
            Brake::Shard(shard) => {
                if let Some(credit) = self.shards.credit_mut(shard) {
                    credit.wait(id);
                }
            }
            Brake::Keeper => {
                if let Some(gate) = &mut self.gate {
                    gate.wait(id);
                }
            }
        }
        self.refresh(id);
    }

    /// Credit is back: releases the next `count` that wait for it.
    pub(crate) fn release(&mut self, brake: Brake, count: usize) {
        let mut left = count;
        while left > 0 {
            let credit = match brake {
                Brake::Pool(key) => self.pools.get_mut(key).map(|pool| pool.braked_credit()),
                Brake::Shard(shard) => self.shards.credit_mut(shard),
                Brake::Keeper => None,
            };
            let Some(credit) = credit else { return };
            let Some(id) = credit.pop() else { return };
            let Some(connection) = self.connections.get_mut(id) else {
                credit.popped_gone();
                continue;
            };
            connection.brakes.retain(|waiting| *waiting != brake);
            left -= 1;
            self.refresh(id);
        }
    }

    /// A connection has one more unsettled publication. More than `limits.receive_maximum` and it is not read from:
    /// senders that know of that bound never come here.
    pub(crate) fn count_unsettled(&mut self, id: ConnectionId) {
        let most = u32::from(self.limits().receive_maximum);
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.unsettled += 1;
        if connection.unsettled > most && !connection.over_window {
            connection.over_window = true;
            self.refresh(id);
        }
    }

    /// A connection has one unsettled publication less.
    pub(crate) fn count_settled(&mut self, id: ConnectionId) {
        // Half of the window is let free before it is read from again, lest it be told so with each event.
        let few = u32::from(self.limits().receive_maximum / 2);
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.unsettled = connection.unsettled.saturating_sub(1);
        if connection.over_window && connection.unsettled <= few {
            connection.over_window = false;
            self.refresh(id);
        }
    }

    /// Tells the network whether to read from a connection, if that has changed.
    pub(crate) fn refresh(&mut self, id: ConnectionId) {
        let draining = self.draining;
        let Some(connection) = self.connections.get_mut(id) else { return };
        let pause = draining || connection.over_window || !connection.brakes.is_empty();
        if pause == connection.paused {
            return;
        }
        connection.paused = pause;
        if pause {
            self.counts.paused += 1;
            self.outputs.push_back(Output::Pause { connection: id });
        } else {
            self.counts.paused -= 1;
            self.outputs.push_back(Output::Resume { connection: id });
        }
    }
}
