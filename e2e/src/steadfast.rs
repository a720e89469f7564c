//! Steadfast clients: publishers and subscribers that keep their side of their sessions over any number of broken
//! connections, as MQTT 3.1.1 §4.4 asks of them, and write down what they were promised and what they got.

use crate::mqtt::{Client, End, Options, Packet, packet, string};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a client that is to end waits for what is still on its way.
const PATIENCE: Duration = Duration::from_secs(30);

/// Publications on their way at once.
const WINDOW: usize = 20;

/// What a publisher was promised.
#[derive(Debug, Default)]
pub struct Promised {
    /// Numbers that were acknowledged.
    pub acknowledged: BTreeSet<u64>,
    /// Times that the server did not know the session any more.
    pub forgotten: usize,
}

/// A publisher of numbers, in order, on a topic.
#[derive(Debug)]
pub struct Publisher {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    thread: JoinHandle<Promised>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Sent,
    /// Exactly once: the server has it; the rest is forgetting the identifier.
    Released,
}

impl Publisher {
    /// Starts one, with a session of its own.
    pub fn start(address: SocketAddr, id: &str, topic: &str, qos: u8) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let count = Arc::new(AtomicUsize::new(0));
        let (id, topic) = (id.to_owned(), topic.to_owned());
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&count));
        let thread = std::thread::spawn(move || publish(address, &id, &topic, qos, &stopped, &counted));
        Self { stop, count, thread }
    }

    /// How many were acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Lets it send no more, and waits until all it sent is acknowledged.
    ///
    /// # Panics
    /// If that takes too long.
    pub fn finish(self) -> Promised {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the publisher finishes")
    }
}

fn options(id: &str) -> Options {
    Options::v3(id).persistent()
}

