//! Exchanges, queues and bindings: what is declared, what is declined, and which queues an event reaches, on one shard and
//! on several.

use crate::harness::{Node, Peer, Q1, open, payload, publication};
use windrose_event::{
    Arranged, Arrangement, Binding, Cause, DeclineCause, Declined, Destination, Details, Directive,
    ExchangeDeclaration, ExchangeKind, HeadersTest, Intent, Outcome, Publish, QueueDeclaration, QueueOptions,
    Tag, Text, address_of,
};

const EVERY: [u16; 3] = [1, 2, 3];

pub(crate) fn text(text: &str) -> Text {
    Text::from(text)
}

pub(crate) fn exchange(name: &str, kind: ExchangeKind) -> ExchangeDeclaration {
    ExchangeDeclaration {
        name: text(name),
        passive: false,
        kind,
        durable: false,
        auto_delete: false,
        internal: false,
        alternate: None,
    }
}

pub(crate) fn queue(name: &str) -> QueueDeclaration {
    QueueDeclaration { name: Some(text(name)), ..QueueDeclaration::default() }
}

pub(crate) fn binding(source: &str, key: &str, queue: &str) -> Binding {
    let destination = Destination::Queue(text(queue));
    Binding { source: text(source), destination, key: text(key), headers: None }
}

fn chain(source: &str, key: &str, exchange: &str) -> Binding {
    let destination = Destination::Exchange(text(exchange));
    Binding { source: text(source), destination, key: text(key), headers: None }
}

impl Node {
    /// A peer of AMQP at a shard.
    pub(crate) fn amqp(&mut self, shard: usize) -> Peer {
        let peer = self.open(shard, windrose_event::Open { protocol: "amqp", session: None, ..open("") });
        self.accepted(peer);
        peer
    }

    pub(crate) fn arrange(&mut self, peer: Peer, arrangement: Arrangement) -> Result<Arranged, Declined> {
        self.intent(peer, Intent::Arrange { tag: Tag(7), arrangement: Box::new(arrangement) });
        let answer = self.said(peer).into_iter().find_map(|directive| match directive {
            Directive::Arranged { tag: Tag(7), result } => Some(result),
            _ => None,
        });
        answer.expect("an answer")
    }

    pub(crate) fn declare(&mut self, peer: Peer, declaration: QueueDeclaration) -> Text {
        self.arrange(peer, Arrangement::DeclareQueue(declaration)).unwrap().queue
    }

    pub(crate) fn declare_exchange(&mut self, peer: Peer, name: &str, kind: ExchangeKind) {
        self.arrange(peer, Arrangement::DeclareExchange(exchange(name, kind))).unwrap();
    }

    pub(crate) fn bind(&mut self, peer: Peer, source: &str, key: &str, queue: &str) {
        self.arrange(peer, Arrangement::Bind(binding(source, key, queue))).unwrap();
    }

    fn declined(&mut self, peer: Peer, arrangement: Arrangement) -> (DeclineCause, String) {
        let declined = self.arrange(peer, arrangement).expect_err("it is declined");
        (declined.cause, declined.detail)
    }

    /// How many wait in a queue.
    pub(crate) fn waiting(&mut self, peer: Peer, name: &str) -> u32 {
        let declaration = QueueDeclaration { passive: true, ..queue(name) };
        self.arrange(peer, Arrangement::DeclareQueue(declaration)).unwrap().messages
    }

    /// Publishes to an exchange; what was answered.
    pub(crate) fn through(
        &mut self,
        peer: Peer,
        exchange: &str,
        key: &str,
        headers: &[(&str, &str)],
    ) -> (Outcome, bool) {
        let address = address_of(exchange, key).unwrap();
        let mut publication = publication(address.as_str(), key, Q1);
        if !headers.is_empty() {
            let headers = headers.iter().map(|(name, value)| (text(name), text(value))).collect();
            publication.details = Some(Box::new(Details { headers, ..Details::default() }));
        }
        let publish = Box::new(Publish { tag: Tag(9), again: false, publication });
        self.intent(peer, Intent::PublishThrough { exchange: text(exchange), publish });
        match self.settled(peer).as_slice() {
            [(9, outcome, heard)] => (outcome.clone(), *heard),
            other => panic!("not one answer: {other:?}"),
        }
    }

