//! A service that fails amid traffic: nothing that was acknowledged is missing, nothing is acknowledged too early, memory
//! stays flat, and traffic resumes as soon as the service does.

use std::time::{Duration, Instant};
use windrose_e2e::documents::open;
use windrose_e2e::fleet::{Fleet, Pace, assert_delivered, assert_undisturbed};
use windrose_e2e::wait::within;
use windrose_e2e::{Answer, Node, Sink};

/// How long the service answers 503.
const OUTAGE: Duration = Duration::from_secs(10);

/// How soon after its recovery traffic must flow again.
const RESUMED: Duration = Duration::from_secs(2);

/// How much memory the outage may cost, in bytes.
const GROWTH: u64 = 30 << 20;

const DOCUMENT: &str = r#"
pools:
  service: {protocol: http, members: ["http://127.0.0.1:${SINK}/events"], queue: 1000, max_in_flight: 64}
routes:
  - {name: telemetry, match: "devices/+/telemetry/#", deliver: {pool: service}, acknowledge: delivered, deadline: 60s}
"#;

const PACE: Pace = Pace { devices: 200, window: 16, pause: Duration::from_millis(200) };

#[test]
fn ten_seconds_of_503_amid_200_devices() {
    let sink = Sink::start();
    let node = Node::start_with(&sink, &open(DOCUMENT));
    let fleet = Fleet::start(node.mqtt(), PACE);
    within(Duration::from_secs(30), "steady traffic", || (fleet.acknowledged() >= 2_000).then_some(()));
    let before = (Instant::now(), fleet.acknowledged());
    std::thread::sleep(Duration::from_secs(2));
    let rate = (fleet.acknowledged() - before.1) as f64 / before.0.elapsed().as_secs_f64();
    let resident = node.resident_bytes();

    sink.answer(Answer::Status(503));
    let start = Instant::now();
    let mut most = resident;
    while start.elapsed() < OUTAGE {
        std::thread::sleep(Duration::from_millis(200));
        most = most.max(node.resident_bytes());
    }
    let held = fleet.acknowledged();
    sink.answer(Answer::OK);
    let recovered = Instant::now();
    // Traffic flows again when as much is acknowledged as a second of it was before.
    within(Duration::from_secs(30), "traffic after the recovery", || {
        (fleet.acknowledged() as f64 >= held as f64 + rate).then_some(())
    });
    let resumed = recovered.elapsed();
    most = most.max(node.resident_bytes());
    let reports = fleet.stop();

    let events: usize = reports.iter().map(|report| report.events.len()).sum();
    println!(
        "{events} events, {rate:.0}/s before the outage; memory {} KiB before, at most {} KiB; a second's traffic was \
         acknowledged {} ms after the recovery",
        resident / 1024,
        most / 1024,
        resumed.as_millis()
    );
    assert_undisturbed(&reports);
    assert_delivered(&reports, &sink.received());
    assert!(most - resident < GROWTH, "memory grew by {} KiB", (most - resident) / 1024);
    assert!(resumed <= RESUMED, "traffic resumed only after {resumed:?}");
    let attempts = sink.received().len() - events;
    println!("{attempts} attempts were answered 503");
}

/// Lets a service fail in some way amid less traffic, and checks what must hold.
fn outage(fail: impl FnOnce(&Sink), recover: impl FnOnce(&Sink)) {
    let sink = Sink::start();
    let node = Node::start_with(&sink, &open(&DOCUMENT.replace("queue:", "timeout: 1s, queue:")));
    let fleet =
        Fleet::start(node.mqtt(), Pace { devices: 20, window: 16, pause: Duration::from_millis(100) });
    within(Duration::from_secs(30), "steady traffic", || (fleet.acknowledged() >= 200).then_some(()));
    fail(&sink);
    std::thread::sleep(Duration::from_secs(4));
    let held = fleet.acknowledged();
    recover(&sink);
    let recovered = Instant::now();
    within(Duration::from_secs(30), "traffic after the recovery", || {
        (fleet.acknowledged() >= held + 200).then_some(())
    });
    let resumed = recovered.elapsed();
    let reports = fleet.stop();
    println!("200 events were acknowledged {} ms after the recovery", resumed.as_millis());
    assert_undisturbed(&reports);
    assert_delivered(&reports, &sink.received());
    assert!(resumed <= RESUMED, "traffic resumed only after {resumed:?}");
}

#[test]
fn a_service_that_is_not_there() {
    outage(Sink::stop, Sink::restart);
}

#[test]
fn a_service_that_takes_requests_and_never_answers() {
    outage(|sink| sink.answer(Answer::Never), |sink| sink.answer(Answer::OK));
}
