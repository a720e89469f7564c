#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::coap::codec::{Kind, OptionsBuf, option};
use std::collections::HashMap as Map;
use windrose_event::{
    Accepted, Address, Assurance, Cause, CloseReason, Details, EventId, Identity, Origin, Outcome, Publish,
    Rejection, Timestamp,
};
use windrose_event::{Refusal, RefusalCause};

fn remote(port: u16) -> Remote {
    Remote::udp(([127, 0, 0, 1], port).into())
}

/// Things, and what they wanted last.
struct Directory {
    things: Things,
    now: Now,
    answers: Map<u32, Response>,
    intents: Vec<(Lane, Intent)>,
    sent: Vec<(Remote, Token, Outgoing)>,
    lanes: Vec<Lane>,
}

impl Directory {
    fn new() -> Self {
        Self {
            things: Things::new(Arc::new(ServerConfig::new("coap")), 5),
            now: Now::default(),
            answers: Map::new(),
            intents: Vec::new(),
            sent: Vec::new(),
            lanes: Vec::new(),
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.things.poll_output() {
            match output {
                Output::Respond { ask, response } => {
                    assert!(self.answers.insert(ask, response).is_none(), "answered once");
                }
                Output::Send { remote, token, message, .. } => self.sent.push((remote, token, message)),
                Output::Forget { .. } => {}
                Output::Connect { lane, .. } => self.lanes.push(lane),
                Output::Intent { lane, intent } => {
                    assert!(self.lanes.contains(&lane));
                    self.intents.push((lane, intent));
                }
                Output::Disconnect { lane } => self.lanes.retain(|open| *open != lane),
            }
        }
    }

    /// A request: method, path and query, payload.
    fn ask(&mut self, ask: u32, from: Remote, code: Code, uri: &str, payload: &str) -> Option<Response> {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let mut options = OptionsBuf::default();
        path.split('/').for_each(|segment| options.insert(option::URI_PATH, segment.as_bytes()));
        if !payload.is_empty() {
            options.insert_uint(option::CONTENT_FORMAT, 40);
        }
        query
            .split('&')
            .filter(|part| !part.is_empty())
            .for_each(|part| options.insert(option::URI_QUERY, part.as_bytes()));
        let request = Request {
            code,
            token: b"t",
            options: options.as_options(),
            payload: payload.as_bytes(),
            confirmable: true,
        };
        assert!(Things::is_meant(&request), "{uri}");
        let claim = Claim { listener: "coap".into(), ..Claim::default() };
        self.things.handle_request(self.now, from, claim, ask, &request);
        self.drain();
        self.answers.get(&ask).cloned()
    }

    fn direct(&mut self, lane: Lane, directive: Directive) {
        self.things.handle_directive(self.now, lane, directive);
        self.drain();
    }

    fn accept(&mut self, lane: Lane) {
        let accepted = Accepted {
            resumed: false,
            session: "s".into(),
            assigned: true,
            keep: Duration::ZERO,
            window: 8,
            data: None,
        };
        self.direct(lane, Directive::Accept(Box::new(accepted)));
    }

    fn subscribed(&mut self, lane: Lane, results: Vec<Result<Assurance, Rejection>>) {
        self.direct(lane, Directive::Subscribed { tag: Tag(1), results });
    }

    /// Registers a thing with a valve and a lamp; returns its lane and location.
    fn register(&mut self, ask: u32, from: Remote, name: &str) -> (Lane, String) {
        assert_eq!(
            self.ask(ask, from, Code::POST, &format!("rd?ep={name}"), "</valve>;rt=\"v,w\",</a/lamp>"),
            None
        );
        let lane = *self.lanes.last().unwrap();
        self.accept(lane);
        self.subscribed(lane, vec![Ok(Assurance::AtLeastOnce); 2]);
        let created = self.answers.get(&ask).expect("it is answered").clone();
        assert_eq!(created.code, Code::CREATED, "{created:?}");
        let options = created.options.as_options();
        let location: Vec<_> = options
            .values(option::LOCATION_PATH)
            .map(|part| String::from_utf8(part.to_vec()).unwrap())
            .collect();
        (lane, location.join("/"))
    }

    fn deliver(&mut self, lane: Lane, tag: u16, number: u32, reply_to: Option<&str>) {
        let details = Details {
            reply_to: reply_to.map(|address| Address::new(address).unwrap()),
            correlation: Some("c".into()),
            content_type: Some("application/json".into()),
            headers: vec![("speed".into(), "1".into()), ("ce-type".into(), "x".into())],
            ..Details::default()
        };
        let event = Event {
            id: EventId::from_u128(1),
            time: Timestamp::default(),
            address: Address::new("devices/meter-1/valve").unwrap(),
            origin: Arc::new(Origin {
                identity: Identity::anonymous(),
                session: "asker".into(),
                protocol: "http",
                listener: "rest".into(),
            }),
            assurance: Assurance::AtLeastOnce,
            retain: false,
            expires: None,
            payload: "{}".into(),
            details: Some(Box::new(details)),
        };
        let delivery = Delivery {
            tag: Tag(tag),
            event: Arc::new(event),
            assurance: Assurance::AtLeastOnce,
            again: false,
            retain: false,
            subscriptions: [number].into_iter().collect(),
        };
        self.direct(lane, Directive::Deliver(delivery));
    }

    fn answer(&mut self, response: &Response) {
        let (remote, token, _) = self.sent.pop().expect("something was sent");
        assert!(self.things.knows(remote, &token));
        let message = Message {
            code: response.code,
            token: &token,
            options: response.options.as_options(),
            payload: &response.payload,
            ..Message::empty(Kind::Ack, 1)
        };
        self.things.handle_response(self.now, remote, &message);
        self.drain();
    }

    fn intents(&mut self) -> Vec<Intent> {
        std::mem::take(&mut self.intents).into_iter().map(|(_, intent)| intent).collect()
    }
}

#[test]
fn a_thing_is_registered_once_it_may_subscribe_to_its_resources() {
    let mut directory = Directory::new();
    directory.register(1, remote(9), "meter-1");
    match &directory.intents()[..] {
        [Intent::Open(open), Intent::Subscribe { requests, .. }] => {
            assert_eq!((open.protocol, &*open.claim.listener), ("coap", "coap"));
            let filters: Vec<_> = requests.iter().map(|request| request.filter.as_str()).collect();
            assert_eq!(filters, ["devices/meter-1/valve", "devices/meter-1/a/lamp"]);
            assert!(requests.iter().all(|request| request.own_copy && request.identifier.is_some()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_that_may_not_is_told_why_and_forgotten() {
    let mut directory = Directory::new();
    assert_eq!(directory.ask(1, remote(9), Code::POST, "rd?ep=meter-1", "</valve>"), None);
    let lane = directory.lanes[0];
    directory.accept(lane);
    let no = Rejection { cause: Cause::NotPermitted, detail: Some("not yours".into()) };
    directory.subscribed(lane, vec![Err(no)]);
    let answer = &directory.answers[&1];
    assert_eq!((answer.code, &answer.payload[..]), (Code::FORBIDDEN, &b"not yours"[..]));
    assert!(directory.lanes.is_empty() && directory.things.next_timeout().is_none());

    assert_eq!(directory.ask(2, remote(9), Code::POST, "rd?ep=meter-1", "</valve>"), None);
    let lane = directory.lanes[0];
    let refusal = Refusal { cause: RefusalCause::AnonymousDenied, detail: String::new() };
    directory.direct(lane, Directive::Refuse(refusal));
    assert_eq!(directory.answers[&2].code, Code::FORBIDDEN);
    assert!(directory.lanes.is_empty());
}

#[test]
fn a_delivery_is_a_post_to_the_resource_and_the_response_is_the_reply() {
    let mut directory = Directory::new();
    let (lane, _) = directory.register(1, remote(9), "meter-1");
    directory.intents();
    directory.deliver(lane, 4, 2, Some("$reply/0-1"));
    let (to, _, request) = directory.sent.last().unwrap();
    assert_eq!((*to, request.code, &request.payload[..]), (remote(9), Code::POST, &b"{}"[..]));
    let options = request.options.as_options();
    assert_eq!(options.values(option::URI_PATH).collect::<Vec<_>>(), [&b"a"[..], b"lamp"]);
    assert_eq!(options.values(option::URI_QUERY).collect::<Vec<_>>(), [b"speed=1"]);
    assert_eq!(options.uint(option::CONTENT_FORMAT), Some(50));
    directory.answer(&Response::diagnostic(Code::CONTENT, "on").with_uint(option::CONTENT_FORMAT, 0));
    match &directory.intents()[..] {
        [
            Intent::Publish(Publish { publication, .. }),
            Intent::Settle { tag: Tag(4), outcome: Outcome::Accepted },
        ] => {
            assert_eq!((publication.address.as_str(), &publication.payload[..]), ("$reply/0-1", &b"on"[..]));
            let details = publication.details.as_ref().unwrap();
            assert_eq!(details.correlation.as_deref(), Some(&b"c"[..]));
            assert_eq!(details.content_type.as_deref(), Some("text/plain; charset=utf-8"));
        }
        other => panic!("{other:?}"),
    }
    directory.deliver(lane, 5, 1, None);
    directory.answer(&Response::new(Code::CHANGED));
    assert!(matches!(&directory.intents()[..], [Intent::Settle { tag: Tag(5), outcome: Outcome::Accepted }]));
}

#[test]
fn what_a_thing_refuses_or_does_not_answer_is_declined() {
    let mut directory = Directory::new();
    let (lane, _) = directory.register(1, remote(9), "meter-1");
    directory.intents();
    directory.deliver(lane, 4, 1, Some("$reply/0-1"));
    directory.answer(&Response::diagnostic(Code::NOT_FOUND, "no valve"));
    match &directory.intents()[..] {
        [Intent::Decline { outcome: Outcome::Rejected(rejection), .. }, Intent::Settle { .. }] => {
            assert_eq!(rejection.detail.as_deref(), Some("CoAP 4.04 Not Found: no valve"));
        }
        other => panic!("{other:?}"),
    }
    directory.deliver(lane, 5, 1, Some("$reply/0-2"));
    directory.now.moment = directory.things.next_timeout().unwrap();
    directory.things.handle_timeout(directory.now);
    directory.drain();
    let declined = |intent: &Intent| matches!(intent, Intent::Decline { outcome: Outcome::TimedOut, .. });
    assert!(directory.intents().iter().any(declined));
    assert_eq!(directory.lanes.len(), 1, "it stays registered");
}

#[test]
fn a_thing_that_registers_anew_takes_the_place_of_its_former_self() {
    let mut directory = Directory::new();
    let (first, _) = directory.register(1, remote(9), "meter-1");
    let (second, _) = directory.register(2, remote(10), "meter-1");
    assert_eq!(directory.lanes, [second]);
    assert_ne!(first, second);
    directory.deliver(second, 1, 1, None);
    assert_eq!(directory.sent.last().unwrap().0, remote(10));
}

#[test]
fn a_registration_is_renewed_moved_removed_and_ends_by_itself() {
    let mut directory = Directory::new();
    let (lane, location) = directory.register(1, remote(9), "meter-1");
    assert_eq!(
        directory.ask(2, remote(11), Code::POST, &format!("{location}?lt=100"), "").unwrap().code,
        Code::CHANGED
    );
    assert_eq!(directory.things.next_timeout(), Some(directory.now.moment + Duration::from_secs(100)));
    directory.deliver(lane, 1, 1, None);
    assert_eq!(directory.sent.last().unwrap().0, remote(11), "it has another address now");
    let session = Remote::Session(SessionId(1));
    assert_eq!(directory.ask(3, session, Code::DELETE, &location, "").unwrap().code, Code::NOT_FOUND);
    assert_eq!(
        directory.ask(4, remote(11), Code::GET, &location, "").unwrap().code,
        Code::METHOD_NOT_ALLOWED
    );
    assert_eq!(directory.ask(5, remote(11), Code::DELETE, &location, "").unwrap().code, Code::DELETED);
    assert!(directory.lanes.is_empty());
    assert_eq!(directory.ask(6, remote(11), Code::POST, &location, "").unwrap().code, Code::NOT_FOUND);

    directory.register(7, remote(9), "meter-2");
    directory.now.moment = directory.things.next_timeout().unwrap();
    directory.things.handle_timeout(directory.now);
    directory.drain();
    assert!(directory.lanes.is_empty() && directory.things.next_timeout().is_none());

    let (_, location) = directory.register(8, session, "meter-3");
    assert_eq!(
        directory.ask(9, remote(9), Code::POST, &location, "").unwrap().code,
        Code::NOT_FOUND,
        "not its session"
    );
    directory.things.handle_session_end(directory.now, SessionId(1));
    directory.drain();
    assert!(directory.lanes.is_empty());

    let (lane, _) = directory.register(10, remote(9), "meter-4");
    directory.direct(lane, Directive::Close(CloseReason::ShuttingDown));
    assert!(directory.lanes.is_empty());
}

#[test]
fn a_thing_that_sends_no_links_is_asked_for_them() {
    let mut directory = Directory::new();
    let answer = directory.ask(1, remote(9), Code::POST, ".well-known/rd?ep=meter-1", "").unwrap();
    assert_eq!(answer.code, Code::CHANGED);
    let (to, _, request) = directory.sent.last().unwrap();
    let path: Vec<_> = request.options.as_options().values(option::URI_PATH).collect();
    assert_eq!((*to, request.code, path), (remote(9), Code::GET, vec![&b".well-known"[..], b"core"]));
    directory.answer(&Response::diagnostic(Code::CONTENT, "</.well-known/core>,</valve>;obs"));
    let lane = directory.lanes[0];
    directory.accept(lane);
    directory.subscribed(lane, vec![Ok(Assurance::AtLeastOnce)]);
    directory.deliver(lane, 1, 1, None);
    let (_, _, request) = directory.sent.last().unwrap();
    assert_eq!(request.options.as_options().get(option::URI_PATH), Some(&b"valve"[..]));

    directory.ask(2, remote(10), Code::POST, ".well-known/rd?ep=meter-2", "");
    directory.answer(&Response::new(Code::NOT_FOUND));
    assert_eq!(directory.lanes, [lane], "one that has no links is not registered");
}

#[test]
fn bad_registrations_are_told_what_is_wrong() {
    let mut directory = Directory::new();
    let long = format!("rd?ep={}", "x".repeat(64));
    for (ask, (uri, links)) in (0..).zip([
        ("rd?ep=", "</a>"),
        ("rd?ep=a/b", "</a>"),
        ("rd?ep=%2b&ep=+", "</a>;\""),
        ("rd?ep=#", "</a>"),
        (&long, "</a>"),
        ("rd?ep=a&lt=0", "</a>"),
        ("rd?ep=a&lt=x", "</a>"),
        ("rd?ep=a&base=coap://victim", "</a>"),
        ("rd?ep=a", "a"),
        ("rd?ep=a", "</a"),
        ("rd?ep=a", ""),
        ("rd?ep=a", "<coap://elsewhere/a>"),
        ("rd?ep=a", "</a>;title=\"open"),
        (".well-known/rd", ""),
    ]) {
        let answer = directory.ask(ask, remote(9), Code::POST, uri, links).expect("it is answered at once");
        assert_eq!(answer.code, Code::BAD_REQUEST, "{uri} {links}");
        assert!(!answer.payload.is_empty(), "{uri} {links}");
    }
    assert!(directory.lanes.is_empty() && directory.sent.is_empty());
}

#[test]
fn links_are_read_as_the_standard_writes_them() {
    let of = |text: &str| wish::resources(text);
    let paths = |paths: &[&str]| Some(paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>());
    assert_eq!(of(""), paths(&[]));
    assert_eq!(
        of(
            "</sensors/temp>;if=\"sensor\";title=\"a, \\\"b\\\" <x>\", </t%20x>;anchor=\"/sensors/temp\",</s?q=1>,</s>"
        ),
        paths(&["sensors/temp", "t x", "s"])
    );
    assert_eq!(of("<coap://other/x>,<//other/y>,</.well-known/core>,</a+b>,</#>"), paths(&[]));
    assert_eq!(of(&(0..64).map(|number| format!("</{number}>,")).collect::<String>()).unwrap().len(), 64);
    assert_eq!(of(&(0..65).map(|number| format!("</{number}>,")).collect::<String>()), None);
}

#[test]
fn an_endpoint_registers_only_so_many_things_and_makes_room_by_removing_them() {
    let mut directory = Directory::new();
    let most = ServerConfig::new("coap").observations_per_endpoint;
    let mut locations: Vec<_> =
        (0..most).map(|number| directory.register(number, remote(9), &format!("meter-{number}")).1).collect();
    let full = directory.ask(1_000, remote(9), Code::POST, "rd?ep=more", "</a>").unwrap();
    assert_eq!(full.code, Code::SERVICE_UNAVAILABLE);
    directory.register(1_001, remote(10), "other");
    let gone = locations.pop().unwrap();
    assert_eq!(directory.ask(1_002, remote(9), Code::DELETE, &gone, "").unwrap().code, Code::DELETED);
    directory.register(1_003, remote(9), "more");
}
