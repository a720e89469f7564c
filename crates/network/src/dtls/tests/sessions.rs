//! Sessions: what becomes of them, and what cannot happen to them.

use super::*;

#[test]
fn a_key_makes_a_session_with_every_suite_that_has_one() {
    for suite in [0xc0a8, 0xc0a4, 0x00a8, 0xccab] {
        for extended in [true, false] {
            let mut server = Server::new();
            let mut client = Client::new(suite, b"meter-1", KEY, [1; 32], extended).unwrap();
            let session = server.connect(peer(1), &mut client).unwrap();
            let said = server.hear(peer(1), &client.seal(b"hello"));
            assert!(
                matches!(&said[..], [Said::Plain(id, bytes)] if *id == session && bytes == b"hello"),
                "{said:?}"
            );
            let mut answer = server.seal(session, b"world");
            assert_eq!(client.handle_datagram(&mut answer), Heard::Plain(b"world".to_vec()));
            assert_eq!((server.dtls.sessions(), server.dtls.half_open()), (1, 0));
        }
    }
}

#[test]
fn a_session_tells_whose_key_it_has() {
    let mut server = Server::new();
    let mut client = meter(1);
    let mut said = server.hear(peer(1), &client.datagram());
    for _ in 0..2 {
        let Said::Datagram(bytes) = &mut said[0] else { panic!("{said:?}") };
        assert_eq!(client.handle_datagram(bytes), Heard::Answer);
        said = server.hear(peer(1), &client.datagram());
    }
    let [Said::Datagram(_), Said::Opened(_, claim)] = &said[..] else { panic!("{said:?}") };
    assert_eq!(claim.psk_identity.as_ref().unwrap().as_str(), "meter-1");
    assert_eq!((&*claim.listener, claim.peer), ("coaps", Some(peer(1))));
}

