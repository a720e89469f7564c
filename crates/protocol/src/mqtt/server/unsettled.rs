//! Publications of the client whose acknowledgement is due, or half done (MQTT 5 §4.3.2, §4.3.3).

use std::collections::{BTreeMap, VecDeque};

/// All of them. Finding one costs next to nothing however many there are: a client of 3.1.1, which has no Receive
/// Maximum, may leave 65,535 handshakes half done, and nobody else on its shard must wait for that.
#[derive(Default)]
pub(super) struct Unsettled {
    /// Made when the first is due: many clients only listen.
    owed: Option<Box<Owed>>,
}

#[derive(Default)]
struct Owed {
    /// QoS 1: PUBACK is due, for most in the order in which they came.
    pubacks: VecDeque<u16>,
    /// QoS 2, by packet identifier.
    handshakes: BTreeMap<u16, Handshake>,
}

/// A publication of QoS 2.
pub(super) struct Handshake {
    /// Whether PUBREC is sent and PUBREL awaited.
    pub(super) received: bool,
    /// Whether it came a second time on this connection.
    pub(super) again: bool,
    /// The payload's length, which tells what is sent again from what is sent under a used identifier.
    pub(super) length: u32,
}

impl Unsettled {
    /// Publications that count towards Receive Maximum (MQTT 5 §3.3.4).
    pub(super) fn len(&self) -> usize {
        self.owed.as_ref().map_or(0, |owed| owed.pubacks.len() + owed.handshakes.len())
    }

    /// A publication of QoS 1 came.
    pub(super) fn owe_puback(&mut self, id: u16) {
        self.owed.get_or_insert_default().pubacks.push_back(id);
    }

    /// A publication of QoS 2 came.
    pub(super) fn owe_pubrec(&mut self, id: u16, length: u32) {
        let handshake = Handshake { received: false, again: false, length };
        self.owed.get_or_insert_default().handshakes.insert(id, handshake);
    }

    /// The handshake that has this identifier.
    pub(super) fn handshake(&mut self, id: u16) -> Option<&mut Handshake> {
        self.owed.as_mut()?.handshakes.get_mut(&id)
    }

    /// Takes out the publication of QoS 1 that has this identifier. `false`: there is none.
    pub(super) fn take_puback(&mut self, id: u16) -> bool {
        let Some(Owed { pubacks, .. }) = self.owed.as_deref_mut() else { return false };
        if pubacks.front() == Some(&id) {
            pubacks.pop_front();
        } else {
            let Some(index) = pubacks.iter().position(|known| *known == id) else { return false };
            pubacks.remove(index);
        }
        // A sender of one at a time keeps its few bytes; memory of a burst is given back.
        if pubacks.is_empty() && pubacks.capacity() > 16 {
            *pubacks = VecDeque::new();
        }
        true
    }

    /// Ends a handshake.
    pub(super) fn end_handshake(&mut self, id: u16) {
        if let Some(owed) = &mut self.owed {
            owed.handshakes.remove(&id);
        }
    }

    /// Whether no memory is kept but for a few identifiers.
    #[cfg(test)]
    pub(super) fn is_small(&self) -> bool {
        self.owed.as_ref().is_none_or(|owed| owed.pubacks.capacity() <= 16 && owed.handshakes.is_empty())
    }
}
