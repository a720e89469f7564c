//! Clients of the shard whose work is counted: they publish, subscribe and acknowledge as those of the load generator do.

use super::node::Node;
use crate::Result;
use crate::load::packet::{self, Packet};
use std::collections::HashMap;
use windrose_event::ConnectionId;

/// MQTT 3.1.1, as in the cases.
const LEVEL: u8 = 4;

/// Messages of one read, as in the cases.
const BATCH: usize = 16;

/// Connections that are ready in the same turn.
const READY: usize = 8;

/// Bytes of each payload.
const PAYLOAD: usize = 128;

/// Topics of one session with many subscriptions.
const FILLERS: usize = 1_000;

/// Who publishes to whom.
#[derive(Clone, Copy)]
pub(super) struct Traffic {
    /// QoS of publications and subscriptions.
    pub(super) qos: u8,
    /// Groups that have nothing to do with each other.
    pub(super) groups: usize,
    /// Publishers in each group.
    pub(super) publishers: usize,
    /// Subscribers in each group.
    pub(super) subscribers: usize,
    /// Messages of one read.
    pub(super) batch: usize,
    /// Subscriptions that never match, every other one with a wildcard.
    pub(super) others: usize,
    /// Other things come and go: with every round one subscribes to what is its own, which is not counted.
    pub(super) churn: bool,
    /// Everything goes to a service.
    pub(super) rest: bool,
}

impl Traffic {
    /// One publisher, one subscriber, QoS 0.
    pub(super) const PAIR: Self = Self {
        qos: 0,
        groups: 1,
        publishers: 1,
        subscribers: 1,
        batch: BATCH,
        others: 0,
        churn: false,
        rest: false,
    };

    /// Runs until at least so many messages were delivered and counted; says how many.
    pub(super) fn run(&self, units: u64) -> Result<u64> {
        let mut crowd = Crowd::new()?;
        crowd.subscribe_others(self.others)?;
        for group in 0..self.groups {
            let filter = format!("bench/{group}/+");
            for _ in 0..self.subscribers {
                let id = crowd.connect()?;
                crowd.tell(id, packet::subscribe(LEVEL, &filter, self.qos));
            }
            for number in 0..self.publishers {
                let id = crowd.connect()?;
                let root = if self.rest { "rest" } else { "bench" };
                let topic = format!("{root}/{group}/{number}");
                let (frame, id_at) = packet::publish(LEVEL, &topic, self.qos, &packet::payload(PAYLOAD));
                crowd.publishers.push(Publisher {
                    id,
                    frames: frame.repeat(self.batch),
                    length: frame.len(),
                    id_at,
                    next: 1,
                });
            }
        }
        // What only the first messages need is not counted.
        crowd.round()?;
        crowd.round()?;
        let before = crowd.delivered();
        crowd.node.counting = true;
        while crowd.delivered() < before + units {
            let so_far = crowd.delivered();
            if self.churn {
                crowd.churn()?;
            }
            crowd.round()?;
            if crowd.delivered() == so_far {
                return Err("nothing is delivered".into());
            }
        }
        Ok(crowd.delivered() - before)
    }
}

struct Publisher {
    id: ConnectionId,
    /// What it says in a turn: as many frames as it sends at once.
    frames: Vec<u8>,
    length: usize,
    id_at: Option<usize>,
    next: u16,
}

impl Publisher {
    fn batch(&mut self) -> Vec<u8> {
        let mut bytes = self.frames.clone();
        let Some(at) = self.id_at else { return bytes };
        for frame in bytes.chunks_mut(self.length) {
            if let Some(place) = frame.get_mut(at..at + 2) {
                place.copy_from_slice(&self.next.to_be_bytes());
            }
            self.next = self.next.checked_add(1).unwrap_or(1);
        }
        bytes
    }
}

/// All clients of a shard.
pub(super) struct Crowd {
    pub(super) node: Node,
    publishers: Vec<Publisher>,
    clients: u64,
    received: u64,
    /// What clients have to say in the next turn.
    replies: HashMap<ConnectionId, Vec<u8>>,
}

impl Crowd {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            node: Node::new()?,
            publishers: Vec::new(),
            clients: 0,
            received: 0,
            replies: HashMap::new(),
        })
    }

    /// A client connects and is welcomed.
    pub(super) fn connect(&mut self) -> Result<ConnectionId> {
        let id = self.node.accept();
        self.clients += 1;
        self.tell(id, packet::connect(LEVEL, &format!("counts-{}", self.clients), 3_600));
        let welcome = self.node.written.iter().any(|(to, bytes)| *to == id && bytes.starts_with(b"\x20\x02"));
        if welcome { Ok(id) } else { Err("a client is not let in".into()) }
    }

    /// A client says something in a turn of its own.
    pub(super) fn tell(&mut self, id: ConnectionId, bytes: Vec<u8>) {
        self.node.turn(&[(id, bytes)]);
    }

    fn subscribe_others(&mut self, others: usize) -> Result<()> {
        let mut session = None;
        for number in 0..others {
            if number % FILLERS == 0 {
                session = Some(self.connect()?);
            }
            let filter = super::filler(number);
            if let Some(id) = session {
                self.tell(id, packet::subscribe(LEVEL, &filter, 0));
            }
        }
        Ok(())
    }

    /// Another thing comes and subscribes.
    fn churn(&mut self) -> Result<()> {
        self.node.counting = false;
        let id = self.connect()?;
        self.tell(id, packet::subscribe(LEVEL, &format!("other/{}/#", self.clients), 0));
        self.node.counting = true;
        Ok(())
    }

    fn delivered(&self) -> u64 {
        self.received + self.node.served
    }

    /// Every publisher has its turn; what came in the turn before is acknowledged beside it.
    fn round(&mut self) -> Result<()> {
        let mut publishers = std::mem::take(&mut self.publishers);
        for ready in publishers.chunks_mut(READY) {
            let mut reads: Vec<_> = ready.iter_mut().map(|one| (one.id, one.batch())).collect();
            reads.extend(std::mem::take(&mut self.replies));
            self.node.turn(&reads);
            self.read()?;
        }
        self.publishers = publishers;
        Ok(())
    }

    /// Reads what was written to all clients.
    fn read(&mut self) -> Result<()> {
        for (id, bytes) in &self.node.written {
            let mut replies = Vec::new();
            let taken = packet::scan(bytes, |packet| {
                if let Packet::Publish(wanted) = packet {
                    self.received += 1;
                    replies.extend(wanted.map(packet::puback).into_iter().flatten());
                }
            })?;
            if taken != bytes.len() {
                return Err("a packet is cut".into());
            }
            if !replies.is_empty() {
                self.replies.entry(*id).or_default().extend(replies);
            }
        }
        Ok(())
    }
}