    fn heard(&mut self, peer: Peer, exchange: &str, key: &str) -> bool {
        let (outcome, heard) = self.through(peer, exchange, key, &[]);
        assert_eq!(outcome, Outcome::Accepted);
        heard
    }
}

#[test]
fn a_queue_hears_what_anybody_publishes_to_its_name() {
    for shards in EVERY {
        let mut node = Node::with_shards(shards, "");
        let last = usize::from(shards) - 1;
        let (one, other) = (node.amqp(last), node.amqp(0));
        assert_eq!(node.declare(one, queue("jobs.new")).as_str(), "jobs.new");
        assert!(node.heard(other, "", "jobs.new"));
        assert!(!node.heard(other, "", "jobs.old"));
        let thing = node.client_at(0, "thing");
        node.publish(thing, 1, "jobs/new", "from MQTT", Q1);
        assert_eq!(node.settled(thing), [(1, Outcome::Accepted, true)]);
        for peer in [one, other] {
            assert_eq!(node.waiting(peer, "jobs.new"), 2);
        }
        let purged = node.arrange(other, Arrangement::PurgeQueue { name: text("jobs.new") }).unwrap();
        assert_eq!(purged.messages, 2);
        node.heard(one, "", "jobs.new");
        let delete =
            |if_empty| Arrangement::DeleteQueue { name: text("jobs.new"), if_unused: false, if_empty };
        let (cause, detail) = node.declined(other, delete(true));
        assert_eq!(cause, DeclineCause::Precondition);
        assert_eq!(detail, "queue 'jobs.new' in vhost '/' not empty");
        assert_eq!(node.arrange(other, delete(false)).unwrap().messages, 1);
        assert!(!node.heard(one, "", "jobs.new"), "it is gone on all shards");
        assert_eq!(
            node.arrange(other, delete(false)),
            Ok(Arranged::default()),
            "whoever wants it gone has it"
        );
        let passive = QueueDeclaration { passive: true, ..queue("jobs.new") };
        let (cause, detail) = node.declined(one, Arrangement::DeclareQueue(passive));
        assert_eq!((cause, &*detail), (DeclineCause::NotFound, "no queue 'jobs.new' in vhost '/'"));
    }
}

#[test]
fn who_asked_is_answered_when_every_shard_knows() {
    let mut node = Node::with_shards(3, "");
    let (one, other) = (node.amqp(1), node.amqp(2));
    node.wires_held = true;
    let arrangement = Box::new(Arrangement::DeclareQueue(queue("q")));
    node.intent(one, Intent::Arrange { tag: Tag(1), arrangement });
    node.carry(1, 0);
    node.carry(0, 1);
    node.carry(1, 0);
    assert!(node.said(one).is_empty(), "the third shard does not know");
    node.carry(0, 2);
    node.carry(2, 0);
    node.carry(0, 1);
    assert!(matches!(node.said(one).as_slice(), [Directive::Arranged { result: Ok(_), .. }]));
    node.wires_held = false;
    assert!(node.heard(other, "", "q"));
}

