//! CONNECT, CONNACK, keep alive, good-byes.

use super::*;

#[test]
fn the_first_connection_clears_what_was_and_the_next_takes_up_the_session() {
    let mut link = Link::new(config(Version::V5));
    let connect = link.connected();
    assert!(connect.clean_start);
    let properties = *connect.properties.unwrap();
    assert_eq!(properties.session_expiry_interval, Some(3600));
    assert_eq!(properties.receive_maximum, Some(8));
    assert_eq!(properties.maximum_packet_size, Some(4_096));
    link.accept(false, Properties::default());
    link.resume();
    assert!(matches!(link.outputs()[..], [_, ClientOutput::Opened { resumed: true }]));
}

#[test]
fn a_clean_session_of_3_1_1_is_followed_by_one_that_is_kept() {
    let mut link = Link::new(config(Version::V3));
    assert!(link.connected().clean_start);
    link.accept(false, Properties::default());
    assert!(matches!(link.read_one(), Packet::Disconnect(_)));
    assert!(matches!(link.outputs()[..], [ClientOutput::Close { problem: None }]));
    link.lose();
    link.connect();
    assert!(!link.connected().clean_start);
    link.accept(false, Properties::default());
    assert!(matches!(link.outputs()[..], [ClientOutput::Opened { resumed: false }]));
}

#[test]
fn a_refusal_says_why() {
    let mut link = Link::new(config(Version::V5));
    let reason_string = Some(Text::from_static("not you"));
    let properties = Some(Box::new(Properties { reason_string, ..Properties::default() }));
    link.send(Packet::Connack(Connack {
        session_present: false,
        code: ReasonCode::NOT_AUTHORIZED,
        properties,
    }));
    let problem = link.closed();
    assert!(problem.contains("0x87") && problem.contains("not you"), "{problem}");
}

#[test]
fn silence_is_asked_after_and_then_given_up() {
    let mut link = Link::open();
    link.read();
    link.wait(Duration::from_secs(29));
    assert!(link.read().is_empty());
    link.wait(Duration::from_secs(1));
    assert_eq!(link.read_one(), Packet::Pingreq);
    link.send(Packet::Pingresp);
    link.wait(Duration::from_secs(30));
    assert_eq!(link.read_one(), Packet::Pingreq);
    link.wait(Duration::from_secs(5));
    assert!(link.closed().contains("PINGREQ"));
}

#[test]
fn a_server_that_nobody_listens_to_is_not_silent() {
    let mut link = Link::open();
    link.read();
    link.client.set_paused(link.now, true);
    for _ in 0..3 {
        link.wait(Duration::from_secs(30));
        assert_eq!(link.read_one(), Packet::Pingreq, "it hears from us");
    }
    link.client.set_paused(link.now, false);
    link.wait(Duration::from_secs(29));
    assert!(link.read().is_empty() && link.outputs().is_empty());
    link.wait(Duration::from_secs(1));
    assert_eq!(link.read_one(), Packet::Pingreq);
    link.wait(Duration::from_secs(5));
    assert!(link.closed().contains("PINGREQ"));
}

#[test]
fn a_server_that_says_nothing_at_all_is_given_up() {
    let mut link = Link::new(config(Version::V5));
    link.wait(Duration::from_secs(5));
    assert!(link.closed().contains("CONNACK"));
}

#[test]
fn the_servers_keep_alive_is_heeded() {
    let properties = Properties { server_keep_alive: Some(10), ..Properties::default() };
    let mut link = Link::open_with(config(Version::V5), properties);
    link.wait(Duration::from_secs(10));
    assert_eq!(link.read_one(), Packet::Pingreq);
}

#[test]
fn a_goodbye_leaves_no_session_behind() {
    let mut link = Link::open();
    link.client.disconnect(link.now);
    link.drain();
    let Packet::Disconnect(disconnect) = link.read_one() else { panic!("no DISCONNECT") };
    assert_eq!(disconnect.properties.unwrap().session_expiry_interval, Some(0));
    link.closed();
}

#[test]
fn what_the_server_says_at_its_goodbye_is_told() {
    let mut link = Link::open();
    link.send(Packet::Disconnect(Disconnect { code: ReasonCode::SERVER_SHUTTING_DOWN, properties: None }));
    assert!(link.closed().contains("0x8b"));
}