#[test]
fn a_wrong_key_and_an_unknown_identity_fail_alike() {
    let mut ends = Vec::new();
    for (identity, key) in
        [(&b"meter-1"[..], &b"another key of 1"[..]), (b"meter-2", KEY), (b"\xff\x00", KEY)]
    {
        let mut server = Server::new();
        let mut client = Client::new(CCM8, identity, key, [1; 32], true).unwrap();
        let end = server.connect(peer(1), &mut client).unwrap_err();
        let [Said::Datagram(bytes)] = &end[..] else { panic!("{end:?}") };
        assert_eq!(bytes[13..], [2, 51], "decrypt_error, as RFC 4279 §2 has it");
        assert_eq!(server.dtls.counts().failed.get("wrong_key"), Some(&1));
        assert_eq!((server.dtls.sessions(), server.dtls.half_open()), (0, 0));
        ends.push(bytes.clone());
    }
    assert!(ends.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_replayed_record_is_heard_once() {
    let mut server = Server::new();
    let mut client = meter(1);
    server.connect(peer(1), &mut client).unwrap();
    let (first, second) = (client.seal(b"1"), client.seal(b"2"));
    assert_eq!(server.hear(peer(1), &second).len(), 1, "one that overtakes is heard");
    assert_eq!(server.hear(peer(1), &first).len(), 1);
    for again in [&first, &second] {
        let said = server.hear(peer(1), again);
        assert!(matches!(&said[..], [Said::Mishap("not_genuine")]), "{said:?}");
    }
    assert_eq!(server.dtls.counts().dropped.get("not_genuine"), Some(&2));
}

#[test]
fn a_forger_cannot_end_a_session() {
    let mut server = Server::new();
    let mut client = meter(1);
    let session = server.connect(peer(1), &mut client).unwrap();
    let genuine = client.seal(b"1");
    let mut forged = genuine.clone();
    *forged.last_mut().unwrap() ^= 1;
    let alerts = [
        vec![21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40],
        vec![21, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0, 2, 1, 0],
    ];
    let hello = meter(2).datagram();
    for bytes in [forged, alerts[0].clone(), alerts[1].clone(), vec![22, 0xfe, 0xfd], vec![0; 40], hello] {
        let said = server.hear(peer(1), &bytes);
        assert!(!said.iter().any(|said| matches!(said, Said::Closed(_) | Said::Plain(..))), "{said:?}");
    }
    assert!(matches!(&server.hear(peer(1), &genuine)[..], [Said::Plain(id, _)] if *id == session));
}

#[test]
fn a_lost_last_flight_is_sent_again_and_forgotten_when_it_arrived() {
    let mut server = Server::new();
    let mut client = meter(1);
    let mut said = server.hear(peer(1), &client.datagram());
    for _ in 0..2 {
        let Said::Datagram(bytes) = &mut said[0] else { panic!("{said:?}") };
        client.handle_datagram(bytes);
        said = server.hear(peer(1), &client.datagram());
    }
    let [Said::Datagram(lost), Said::Opened(session, _)] = &said[..] else { panic!("{said:?}") };
    let again = server.hear(peer(1), &client.datagram());
    let [Said::Datagram(repeated)] = &again[..] else { panic!("{again:?}") };
    assert_ne!(repeated, lost, "no nonce is used twice");
    assert_eq!(client.handle_datagram(&mut repeated.clone()), Heard::Connected);
    assert!(matches!(&server.hear(peer(1), &client.seal(b"1"))[..], [Said::Plain(id, _)] if id == session));
}

#[test]
fn a_client_that_begins_anew_keeps_its_old_session_until_the_new_one_is_there() {
    let mut server = Server::new();
    let mut old = meter(1);
    let before = server.connect(peer(1), &mut old).unwrap();
    let mut new = meter(2);
    let mut said = server.hear(peer(1), &new.datagram());
    let Said::Datagram(bytes) = &mut said[0] else { panic!("{said:?}") };
    assert_eq!(new.handle_datagram(bytes), Heard::Answer);
    let mut said = server.hear(peer(1), &new.datagram());
    assert!(
        matches!(&server.hear(peer(1), &old.seal(b"still here"))[..], [Said::Plain(id, _)] if *id == before)
    );
    let Said::Datagram(bytes) = &mut said[0] else { panic!("{said:?}") };
    assert_eq!(new.handle_datagram(bytes), Heard::Answer);
    let said = server.hear(peer(1), &new.datagram());
    let [Said::Datagram(_), Said::Closed(closed), Said::Opened(after, _)] = &said[..] else {
        panic!("{said:?}")
    };
    assert!(*closed == before && *after != before);
    assert!(matches!(&server.hear(peer(1), &old.seal(b"too late"))[..], [Said::Mishap("not_genuine")]));
    assert_eq!(server.dtls.sessions(), 1);
    assert!(server.dtls.encrypt(before, b"to nobody", &mut Vec::new()).is_none());
}

#[test]
fn both_sides_say_goodbye() {
    let mut server = Server::new();
    let (mut one, mut two) = (meter(1), meter(2));
    let first = server.connect(peer(1), &mut one).unwrap();
    server.connect(peer(2), &mut two).unwrap();
    let said = server.hear(peer(1), &one.close());
    let [Said::Datagram(bytes), Said::Closed(closed)] = &said[..] else { panic!("{said:?}") };
    assert_eq!((one.handle_datagram(&mut bytes.clone()), *closed), (Heard::Alert(0), first));
    server.dtls.close_all();
    let said = server.drain();
    let [Said::Datagram(bytes), Said::Closed(_)] = &said[..] else { panic!("{said:?}") };
    assert_eq!(two.handle_datagram(&mut bytes.clone()), Heard::Alert(0));
    assert_eq!(server.dtls.sessions(), 0);
}

#[test]
fn an_idle_session_ends_and_a_live_one_does_not() {
    let mut server = Server::new();
    let (mut quiet, mut live) = (meter(1), meter(2));
    let ends = server.connect(peer(1), &mut quiet).unwrap();
    server.connect(peer(2), &mut live).unwrap();
    assert!(server.pass(Duration::from_secs(1800)).is_empty());
    server.hear(peer(2), &live.seal(b"1"));
    let said = server.pass(Duration::from_secs(1801));
    assert!(matches!(&said[..], [Said::Datagram(_), Said::Closed(id)] if *id == ends), "{said:?}");
    assert_eq!(server.pass(Duration::from_secs(1801)).len(), 2);
    assert_eq!((server.dtls.sessions(), server.dtls.next_timeout()), (0, None));
}

#[test]
fn there_are_no_more_sessions_than_allowed() {
    let mut server = Server::new();
    let mut clients: Vec<Client> = (1..=4).map(meter).collect();
    for (client, port) in clients.iter_mut().zip(1..=3) {
        server.connect(peer(port), client).unwrap();
    }
    assert!(server.connect(peer(4), &mut clients[3]).is_err());
    assert_eq!(server.dtls.counts().failed.get("sessions_full"), Some(&1));
    // One that is there may begin anew.
    server.connect(peer(1), &mut meter(9)).unwrap();
    // One that has been quiet for a while gives way, once the new one has proved itself.
    server.now = server.now.after(Duration::from_secs(59));
    server.hear(peer(2), &clients[1].seal(b"still here"));
    server.now = server.now.after(Duration::from_secs(2));
    assert!(
        server
            .connect(peer(4), &mut Client::new(CCM8, b"meter-1", b"another key of 1", [7; 32], true).unwrap())
            .is_err()
    );
    assert_eq!(server.dtls.counts().closed.get("crowded_out"), None);
    server.connect(peer(4), &mut meter(10)).unwrap();
    assert_eq!(server.dtls.counts().closed.get("crowded_out"), Some(&1));
    assert_eq!(server.dtls.sessions(), 3);
    assert!(matches!(&server.hear(peer(2), &clients[1].seal(b"still here"))[..], [Said::Plain(..)]));
}
