//! Deliveries to the client.

use super::Server;
use crate::mqtt::codec::write_publish;
use windrose_event::{Cause, Delivery, Intent, Now, Outcome, Tag};

impl Server {
    pub(super) fn deliver(&mut self, now: Now, delivery: &Delivery) {
        let maximum = self.maximum_packet_size as usize;
        let written = write_publish(&mut self.transmit, self.version, delivery, now.wall, maximum);
        if !written && delivery.tag != Tag::NONE {
            // Not sent, and done with all the same (MQTT 5 §3.1.2.11.4).
            let detail = "the packet, or one of its properties, is larger than the client can take";
            let outcome = Outcome::rejected_because(Cause::TooLarge, detail);
            self.intend(Intent::Settle { tag: delivery.tag, outcome });
        }
    }
}
