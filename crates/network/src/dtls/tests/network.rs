//! Handshakes over a network that loses, repeats and reorders, by seed.

use super::*;
use std::collections::HashSet;

/// xorshift: the same dice for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// What is on its way, of 30% that is lost, 20% that comes twice, and the rest in any order.
#[derive(Default)]
struct Way(Vec<Vec<u8>>);

impl Way {
    fn put(&mut self, dice: &mut Dice, datagram: Vec<u8>) {
        match dice.roll(10) {
            0..=2 => {}
            3..=4 => self.0.extend([datagram.clone(), datagram]),
            _ => self.0.push(datagram),
        }
    }

    fn take(&mut self, dice: &mut Dice) -> Option<Vec<u8>> {
        let left = u64::try_from(self.0.len()).unwrap();
        (left > 0).then(|| self.0.swap_remove(usize::try_from(dice.roll(left)).unwrap()))
    }
}

#[test]
fn a_handshake_survives_a_bad_network_and_nothing_is_heard_twice() {
    for seed in 1..=300 {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let (mut server, mut client) = (Server::new(), meter(1));
        let (mut north, mut south) = (Way::default(), Way::default());
        let (mut connected, mut heard, mut said) = (false, HashSet::new(), 0_u64);
        // A client begins anew when it has waited too long for one handshake.
        for second in 0..200_u32 {
            if !connected && second % 20 == 0 {
                client = meter(u8::try_from(second).unwrap());
            }
            let datagram = match connected {
                false => client.datagram(),
                true => {
                    said += 1;
                    client.seal(&said.to_be_bytes())
                }
            };
            north.put(&mut dice, datagram);
            let mut outputs = server.pass(Duration::from_secs(1));
            loop {
                for output in outputs.drain(..) {
                    match output {
                        Said::Datagram(bytes) => south.put(&mut dice, bytes),
                        Said::Plain(_, bytes) => assert!(heard.insert(bytes), "seed {seed}: heard twice"),
                        _ => {}
                    }
                }
                if let Some(mut bytes) = south.take(&mut dice) {
                    match client.handle_datagram(&mut bytes) {
                        Heard::Answer => north.put(&mut dice, client.datagram()),
                        Heard::Connected => connected = true,
                        _ => {}
                    }
                    // Some of it arrives much later.
                    if dice.roll(8) == 0 {
                        break;
                    }
                }
                let Some(bytes) = north.take(&mut dice) else { break };
                outputs = server.hear(peer(1), &bytes);
            }
            if heard.len() >= 20 {
                break;
            }
        }
        assert!(connected && heard.len() >= 20, "seed {seed}: connected: {connected}, heard {}", heard.len());
    }
}