#[test]
fn exchanges_of_each_kind_pick_the_queues_that_they_should() {
    for shards in EVERY {
        let mut node = Node::with_shards(shards, "");
        let last = usize::from(shards) - 1;
        let (peer, far) = (node.amqp(0), node.amqp(last));
        for name in ["a", "b", "c"] {
            node.declare(far, queue(name));
        }
        let counts = |node: &mut Node| {
            let counts = ["a", "b", "c"].map(|name| node.waiting(peer, name));
            for name in ["a", "b", "c"] {
                node.arrange(peer, Arrangement::PurgeQueue { name: text(name) }).unwrap();
            }
            counts
        };
        node.declare_exchange(peer, "direct", ExchangeKind::Direct);
        node.bind(peer, "direct", "x", "a");
        node.bind(peer, "direct", "x", "b");
        node.bind(peer, "direct", "y", "b");
        for (key, heard) in [("x", true), ("y", true), ("z", false)] {
            assert_eq!(node.heard(far, "direct", key), heard, "{key}");
        }
        assert_eq!(counts(&mut node), [1, 2, 0]);

        node.declare_exchange(peer, "fanout", ExchangeKind::Fanout);
        assert!(!node.heard(far, "fanout", ""));
        node.bind(peer, "fanout", "whatever", "a");
        node.bind(peer, "fanout", "", "c");
        assert!(node.heard(far, "fanout", ""));
        assert!(node.heard(far, "fanout", "x.y"));
        assert_eq!(counts(&mut node), [2, 0, 2]);

        node.declare_exchange(peer, "topic", ExchangeKind::Topic);
        node.bind(peer, "topic", "*.orange.*", "a");
        node.bind(peer, "topic", "lazy.#", "b");
        node.bind(peer, "topic", "*.*.rabbit", "b");
        node.bind(peer, "topic", "a.#.z", "c");
        node.bind(peer, "topic", "#.z", "c");
        for (key, expected) in [
            ("quick.orange.rabbit", [1, 1, 0]),
            ("lazy.orange.elephant", [1, 1, 0]),
            ("lazy.pink.rabbit", [0, 1, 0]),
            ("lazy", [0, 1, 0]),
            ("orange", [0, 0, 0]),
            ("quick.orange.new.rabbit", [0, 0, 0]),
            ("a.b.c.z", [0, 0, 1]),
            ("a.z.b", [0, 0, 0]),
        ] {
            for round in 0..2 {
                assert_eq!(node.heard(far, "topic", key), expected != [0, 0, 0], "{key}");
                assert_eq!(counts(&mut node), expected, "{key} in round {round}");
            }
        }
    }
}

#[test]
fn headers_are_looked_at_event_by_event() {
    for shards in EVERY {
        let mut node = Node::with_shards(shards, "");
        let (peer, far) = (node.amqp(0), node.amqp(usize::from(shards) - 1));
        node.declare(peer, queue("all"));
        node.declare(far, queue("any"));
        node.declare(far, queue("plain"));
        for (queue, any) in [("all", false), ("any", true)] {
            let wanted = vec![(text("a"), Some(text("1"))), (text("b"), None)];
            let headers = Some(HeadersTest { any, wanted });
            let bound = Binding { headers, ..binding("amq.headers", "", queue) };
            node.arrange(far, Arrangement::Bind(bound)).unwrap();
        }
        for (headers, all, any) in [
            (&[("a", "1"), ("b", "2")][..], true, true),
            (&[("a", "2"), ("b", "x")], false, true),
            (&[("a", "2")], false, false),
            (&[("a", "1")], false, true),
        ] {
            let before = [node.waiting(peer, "all"), node.waiting(peer, "any")];
            let (_, heard) = node.through(peer, "amq.headers", "same", headers);
            assert_eq!(heard, all || any, "{headers:?}");
            let after = [node.waiting(peer, "all"), node.waiting(peer, "any")];
            assert_eq!(after, [before[0] + u32::from(all), before[1] + u32::from(any)], "{headers:?}");
        }
    }
}

#[test]
fn exchanges_lead_to_exchanges_and_each_queue_gets_an_event_once() {
    for shards in EVERY {
        let mut node = Node::with_shards(shards, "");
        let (peer, far) = (node.amqp(0), node.amqp(usize::from(shards) - 1));
        for (name, kind) in
            [("in", ExchangeKind::Topic), ("mid", ExchangeKind::Fanout), ("out", ExchangeKind::Direct)]
        {
            node.declare_exchange(peer, name, kind);
        }
        node.declare(far, queue("q"));
        assert!(!node.heard(peer, "in", "a.b"));
        node.bind(peer, "out", "a.b", "q");
        for bound in [chain("in", "a.#", "mid"), chain("mid", "", "out"), chain("out", "a.b", "in")] {
            node.arrange(far, Arrangement::Bind(bound)).unwrap();
        }
        assert!(node.heard(peer, "in", "a.b"));
        assert!(!node.heard(peer, "in", "a.c"), "the last one asks for that key");
        assert!(!node.heard(peer, "in", "b"));
        assert_eq!(node.waiting(peer, "q"), 1);
        node.bind(peer, "in", "#", "q");
        assert!(node.heard(peer, "in", "a.b"), "a circle ends");
        assert_eq!(node.waiting(peer, "q"), 2, "by two ways, once");
        node.arrange(peer, Arrangement::Unbind(binding("in", "#", "q"))).unwrap();
        node.arrange(peer, Arrangement::Unbind(chain("mid", "", "out"))).unwrap();
        assert!(!node.heard(peer, "in", "a.b"));
        assert!(node.heard(peer, "out", "a.b"));
    }
}

