//! First words: what they cost, and what becomes of handshakes that go wrong.

use super::*;

/// The datagram that the machine answered with.
fn answer(said: &[Said]) -> Vec<u8> {
    match said {
        [Said::Datagram(bytes)] => bytes.clone(),
        _ => panic!("{said:?}"),
    }
}

#[test]
fn a_client_that_has_not_shown_its_address_is_not_remembered_and_sent_less_than_it_sent() {
    let mut server = Server::new();
    for port in 1..1000 {
        let hello = meter(1).datagram();
        assert!(answer(&server.hear(peer(port), &hello)).len() < hello.len());
    }
    let told = server.hear(peer(1), &meter(1).datagram());
    assert!(matches!(&told[..], [Said::Mishap("hello_storm"), Said::Datagram(_)]), "{told:?}");
    assert_eq!((server.dtls.half_open(), server.dtls.next_timeout()), (0, None));
    assert_eq!((server.dtls.counts().asked, server.dtls.counts().begun), (1000, 0));
}

#[test]
fn a_cookie_is_for_one_address_one_client_and_a_short_time() {
    let mut server = Server::new();
    let mut client = meter(1);
    let first = client.datagram();
    client.handle_datagram(&mut answer(&server.hear(peer(1), &first)));
    let hello = client.datagram();
    let begins = |server: &mut Server, from, hello: &[u8]| {
        let before = server.dtls.counts().begun;
        server.hear(from, hello);
        server.dtls.counts().begun > before
    };
    assert!(!begins(&mut server, peer(2), &hello), "another port");
    assert!(!begins(&mut server, SocketAddr::from(([127, 0, 0, 8], 1)), &hello), "another address");
    let mut other = hello.clone();
    other[13 + 12 + 2] ^= 1;
    assert!(!begins(&mut server, peer(1), &other), "another client");
    let mut other = hello.clone();
    let cookie = 13 + 12 + 2 + 32 + 2;
    other[cookie] ^= 1;
    assert!(!begins(&mut server, peer(1), &other), "another cookie");
    server.now = server.now.after(Duration::from_secs(61));
    assert!(!begins(&mut server, peer(1), &hello), "too late");
    assert!(begins(&mut Server::new(), peer(1), &hello), "another shard, with the node's key");
}

#[test]
fn a_hello_in_parts_is_dropped_and_counted() {
    let mut server = Server::new();
    let hello = meter(1).datagram();
    let mut part = hello[..13 + 12 + 10].to_vec();
    part[11..13].copy_from_slice(&22_u16.to_be_bytes());
    part[13 + 9..13 + 12].copy_from_slice(&[0, 0, 10]);
    let said = server.hear(peer(1), &part);
    assert!(matches!(&said[..], [Said::Mishap("fragmented_hello")]), "{said:?}");
    assert_eq!(server.dtls.counts().dropped.get("fragmented_hello"), Some(&1));
}

#[test]
fn the_oldest_handshake_goes_first_when_there_are_too_many() {
    let mut server = Server::new();
    let mut clients: Vec<Client> = (1..=5).map(meter).collect();
    let mut last = Vec::new();
    for (client, port) in clients.iter_mut().zip(1..) {
        let first = client.datagram();
        client.handle_datagram(&mut answer(&server.hear(peer(port), &first)));
        last = server.hear(peer(port), &client.datagram());
        server.now = server.now.after(Duration::from_millis(1));
    }
    assert!(matches!(&last[..], [Said::Datagram(_), Said::Mishap("crowded_out")]), "{last:?}");
    assert_eq!(server.dtls.half_open(), 4);
    let Said::Datagram(bytes) = &mut last[0] else { panic!() };
    assert_eq!(clients[4].handle_datagram(bytes), Heard::Answer);
    let said = server.hear(peer(5), &clients[4].datagram());
    assert!(matches!(&said[..], [Said::Datagram(_), Said::Opened(..)]), "{said:?}");
}

#[test]
fn an_unanswered_flight_is_sent_again_and_then_given_up() {
    let mut server = Server::new();
    let mut client = meter(1);
    let first = client.datagram();
    client.handle_datagram(&mut answer(&server.hear(peer(1), &first)));
    let hello = client.datagram();
    answer(&server.hear(peer(1), &hello));
    assert_eq!(server.pass(Duration::from_millis(999)).len(), 0);
    assert_eq!(server.pass(Duration::from_millis(2)).len(), 1);
    assert_eq!(server.pass(Duration::from_millis(2000)).len(), 1);
    // The client may ask for it too.
    assert_eq!(server.hear(peer(1), &hello).len(), 1);
    let said = server.pass(Duration::from_secs(10));
    assert!(matches!(said.last(), Some(Said::Mishap("handshake_timeout"))), "{said:?}");
    assert_eq!((server.dtls.half_open(), server.dtls.next_timeout()), (0, None));
}

