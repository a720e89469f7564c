//! Many devices that publish QoS 1 all the time, and remember what became of each event.

use crate::mqtt::{Client, End, Options, Packet};
use crate::sink::Received;
use crate::wait::SOON;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What the devices do.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How many devices there are.
    pub devices: usize,
    /// How many events a device leaves unacknowledged before it waits.
    pub window: usize,
    /// How long a device waits between two events.
    pub pause: Duration,
}

/// The devices at work.
pub struct Fleet {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    devices: Vec<JoinHandle<Report>>,
}

/// What one device saw.
#[derive(Debug)]
pub struct Report {
    /// Its name.
    pub device: String,
    /// Its events, by payload; with when they were acknowledged and by which code.
    pub events: BTreeMap<String, Option<(Instant, u8)>>,
    /// How its connection ended before it was told to stop, if it did: the DISCONNECT's code if there was one.
    pub cut: Option<Option<u8>>,
}

impl Report {
    /// The payloads that were acknowledged as accepted (a code under 0x80).
    pub fn accepted(&self) -> impl Iterator<Item = (&str, Instant)> {
        self.events.iter().filter_map(|(payload, answer)| {
            answer.filter(|(_, code)| *code < 0x80).map(|(at, _)| (payload.as_str(), at))
        })
    }
}

impl Fleet {
    /// Starts MQTT 5 devices `device-0` and so on, each publishing `device-N/K` to `devices/device-N/telemetry`.
    pub fn start(address: SocketAddr, pace: Pace) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let start = |index| {
            let device = Device {
                name: format!("device-{index}"),
                pace,
                stop: Arc::clone(&stop),
                acknowledged: Arc::clone(&acknowledged),
                events: BTreeMap::new(),
                waiting: HashMap::new(),
            };
            let work = move || device.work(address);
            std::thread::Builder::new().stack_size(256 * 1024).spawn(work).expect("threads can be started")
        };
        let devices = (0..pace.devices).map(start).collect();
        Self { stop, acknowledged, devices }
    }

    /// Events acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Tells the devices to publish no more, to wait for what is not acknowledged yet, and to say good-bye.
    pub fn stop(self) -> Vec<Report> {
        self.stop.store(true, Ordering::Relaxed);
        self.join()
    }

    /// Waits until each device's connection has ended.
    pub fn join(self) -> Vec<Report> {
        self.devices.into_iter().map(|device| device.join().expect("a device does not fail")).collect()
    }
}

struct Device {
    name: String,
    pace: Pace,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    events: BTreeMap<String, Option<(Instant, u8)>>,
    /// Payloads by packet identifier.
    waiting: HashMap<u16, String>,
}

impl Device {
    fn work(mut self, address: SocketAddr) -> Report {
        let mut client = Client::connect(address, &Options::v5(&self.name));
        let topic = format!("devices/{}/telemetry", self.name);
        let mut next = Instant::now();
        let mut number = 0;
        let mut cut = None;
        let mut stopped: Option<Instant> = None;
        loop {
            if stopped.is_none() && self.stop.load(Ordering::Relaxed) {
                stopped = Some(Instant::now());
            }
            if stopped.is_some_and(|since| self.waiting.is_empty() || since.elapsed() > SOON * 2) {
                client.disconnect();
                break;
            }
            let now = Instant::now();
            let room = self.waiting.len() < self.pace.window;
            if stopped.is_none() && room && now >= next {
                let payload = format!("{}/{number}", self.name);
                number += 1;
                let id = client.publish_only(&topic, &payload, 1);
                self.events.insert(payload.clone(), None);
                self.waiting.insert(id, payload);
                // A device that was held up does not catch up: it goes on.
                next = (next + self.pace.pause).max(now);
            }
            let patience =
                if room { next.saturating_duration_since(Instant::now()) } else { self.pace.pause };
            match client.next(patience.max(Duration::from_millis(1))) {
                Ok(packet) => self.take(packet, &mut cut),
                Err(End::Timeout) => {}
                Err(End::Closed) => {
                    cut.get_or_insert(None);
                    break;
                }
            }
        }
        Report { device: self.name, events: self.events, cut }
    }

    fn take(&mut self, packet: Packet, cut: &mut Option<Option<u8>>) {
        match packet {
            Packet::Answer { kind: 4, id, code, .. } => {
                let payload = self.waiting.remove(&id).unwrap_or_else(|| panic!("PUBACK of nothing: {id}"));
                self.events.insert(payload, Some((Instant::now(), code)));
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Packet::Disconnect { code, .. } => *cut = Some(Some(code)),
            other => panic!("{} did not ask for {other:?}", self.name),
        }
    }
}

/// Checks the promise `delivered`: every accepted event was answered 2xx by the service, and before its sender heard so.
///
/// # Panics
/// If one was not.
pub fn assert_delivered(reports: &[Report], received: &[Received]) {
    let mut answered: HashMap<String, Instant> = HashMap::new();
    for received in received.iter().filter(|received| received.accepted()) {
        let Some((at, _)) = received.answered else { continue };
        answered.entry(received.text()).and_modify(|first| *first = at.min(*first)).or_insert(at);
    }
    let mut missing = BTreeSet::new();
    for (payload, acknowledged) in reports.iter().flat_map(Report::accepted) {
        match answered.get(payload) {
            None => drop(missing.insert(payload)),
            Some(at) => assert!(*at <= acknowledged, "{payload} was acknowledged before its 2xx"),
        }
    }
    assert!(
        missing.is_empty(),
        "{} acknowledged events are missing at the service: {missing:?}",
        missing.len()
    );
}

/// Checks that nothing was lost: every event was acknowledged as accepted, and no connection was cut.
///
/// # Panics
/// If one was not.
pub fn assert_undisturbed(reports: &[Report]) {
    for report in reports {
        assert_eq!(report.cut, None, "{} was disconnected", report.device);
        let bad: Vec<_> =
            report.events.iter().filter(|(_, answer)| answer.is_none_or(|(_, code)| code >= 0x80)).collect();
        assert!(bad.is_empty(), "events of {} were not accepted: {bad:?}", report.device);
    }
}