#[test]
fn what_nobody_wants_goes_by_the_alternate_exchange() {
    for shards in EVERY {
        let mut node = Node::with_shards(shards, "");
        let (peer, far) = (node.amqp(0), node.amqp(usize::from(shards) - 1));
        let alternate = |to: &str| Some(text(to));
        let first =
            ExchangeDeclaration { alternate: alternate("second"), ..exchange("first", ExchangeKind::Direct) };
        let second =
            ExchangeDeclaration { alternate: alternate("last"), ..exchange("second", ExchangeKind::Direct) };
        for declaration in [first, second, exchange("last", ExchangeKind::Fanout)] {
            node.arrange(far, Arrangement::DeclareExchange(declaration)).unwrap();
        }
        assert!(!node.heard(peer, "first", "k"));
        node.declare(far, queue("unrouted"));
        node.bind(far, "last", "", "unrouted");
        assert!(node.heard(peer, "first", "k"));
        assert_eq!(node.waiting(peer, "unrouted"), 1);
        node.declare(peer, queue("q"));
        node.bind(peer, "first", "k", "q");
        assert!(node.heard(peer, "first", "k"));
        assert_eq!((node.waiting(peer, "unrouted"), node.waiting(peer, "q")), (1, 1));
        let thing = node.client("thing");
        node.subscribe(thing, "second/+", Q1);
        assert!(node.heard(peer, "first", "other"), "a subscriber to the alternate one's addresses");
        let deliveries = node.deliveries(thing);
        assert_eq!(deliveries.iter().map(payload).collect::<Vec<_>>(), ["other"]);
        assert_eq!(deliveries[0].event.address.as_str(), "second/other");
    }
}

#[test]
fn publishing_needs_an_exchange_that_peers_may_use() {
    let mut node = Node::new("");
    let peer = node.amqp(0);
    let (outcome, _) = node.through(peer, "none", "k", &[]);
    assert!(matches!(&outcome, Outcome::Rejected(why) if why.cause == Cause::NotFound
        && why.detail.as_deref() == Some("no exchange 'none' in vhost '/'")));
    let internal = ExchangeDeclaration { internal: true, ..exchange("inner", ExchangeKind::Fanout) };
    node.arrange(peer, Arrangement::DeclareExchange(internal)).unwrap();
    let (outcome, _) = node.through(peer, "inner", "k", &[]);
    assert!(matches!(outcome, Outcome::Rejected(why) if why.cause == Cause::NotPermitted));
    node.declare_exchange(peer, "outer", ExchangeKind::Fanout);
    node.declare(peer, queue("q"));
    node.bind(peer, "inner", "", "q");
    node.arrange(peer, Arrangement::Bind(chain("outer", "", "inner"))).unwrap();
    assert!(node.heard(peer, "outer", "k"), "another exchange may");
}

