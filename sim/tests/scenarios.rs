//! Scenarios with a name: what an operator fears, played with a fleet.

use std::time::Duration;
use windrose_event::{Assurance, Filter};
use windrose_protocol::mqtt::ReasonCode;
use windrose_protocol::mqtt::codec::Version;
use windrose_sim::client::{Client, Message, Profile};
use windrose_sim::document::Document;
use windrose_sim::link::Weather;
use windrose_sim::oracle::Topic;
use windrose_sim::service::Mood;
use windrose_sim::trace::ClientId;
use windrose_sim::world::{Conditions, World};
use windrose_sim::{Ending, Scenario};

/// A network as it is between a device and its operator.
const WEATHER: Weather = Weather { latency: 5_000, fragments: true, capacity: 4_096 };

/// A device that publishes `messages` events on its own topic, of both versions in turn.
fn device(id: usize, messages: usize, pace: u64) -> Profile {
    Profile {
        id: ClientId(id as u16),
        version: if id.is_multiple_of(2) { Version::V3 } else { Version::V5 },
        lasting: true,
        expires: None,
        receive_maximum: 10,
        window: 4,
        keep_alive: 10,
        subscriptions: Vec::new(),
        group: None,
        shard: None,
        messages: vec![Message { topic: id, poison: false, size: 40, retain: false }; messages],
        pace,
        acknowledges_within: 0,
        reconnects_within: 100_000,
        reads_every: 0,
    }
}

/// A subscriber of everything.
fn subscriber(id: usize, qos: Assurance) -> Profile {
    Profile { subscriptions: vec![(Filter::new("#").expect("a filter"), qos)], ..device(id, 0, 0) }
}

/// A node of two shards and its fleet: clients that publish do so on `prefix/ID`.
fn fleet(prefix: &str, qos: Assurance, clients: Vec<Profile>) -> Scenario {
    let topics = clients.iter().map(|client| Topic {
        name: format!("{prefix}/{}", client.id.name()),
        sender: client.id,
        qos,
        delivered: prefix == "d",
    });
    Scenario {
        seed: 7,
        shards: 2,
        documents: vec![Document::default()],
        topics: topics.collect(),
        conditions: Conditions {
            weather: WEATHER,
            shard_latency: 500,
            lookup_latency: 1_000,
            ..Conditions::calm()
        },
        clients,
        chaos: Duration::ZERO,
        ending: Ending::InPeace,
    }
}

fn kept(world: &World) {
    if let Err(failure) = world.report(0, false) {
        panic!("{failure}");
    }
}

#[test]
fn ten_seconds_of_503_lose_nothing_and_traffic_resumes_within_two() {
    let devices: Vec<Profile> = (0..40).map(|id| device(id, 200, 200_000)).collect();
    let document = Document { deadline: 30_000, queue: 100, ..Document::default() };
    let scenario = fleet("d", Assurance::AtLeastOnce, devices);
    let mut world = Scenario { documents: vec![document], ..scenario }.begin();
    assert!(world.get_ready() && world.publish_for(Duration::from_secs(2)), "{:?}", world.oracle.violation);
    assert!(world.oracle.accepted() > 300, "{} accepted", world.oracle.accepted());
    world.set_mood(Mood::Failing);
    assert!(world.pass(Duration::from_secs(10)));
    let before = world.oracle.accepted();
    world.set_mood(Mood::Well);
    let until = world.now() + Duration::from_secs(2);
    assert!(
        world.run(until, |world| world.oracle.accepted() > before + 40),
        "traffic did not resume in time"
    );
    let _ = world.settle() && world.shut_down();
    kept(&world);
    assert_eq!(world.oracle.publications.len(), world.oracle.accepted(), "each once: none was given up");
}

#[test]
fn reloads_amid_traffic_lose_no_event_and_drop_no_connection() {
    let mut clients: Vec<Profile> = (0..10).map(|id| device(id, 200, 20_000)).collect();
    clients.push(subscriber(10, Assurance::AtLeastOnce));
    let documents = vec![
        Document::default(),
        Document { members: vec![1, 2], idle_routes: 2, queue: 50, ..Document::default() },
        Document {
            members: vec![3],
            batch: 10,
            max_in_flight: 2,
            session_in_flight: 3,
            ..Document::default()
        },
    ];
    let scenario = Scenario { documents, ..fleet("d", Assurance::ExactlyOnce, clients) };
    let mut world = scenario.begin();
    assert!(
        world.get_ready() && world.publish_for(Duration::from_millis(100)),
        "{:?}",
        world.oracle.violation
    );
    for turn in 1..60 {
        world.put_in_force(turn % 3);
        assert!(world.pass(Duration::from_millis(50)), "{:?}", world.oracle.violation);
    }
    let _ = world.settle() && world.shut_down();
    kept(&world);
    let report = world.report(0, false).expect("kept");
    assert_eq!((report.publications, report.connections), (2_000, 11), "nobody had to connect again");
    assert_eq!(report.deliveries, 2_000);
}

#[test]
fn sessions_that_change_shards_all_the_time_lose_nothing() {
    let mut clients: Vec<Profile> = (0..6).map(|id| device(id, 100, 40_000)).collect();
    clients.extend((6..9).map(|id| subscriber(id, Assurance::ExactlyOnce)));
    let conditions = Conditions {
        weather: WEATHER,
        shard_latency: 2_000,
        lookup_latency: 2_000,
        fault_every: 10_000,
        cuts: 100,
        ..Conditions::calm()
    };
    for qos in [Assurance::AtLeastOnce, Assurance::ExactlyOnce] {
        let clients: Vec<Profile> =
            clients.iter().map(|client| Profile { reconnects_within: 5_000, ..client.clone() }).collect();
        let scenario = fleet("e", qos, clients);
        let scenario =
            Scenario { shards: 4, conditions: conditions.clone(), chaos: Duration::from_secs(5), ..scenario };
        let report = scenario.play(false).unwrap_or_else(|failure| panic!("{failure}"));
        assert!(report.connections > 200, "{} connections", report.connections);
        assert!(report.deliveries >= 1_800, "{} deliveries", report.deliveries);
    }
}