#[test]
fn a_last_flight_in_any_order_of_its_records_is_understood() {
    let mut server = Server::new();
    let mut client = meter(1);
    let mut datagram = client.datagram();
    for _ in 0..2 {
        client.handle_datagram(&mut answer(&server.hear(peer(1), &datagram)));
        datagram = client.datagram();
    }
    let mut records = Vec::new();
    let mut rest = datagram.as_slice();
    while !rest.is_empty() {
        let length = 13 + usize::from(u16::from_be_bytes([rest[11], rest[12]]));
        let (record, after) = rest.split_at(length);
        records.push(record.to_vec());
        rest = after;
    }
    assert_eq!(records.len(), 3, "key exchange, change of keys, finished");
    assert!(server.hear(peer(1), &records[2]).is_empty());
    assert!(server.hear(peer(1), &records[1]).is_empty());
    let said = server.hear(peer(1), &records[0]);
    assert!(matches!(&said[..], [Said::Datagram(_), Said::Opened(..)]), "{said:?}");
}

#[test]
fn a_client_without_a_suite_of_ours_is_told() {
    let mut server = Server::new();
    let mut client = meter(1);
    let first = client.datagram();
    let suite = |bytes: &[u8]| bytes.windows(2).position(|pair| pair == [0xc0, 0xa8]).unwrap();
    let mut changed = first.clone();
    let at = suite(&changed);
    changed[at + 1] = 0x13;
    client.handle_datagram(&mut answer(&server.hear(peer(1), &changed)));
    let mut hello = client.datagram();
    let at = suite(&hello);
    hello[at + 1] = 0x13;
    let said = server.hear(peer(1), &hello);
    let [Said::Datagram(alert), Said::Mishap("no_common_suite")] = &said[..] else { panic!("{said:?}") };
    assert_eq!((alert[0], &alert[13..]), (21, &[2, 40][..]));
}

#[test]
fn records_that_belong_to_nothing_are_dropped_and_counted() {
    let mut server = Server::new();
    let record = |kind, epoch| vec![kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 1, 0, 3, 1, 2, 3];
    let all = [
        (record(25, 1), "connection_id"),
        (record(23, 1), "no_session"),
        (record(22, 1), "no_session"),
        (record(22, 0), "no_handshake"),
        (record(21, 0), "malformed"),
        (record(99, 0), "unexpected"),
        (record(23, 0), "unexpected"),
        (record(23, 7), "unexpected"),
        (b"GET / HTTP/1.1".to_vec(), "malformed"),
        (Vec::new(), "malformed"),
    ];
    for (bytes, cause) in all {
        let before = server.dtls.counts().dropped.get(cause).copied().unwrap_or_default();
        let said = server.hear(peer(1), &bytes);
        assert!(said.iter().all(|said| matches!(said, Said::Mishap(told) if *told == cause)), "{said:?}");
        assert_eq!(server.dtls.counts().dropped.get(cause), Some(&(before + 1)), "{bytes:?}");
    }
}

#[test]
fn a_handshake_that_somebody_changed_on_its_way_comes_to_nothing() {
    let mut server = Server::new();
    let mut client = meter(1);
    // Without the extended master secret both sides would have the same keys: only Finished tells.
    let strip = |mut hello: Vec<u8>| {
        let at = hello.windows(6).position(|bytes| bytes == [0, 23, 0, 0, 0, 35]).unwrap();
        hello[at + 1] = 99;
        hello
    };
    let first = strip(client.datagram());
    client.handle_datagram(&mut answer(&server.hear(peer(1), &first)));
    let second = strip(client.datagram());
    client.handle_datagram(&mut answer(&server.hear(peer(1), &second)));
    let said = server.hear(peer(1), &client.datagram());
    let [Said::Datagram(alert), Said::Mishap("wrong_finished")] = &said[..] else { panic!("{said:?}") };
    assert_eq!(alert[13..], [2, 51]);
    assert_eq!(server.dtls.sessions(), 0);
}