#[test]
fn declaring_anew_must_say_the_same() {
    let mut node = Node::with_shards(2, "");
    let (one, other) = (node.amqp(1), node.amqp(0));
    let options = QueueOptions { max_length: Some(5), ..QueueOptions::default() };
    let declaration = QueueDeclaration { durable: true, options, ..queue("q") };
    node.declare(one, declaration.clone());
    node.declare(other, declaration.clone());
    let mut differing = declaration.clone();
    differing.durable = false;
    let (cause, detail) = node.declined(other, Arrangement::DeclareQueue(differing));
    assert_eq!(cause, DeclineCause::Precondition);
    assert_eq!(
        detail,
        "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'"
    );
    let mut differing = declaration.clone();
    differing.options.max_length = None;
    let (_, detail) = node.declined(other, Arrangement::DeclareQueue(differing));
    assert_eq!(
        detail,
        "inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received none but current is the value '5' of \
         type 'signedint'"
    );
    let passive = QueueDeclaration { passive: true, ..queue("q") };
    node.declare(other, passive);
    node.declare_exchange(one, "e", ExchangeKind::Direct);
    node.declare_exchange(other, "e", ExchangeKind::Direct);
    let fanout = exchange("e", ExchangeKind::Fanout);
    let (cause, detail) = node.declined(other, Arrangement::DeclareExchange(fanout));
    assert_eq!(cause, DeclineCause::Precondition);
    assert_eq!(
        detail,
        "inequivalent arg 'type' for exchange 'e' in vhost '/': received 'fanout' but current is 'direct'"
    );
    let predeclared = ExchangeDeclaration { durable: true, ..exchange("amq.fanout", ExchangeKind::Fanout) };
    node.arrange(one, Arrangement::DeclareExchange(predeclared)).unwrap();
}

#[test]
fn names_of_the_node_are_not_for_peers() {
    let mut node = Node::new("");
    let peer = node.amqp(0);
    let cause = |node: &mut Node, arrangement| node.declined(peer, arrangement).0;
    for arrangement in [
        Arrangement::DeclareQueue(queue("amq.mine")),
        Arrangement::DeclareExchange(exchange("amq.mine", ExchangeKind::Fanout)),
        Arrangement::DeclareExchange(exchange("", ExchangeKind::Direct)),
        Arrangement::DeleteExchange { name: text(""), if_unused: false },
        Arrangement::DeleteExchange { name: text("amq.direct"), if_unused: false },
        Arrangement::DeclareQueue(queue("$reply.0-00")),
    ] {
        assert_eq!(cause(&mut node, arrangement.clone()), DeclineCause::NotPermitted, "{arrangement:?}");
    }
    node.declare(peer, queue("q"));
    assert_eq!(cause(&mut node, Arrangement::Bind(binding("", "k", "q"))), DeclineCause::NotPermitted);
    for missing in
        [binding("none", "k", "q"), binding("amq.direct", "k", "none"), chain("amq.direct", "", "none")]
    {
        assert_eq!(cause(&mut node, Arrangement::Bind(missing)), DeclineCause::NotFound);
    }
    for missing in
        [binding("none", "k", "q"), binding("amq.direct", "k", "none"), binding("amq.direct", "k", "q")]
    {
        assert_eq!(node.arrange(peer, Arrangement::Unbind(missing)), Ok(Arranged::default()));
    }
    let delete = Arrangement::DeleteExchange { name: text("amq.topic"), if_unused: false };
    let (_, detail) = node.declined(peer, delete);
    assert_eq!(detail, "deletion of system exchange 'amq.topic' in vhost '/' not allowed");
    let long = "x".repeat(256);
    assert_eq!(cause(&mut node, Arrangement::DeclareQueue(queue(&long))), DeclineCause::BadName);
    let given = node.declare(peer, QueueDeclaration::default());
    assert!(given.as_str().starts_with("amq.gen-"), "{given}");
    assert_ne!(node.declare(peer, QueueDeclaration::default()), given);
    assert_eq!(node.declare(peer, queue(given.as_str())), given, "whoever knows it may declare it again");
}

