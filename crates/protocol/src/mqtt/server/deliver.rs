//! Deliveries to the client.

use super::Server;
use crate::mqtt::codec::{TopicAlias, write_publish};
use windrose_event::{Cause, Delivery, Intent, Now, Outcome};

impl Server {
    pub(super) fn deliver(&mut self, now: Now, delivery: &Delivery) {
        let maximum = self.maximum_packet_size as usize;
        if let Some(given) = &mut self.given {
            let alias = given.alias(&delivery.event.address);
            if write_publish(&mut self.transmit, self.version, delivery, alias, now.wall, maximum) {
                if let Some(TopicAlias::New(_)) = alias {
                    given.set(&delivery.event.address);
                }
                self.packets.sent += 1;
                return;
            }
        }
        if write_publish(&mut self.transmit, self.version, delivery, None, now.wall, maximum) {
            self.packets.sent += 1;
        } else {
            // Not sent, and done with all the same (MQTT 5 §3.1.2.11.4).
            let detail = "the packet is larger than the client takes, or MQTT cannot say what is in it";
            let outcome = Outcome::rejected_because(Cause::TooLarge, detail);
            self.intend(Intent::Settle { tag: delivery.tag, outcome });
        }
    }
}