#[test]
fn sessions_that_end_while_their_clients_return_promise_nothing_and_break_nothing() {
    let expires = |client: Profile| Profile {
        version: Version::V5,
        expires: Some(Duration::from_secs(2)),
        reconnects_within: 4_000_000,
        ..client
    };
    let mut clients: Vec<Profile> = (0..6).map(|id| expires(device(id, 200, 50_000))).collect();
    clients.extend((6..9).map(|id| expires(subscriber(id, Assurance::ExactlyOnce))));
    clients.push(subscriber(9, Assurance::ExactlyOnce));
    let conditions = Conditions {
        weather: WEATHER,
        shard_latency: 2_000,
        lookup_latency: 2_000,
        fault_every: 100_000,
        cuts: 100,
        ..Conditions::calm()
    };
    for qos in [Assurance::AtLeastOnce, Assurance::ExactlyOnce] {
        let scenario = fleet("e", qos, clients.clone());
        let mut world = Scenario { shards: 4, conditions: conditions.clone(), ..scenario }.begin();
        let lived = world.get_ready() && world.publish_for(Duration::from_secs(60));
        let _ = lived && world.settle() && world.shut_down();
        kept(&world);
        let report = world.report(0, false).expect("kept");
        let ended = world.oracle.sessions_ended;
        assert!(ended > 20 && report.connections > 100, "{ended} ended, {} connections", report.connections);
        assert!((ended as usize) < report.connections / 2, "{ended} ended: others were taken up again");
    }
}

#[test]
fn a_node_with_a_journal_may_be_killed_over_and_over() {
    let mut clients: Vec<Profile> = (0..6).map(|id| device(id, 300, 5_000)).collect();
    clients.extend((6..9).map(|id| subscriber(id, Assurance::ExactlyOnce)));
    clients.push(subscriber(9, Assurance::AtLeastOnce));
    let clients: Vec<Profile> =
        clients.into_iter().map(|client| Profile { reconnects_within: 20_000, ..client }).collect();
    for qos in [Assurance::AtLeastOnce, Assurance::ExactlyOnce] {
        let scenario = fleet("e", qos, clients.clone());
        let conditions = Conditions { journal: true, ..scenario.conditions.clone() };
        let mut world = Scenario { shards: 3, conditions, ..scenario }.begin();
        assert!(
            world.get_ready() && world.publish_for(Duration::from_millis(200)),
            "{:?}",
            world.oracle.violation
        );
        let until = world.now() + Duration::from_secs(10);
        assert!(world.crash_until(until, Duration::from_millis(130)), "{:?}", world.oracle.violation);
        let _ = world.settle() && world.shut_down();
        kept(&world);
        let report = world.report(0, false).expect("kept");
        assert_eq!(report.publications, 1_800);
        assert!(report.connections > 500, "{} connections", report.connections);
        let twice = report.deliveries.saturating_sub(4 * 1_800);
        assert!(report.deliveries >= 4 * 1_800, "{} deliveries", report.deliveries);
        assert!(
            qos == Assurance::AtLeastOnce || twice <= 1_800,
            "only at least once may something come again"
        );
    }
}

#[test]
fn a_subscriber_that_hardly_reads_is_bounded_and_disturbs_nobody() {
    let mut clients = vec![device(0, 3_000, 0), subscriber(1, Assurance::AtLeastOnce)];
    clients.push(Profile { reads_every: 200_000, ..subscriber(2, Assurance::AtMostOnce) });
    clients[0].messages.fill(Message { topic: 0, poison: false, size: 500, retain: false });
    let document = Document { session_queue_events: 100, ..Document::default() };
    let scenario = Scenario { documents: vec![document], ..fleet("e", Assurance::AtLeastOnce, clients) };
    let mut world = scenario.begin();
    assert!(world.get_ready() && world.publish_for(Duration::from_secs(60)), "{:?}", world.oracle.violation);
    assert!(world.clients.iter().all(Client::is_done), "the publisher was held up");
    let _ = world.settle() && world.shut_down();
    kept(&world);
    let delivered = world.oracle.delivered_to(ClientId(1));
    assert_eq!(delivered, 3_000, "the other subscriber got everything");
    let delivered = world.oracle.delivered_to(ClientId(2));
    assert!((1..3_000).contains(&delivered), "{delivered} deliveries to the slow one");
}

#[test]
fn a_shutdown_amid_traffic_keeps_its_promises_and_says_good_bye() {
    let devices: Vec<Profile> = (0..20).map(|id| device(id, 500, 10_000)).collect();
    let mut world = fleet("d", Assurance::AtLeastOnce, devices).begin();
    assert!(world.get_ready() && world.publish_for(Duration::from_secs(1)), "{:?}", world.oracle.violation);
    assert!(world.clients.iter().all(|client| !client.is_done()), "amid traffic");
    let start = world.now();
    let _ = world.shut_down();
    kept(&world);
    assert!(world.now().since(start) < Duration::from_secs(1), "nothing kept it");
    assert!(world.pass(Duration::from_secs(1)));
    for client in world.clients.iter().filter(|client| client.profile.version == Version::V5) {
        assert_eq!(client.dismissed, Some(ReasonCode::SERVER_SHUTTING_DOWN), "{}", client.profile.id.name());
    }
}