#[test]
fn an_exclusive_queue_is_its_connections_alone() {
    let mut node = Node::with_shards(2, "");
    let (one, other) = (node.amqp(1), node.amqp(0));
    let exclusive = QueueDeclaration { exclusive: true, ..queue("mine") };
    node.declare(one, exclusive.clone());
    node.declare(one, exclusive.clone());
    let delete = Arrangement::DeleteQueue { name: text("mine"), if_unused: false, if_empty: false };
    for arrangement in [
        Arrangement::DeclareQueue(exclusive),
        Arrangement::DeclareQueue(queue("mine")),
        Arrangement::DeclareQueue(QueueDeclaration { passive: true, ..queue("mine") }),
        Arrangement::Bind(binding("amq.fanout", "", "mine")),
        Arrangement::PurgeQueue { name: text("mine") },
        delete.clone(),
    ] {
        assert_eq!(node.declined(other, arrangement.clone()).0, DeclineCause::Locked, "{arrangement:?}");
    }
    assert!(node.heard(other, "", "mine"), "anybody may publish to it");
    node.arrange(one, delete).unwrap();
    node.declare(other, queue("mine"));
}

#[test]
fn bindings_go_with_their_ends_and_exchanges_follow_that_should() {
    for shards in EVERY {
        let mut node = Node::with_shards(shards, "");
        let (peer, far) = (node.amqp(0), node.amqp(usize::from(shards) - 1));
        for name in ["source", "middle"] {
            let fleeting = ExchangeDeclaration { auto_delete: true, ..exchange(name, ExchangeKind::Fanout) };
            node.arrange(far, Arrangement::DeclareExchange(fleeting)).unwrap();
        }
        node.declare(far, queue("q"));
        node.arrange(peer, Arrangement::Bind(chain("source", "", "middle"))).unwrap();
        node.bind(peer, "middle", "", "q");
        node.bind(peer, "middle", "", "q");
        let in_use = Arrangement::DeleteExchange { name: text("middle"), if_unused: true };
        let (cause, detail) = node.declined(far, in_use);
        assert_eq!((cause, &*detail), (DeclineCause::Precondition, "exchange 'middle' in vhost '/' in use"));
        assert!(node.heard(peer, "source", "k"));
        let delete = Arrangement::DeleteQueue { name: text("q"), if_unused: false, if_empty: false };
        node.arrange(far, delete).unwrap();
        for name in ["middle", "source"] {
            let passive = ExchangeDeclaration { passive: true, ..exchange(name, ExchangeKind::Fanout) };
            let (cause, _) = node.declined(peer, Arrangement::DeclareExchange(passive));
            assert_eq!(cause, DeclineCause::NotFound, "{name} went with its last binding");
        }
        for peer in [peer, far] {
            let tally = node.tally(peer.shard);
            assert_eq!((tally.exchanges, tally.queues, tally.bindings), (0, 0, 0));
        }
    }
}

#[test]
fn a_queue_that_is_made_anew_has_nothing_of_the_former() {
    let mut node = Node::with_shards(2, "");
    let (one, other) = (node.amqp(1), node.amqp(0));
    node.declare(one, queue("q"));
    node.bind(one, "amq.fanout", "", "q");
    node.heard(other, "amq.fanout", "");
    let delete = Arrangement::DeleteQueue { name: text("q"), if_unused: false, if_empty: false };
    assert_eq!(node.arrange(other, delete).unwrap().messages, 1);
    node.declare(other, queue("q"));
    assert_eq!(node.waiting(one, "q"), 0);
    assert!(!node.heard(one, "amq.fanout", ""));
    assert!(node.heard(one, "", "q"));
}

