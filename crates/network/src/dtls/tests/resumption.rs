//! Sessions that go on from a ticket.

use super::*;

#[test]
fn a_ticket_makes_a_session_in_one_exchange_less() {
    let mut server = Server::new();
    let mut first = meter(1);
    server.connect(peer(1), &mut first).unwrap();
    let mut again = first.resume([2; 32]).unwrap();
    // Another address, another shard of the node: the ticket is enough, after the cookie.
    let mut other = Server::new();
    let session = other.connect(peer(2), &mut again).unwrap();
    assert_eq!((other.dtls.counts().begun, other.dtls.counts().resumed), (1, 1));
    let said = other.hear(peer(2), &again.seal(b"hello"));
    assert!(matches!(&said[..], [Said::Plain(id, bytes)] if *id == session && bytes == b"hello"), "{said:?}");
    let mut answer = other.seal(session, b"world");
    assert_eq!(again.handle_datagram(&mut answer), Heard::Plain(b"world".to_vec()));
}

#[test]
fn a_resumed_session_is_its_identitys() {
    let mut server = Server::new();
    let mut first = meter(1);
    server.connect(peer(1), &mut first).unwrap();
    let mut again = first.resume([2; 32]).unwrap();
    let mut datagram = again.datagram();
    let mut claims = Vec::new();
    for _ in 0..3 {
        for said in server.hear(peer(2), &datagram) {
            match said {
                Said::Datagram(mut bytes) => drop(again.handle_datagram(&mut bytes)),
                Said::Opened(_, claim) => claims.push(claim.psk_identity.unwrap().as_str().to_owned()),
                other => panic!("{other:?}"),
            }
        }
        datagram = again.datagram();
    }
    assert_eq!(claims, ["meter-1"]);
}

#[test]
fn a_ticket_is_worth_nothing_once_the_key_has_changed_or_time_has_passed() {
    for (mut server, wait) in [(Server::with(b"another key of 1"), 0), (Server::new(), 25 * 3600)] {
        let mut issuer = Server::new();
        let mut first = meter(1);
        issuer.connect(peer(1), &mut first).unwrap();
        let mut again = first.resume([2; 32]).unwrap();
        server.now = server.now.after(Duration::from_secs(wait));
        let _ = server.connect(peer(1), &mut again);
        assert_eq!((server.dtls.counts().begun, server.dtls.counts().resumed), (1, 0));
        // A whole handshake took its place.
        assert_eq!(server.dtls.sessions(), usize::from(wait > 0));
    }
}

#[test]
fn a_forged_ticket_is_not_looked_at() {
    let mut server = Server::new();
    let mut first = meter(1);
    server.connect(peer(1), &mut first).unwrap();
    let mut again = first.resume([2; 32]).unwrap();
    let mut datagram = again.datagram();
    let last = datagram.len() - 1;
    datagram[last] ^= 1;
    let Said::Datagram(mut bytes) = server.hear(peer(2), &datagram).remove(0) else { panic!() };
    again.handle_datagram(&mut bytes);
    let mut datagram = again.datagram();
    let last = datagram.len() - 1;
    datagram[last] ^= 1;
    let said = server.hear(peer(2), &datagram);
    // A hello, and no Finished: the key has to be proved.
    let [Said::Datagram(flight)] = &said[..] else { panic!("{said:?}") };
    assert!(!flight.windows(5).any(|bytes| bytes == [20, 0xfe, 0xfd, 0, 0]), "no change of keys yet");
    assert_eq!(server.dtls.sessions(), 1);
}