/// Connects as soon as the server is there.
fn reconnect(address: SocketAddr, options: &Options) -> (Client, bool) {
    let start = Instant::now();
    loop {
        if let Ok((client, present, 0, _)) = Client::try_connect(address, options) {
            return (client, present);
        }
        assert!(start.elapsed() < PATIENCE, "{} finds no server", options.id);
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn publish(
    address: SocketAddr,
    id: &str,
    topic: &str,
    qos: u8,
    stop: &AtomicBool,
    count: &AtomicUsize,
) -> Promised {
    let mut promised = Promised::default();
    let mut flight: VecDeque<(u16, u64, Stage)> = VecDeque::new();
    let (mut next, mut last_id) = (0u64, 0u16);
    let mut begun = false;
    let mut stopping: Option<Instant> = None;
    let bytes = |packet_id: u16, number: u64, again: bool| {
        let mut body = string(topic);
        body.extend(packet_id.to_be_bytes());
        body.extend(number.to_string().into_bytes());
        packet(0x30 | qos << 1 | u8::from(again) << 3, &body)
    };
    loop {
        let (mut client, present) = reconnect(address, &options(id));
        promised.forgotten += usize::from(begun && !present);
        begun = true;
        for (packet_id, number, stage) in &flight {
            client.send(&match stage {
                Stage::Sent => bytes(*packet_id, *number, true),
                Stage::Released => packet(0x62, &packet_id.to_be_bytes()),
            });
        }
        loop {
            let stopped = stop.load(Ordering::Relaxed);
            while !stopped && flight.len() < WINDOW {
                last_id = if last_id == u16::MAX { 1 } else { last_id + 1 };
                client.send(&bytes(last_id, next, false));
                flight.push_back((last_id, next, Stage::Sent));
                next += 1;
            }
            if stopped && flight.is_empty() {
                client.disconnect();
                return promised;
            }
            if stopped {
                let since = *stopping.get_or_insert_with(Instant::now);
                assert!(since.elapsed() < PATIENCE, "{id} waits in vain for {flight:?}");
            }
            match client.next(Duration::from_millis(200)) {
                Ok(Packet::Answer { kind, id: packet_id, .. }) => {
                    let Some(index) = flight.iter().position(|(known, ..)| *known == packet_id) else {
                        continue;
                    };
                    let (_, number, _) = flight[index];
                    if matches!(kind, 4 | 5) && promised.acknowledged.insert(number) {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    match kind {
                        5 => {
                            flight[index].2 = Stage::Released;
                            client.send(&packet(0x62, &packet_id.to_be_bytes()));
                        }
                        _ => drop(flight.remove(index)),
                    }
                }
                Ok(_) | Err(End::Timeout) => {}
                Err(End::Closed) => break,
            }
        }
    }
}

/// What a subscriber got.
#[derive(Debug, Default)]
pub struct Got {
    /// How often each number came, by topic.
    pub numbers: BTreeMap<String, BTreeMap<u64, usize>>,
    /// Times that the server did not know the session any more.
    pub forgotten: usize,
}

impl Got {
    /// Whether every one of these numbers came on a topic.
    pub fn has_all(&self, topic: &str, numbers: &BTreeSet<u64>) -> bool {
        let got = self.numbers.get(topic);
        numbers.iter().all(|number| got.is_some_and(|got| got.contains_key(number)))
    }

    /// Numbers of those that did not come on a topic.
    pub fn missing(&self, topic: &str, numbers: &BTreeSet<u64>) -> Vec<u64> {
        let got = self.numbers.get(topic);
        let missing = numbers.iter().filter(|number| !got.is_some_and(|got| got.contains_key(number)));
        missing.copied().collect()
    }

    /// Numbers that came more than once on a topic.
    pub fn repeated(&self, topic: &str) -> Vec<u64> {
        let got = self.numbers.get(topic).into_iter().flatten();
        got.filter(|(_, times)| **times > 1).map(|(number, _)| *number).collect()
    }
}

/// A subscriber with a session of its own.
#[derive(Debug)]
pub struct Subscriber {
    wanted: std::sync::mpsc::Sender<Vec<(String, BTreeSet<u64>)>>,
    thread: JoinHandle<Got>,
}

impl Subscriber {
    /// Starts one, and waits until it is subscribed.
    pub fn start(address: SocketAddr, id: &str, filter: &str, qos: u8) -> Self {
        let mut client = Client::connect(address, &options(id));
        client.subscribe(filter, qos);
        client.disconnect();
        Self::take_up(address, id)
    }

    /// Goes on with a session that was begun before.
    pub fn take_up(address: SocketAddr, id: &str) -> Self {
        let (wanted, wants) = std::sync::mpsc::channel();
        let id = id.to_owned();
        let thread = std::thread::spawn(move || subscribe(address, &id, &wants));
        Self { wanted, thread }
    }

    /// Waits until all these numbers came, by topic, or nothing comes any more.
    pub fn finish(self, wanted: Vec<(String, BTreeSet<u64>)>) -> Got {
        let _ = self.wanted.send(wanted);
        self.thread.join().expect("the subscriber finishes")
    }
}

fn subscribe(
    address: SocketAddr,
    id: &str,
    wants: &std::sync::mpsc::Receiver<Vec<(String, BTreeSet<u64>)>>,
) -> Got {
    let mut got = Got::default();
    // Identifiers of exactly-once deliveries that are not released (MQTT 3.1.1 §4.3.3): part of the client's session.
    let mut held: BTreeSet<u16> = BTreeSet::new();
    let mut wanted: Option<Vec<(String, BTreeSet<u64>)>> = None;
    let mut last = Instant::now();
    loop {
        let (mut client, present) = reconnect(address, &options(id));
        if !present {
            got.forgotten += 1;
            held.clear();
        }
        loop {
            // Looked at only in quiet moments: there may be very many numbers.
            if last.elapsed() > Duration::from_millis(200) {
                wanted = wants.try_recv().ok().or(wanted);
            }
            if let Some(wanted) = wanted.as_ref().filter(|_| last.elapsed() > Duration::from_millis(200)) {
                let complete = wanted.iter().all(|(topic, numbers)| got.has_all(topic, numbers));
                // A little longer, for what would come twice.
                let quiet = Duration::from_millis(if complete { 500 } else { 10_000 });
                if last.elapsed() > quiet && held.is_empty() || last.elapsed() > PATIENCE {
                    client.disconnect();
                    return got;
                }
            }
            match client.next(Duration::from_millis(100)) {
                Ok(Packet::Publish { topic, payload, qos, id: packet_id, .. }) => {
                    last = Instant::now();
                    let number = String::from_utf8_lossy(&payload).parse().unwrap_or(u64::MAX);
                    if qos < 2 || held.insert(packet_id) {
                        *got.numbers.entry(topic).or_default().entry(number).or_default() += 1;
                    }
                    match qos {
                        0 => {}
                        1 => client.send(&packet(0x40, &packet_id.to_be_bytes())),
                        _ => client.send(&packet(0x50, &packet_id.to_be_bytes())),
                    }
                }
                Ok(Packet::Answer { kind: 6, id: packet_id, .. }) => {
                    held.remove(&packet_id);
                    client.send(&packet(0x70, &packet_id.to_be_bytes()));
                }
                Ok(_) | Err(End::Timeout) => {}
                Err(End::Closed) => break,
            }
        }
    }
}