#[test]
fn rules_say_who_may_arrange_what() {
    let mut node = Node::with_shards(
        2,
        "access:\n  - {who: \"device:*\", may: [publish, subscribe], on: \"mine/#\"}\n  \
         - {who: \"device:*\", may: [publish], on: \"post\"}\n",
    );
    let open = windrose_event::Open { protocol: "amqp", session: None, ..open("") };
    let peer = node.open(1, crate::harness::as_device(open, "d1"));
    node.accepted(peer);
    let cause = |node: &mut Node, arrangement| node.declined(peer, arrangement).0;
    node.declare(peer, queue("mine.q"));
    node.declare(peer, queue("post"));
    node.declare_exchange(peer, "mine", ExchangeKind::Topic);
    node.bind(peer, "mine", "a.*", "mine.q");
    let given = node.declare(peer, QueueDeclaration { exclusive: true, ..QueueDeclaration::default() });
    node.bind(peer, "mine", "#", given.as_str());
    for arrangement in [
        Arrangement::DeclareQueue(queue("theirs")),
        Arrangement::DeclareExchange(exchange("theirs", ExchangeKind::Fanout)),
        Arrangement::DeleteExchange { name: text("theirs"), if_unused: false },
        Arrangement::Bind(binding("amq.topic", "#", given.as_str())),
        Arrangement::Bind(binding("amq.fanout", "", "mine.q")),
        Arrangement::PurgeQueue { name: text("post") },
        Arrangement::Bind(chain("mine", "#", "amq.topic")),
    ] {
        let text = format!("{arrangement:?}");
        assert_eq!(cause(&mut node, arrangement), DeclineCause::NotPermitted, "{text}");
    }
    assert!(node.heard(peer, "mine", "a.b"));
    assert!(node.heard(peer, "", given.as_str()), "whoever knows the name was told it, to reply there");
    let (outcome, _) = node.through(peer, "", "amq.gen-guessed", &[]);
    assert!(matches!(outcome, Outcome::Rejected(why) if why.cause == Cause::NotPermitted));
    let (outcome, _) = node.through(peer, "amq.fanout", "", &[]);
    assert!(matches!(outcome, Outcome::Rejected(why) if why.cause == Cause::NotPermitted));
}

#[test]
fn what_is_denied_to_somebody_does_not_go_by_its_bindings() {
    let mut node = Node::new(
        "access:\n  - {who: anyone, may: [publish, subscribe], on: \"#\"}\n  \
         - {who: \"device:*\", deny: [subscribe], on: \"secret/#\"}\n",
    );
    let (open, all) = (windrose_event::Open { protocol: "amqp", session: None, ..open("") }, node.amqp(0));
    let peer = node.open(0, crate::harness::as_device(open, "d1"));
    node.accepted(peer);
    node.declare(peer, queue("q"));
    node.bind(peer, "amq.topic", "#", "q");
    assert!(!node.heard(all, "amq.topic", "secret.x"));
    assert!(node.heard(all, "amq.topic", "open.x"));
    node.declare(all, queue("r"));
    node.bind(all, "amq.topic", "secret.#", "r");
    assert!(node.heard(all, "amq.topic", "secret.x"));
    assert_eq!((node.waiting(all, "q"), node.waiting(all, "r")), (1, 1));
}

#[test]
fn there_is_a_bound_on_each() {
    let mut node = Node::with_shards(2, "limits: {exchanges: 1, queues: 2, bindings: 1}");
    let peer = node.amqp(1);
    node.declare_exchange(peer, "e", ExchangeKind::Fanout);
    node.declare(peer, queue("q"));
    node.declare(peer, QueueDeclaration::default());
    node.bind(peer, "e", "", "q");
    node.bind(peer, "e", "", "q");
    for arrangement in [
        Arrangement::DeclareExchange(exchange("f", ExchangeKind::Fanout)),
        Arrangement::DeclareQueue(queue("r")),
        Arrangement::DeclareQueue(QueueDeclaration::default()),
        Arrangement::Bind(binding("e", "k", "q")),
    ] {
        assert_eq!(node.declined(peer, arrangement.clone()).0, DeclineCause::Quota, "{arrangement:?}");
    }
}

#[test]
fn an_exclusive_queue_whose_connection_is_gone_before_it_is_made_is_nowhere() {
    for shard in [0, 1] {
        let mut node = Node::with_shards(2, "");
        let (peer, other) = (node.amqp(shard), node.amqp(1 - shard));
        node.wires_held = true;
        let exclusive = QueueDeclaration { exclusive: true, ..queue("q") };
        let arrangement = Box::new(Arrangement::DeclareQueue(exclusive));
        node.intent(peer, Intent::Arrange { tag: Tag(1), arrangement });
        node.lose(peer);
        node.wires_held = false;
        node.run();
        assert_eq!([0, 1].map(|shard| node.tally(shard).queues), [0, 0], "from shard {shard}");
        node.declare(other, queue("q"));
    }
}
