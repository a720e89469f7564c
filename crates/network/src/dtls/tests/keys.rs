//! Keys that have to be looked for, and sessions that end because of whom they are of.

use super::*;
use windrose_event::Subject;

/// Leads a client to where its key is asked for.
fn ask(server: &mut Server, from: SocketAddr, client: &mut Client) -> KeyQuestion {
    for _ in 0..3 {
        for said in server.hear(from, &client.datagram()) {
            match said {
                Said::Datagram(mut bytes) => assert_eq!(client.handle_datagram(&mut bytes), Heard::Answer),
                Said::Asks(question, identity) => {
                    assert_eq!(&identity[..], b"meter-1");
                    return question;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    panic!("nobody asked");
}

fn answer(server: &mut Server, question: KeyQuestion, key: Option<&'static [u8]>) -> Vec<Said> {
    server.dtls.handle_key(server.now, question, key.map(Secret::new));
    server.drain()
}

#[test]
fn a_handshake_waits_for_its_key_and_goes_on() {
    let mut server = Server::slow();
    let mut client = meter(1);
    let question = ask(&mut server, peer(1), &mut client);
    // Whoever waits repeats itself: it is heard, and nothing is said or asked again.
    assert!(server.hear(peer(1), &client.datagram()).is_empty());
    assert!(server.pass(Duration::from_secs(5)).is_empty());
    let said = answer(&mut server, question, Some(KEY));
    let [Said::Datagram(flight), Said::Opened(session, claim)] = &said[..] else { panic!("{said:?}") };
    assert_eq!(claim.psk_identity.as_ref().unwrap().as_str(), "meter-1");
    assert_eq!(client.handle_datagram(&mut flight.clone()), Heard::Connected);
    let said = server.hear(peer(1), &client.seal(b"hello"));
    assert!(matches!(&said[..], [Said::Plain(id, bytes)] if id == session && bytes == b"hello"), "{said:?}");
    // The question is answered: a second answer is nobody's.
    assert!(answer(&mut server, question, Some(KEY)).is_empty());
}

#[test]
fn who_is_not_known_hears_what_a_wrong_key_hears() {
    let refused = |key: Option<&'static [u8]>| {
        let mut server = Server::slow();
        let question = ask(&mut server, peer(1), &mut meter(1));
        let said = answer(&mut server, question, key);
        let [Said::Datagram(alert), Said::Mishap("wrong_key")] = &said[..] else { panic!("{said:?}") };
        assert_eq!(server.dtls.half_open(), 0);
        alert.clone()
    };
    assert_eq!(refused(None), refused(Some(b"another key")));
}

#[test]
fn a_key_that_comes_too_late_opens_nothing() {
    let mut server = Server::slow();
    let question = ask(&mut server, peer(1), &mut meter(1));
    let said = server.pass(Duration::from_secs(11));
    assert!(matches!(&said[..], [Said::Mishap("handshake_timeout")]), "{said:?}");
    assert!(answer(&mut server, question, Some(KEY)).is_empty());
    // The same address began anew: the old answer is not for it.
    let (old, _) = (ask(&mut server, peer(1), &mut meter(2)), ());
    let new = ask(&mut server, peer(1), &mut meter(3));
    assert!(answer(&mut server, old, Some(KEY)).is_empty());
    assert_eq!(answer(&mut server, new, Some(KEY)).len(), 2);
}

#[test]
fn whoever_is_revoked_is_told_and_nobody_else() {
    let mut server = Server::new();
    let (mut one, mut two, mut three) = (meter(1), meter(2), meter(3));
    let device = |id: &str| Subject::Device(id.into());
    let owner = Subject::Owner("alice".into());
    let mut sessions = Vec::new();
    for (port, client) in (1..).zip([&mut one, &mut two, &mut three]) {
        sessions.push(server.connect(peer(port), client).unwrap());
    }
    server.dtls.recognise(sessions[0], &[device("meter-1"), owner.clone()]);
    server.dtls.recognise(sessions[1], &[device("meter-2"), owner.clone()]);
    server.dtls.revoke(&device("meter-9"));
    assert!(server.drain().is_empty());
    server.dtls.revoke(&device("meter-1"));
    let said = server.drain();
    let [Said::Datagram(bytes), Said::Closed(closed)] = &said[..] else { panic!("{said:?}") };
    assert_eq!((one.handle_datagram(&mut bytes.clone()), *closed), (Heard::Alert(0), sessions[0]));
    assert!(matches!(&server.hear(peer(1), &one.seal(b"too late"))[..], [Said::Mishap("no_session")]));
    server.dtls.revoke(&owner);
    assert!(matches!(&server.drain()[..], [Said::Datagram(_), Said::Closed(id)] if *id == sessions[1]));
    // Its place may be another's by now, who has nothing to do with it.
    let next = server.connect(peer(4), &mut meter(4)).unwrap();
    server.dtls.revoke(&device("meter-1"));
    server.dtls.revoke(&owner);
    assert!(server.drain().is_empty());
    assert!(matches!(&server.hear(peer(3), &three.seal(b"1"))[..], [Said::Plain(..)]) && next != sessions[0]);
    assert_eq!(server.dtls.counts().closed.get("revoked"), Some(&2));
}
