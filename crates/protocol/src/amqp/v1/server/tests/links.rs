//! Links: what addresses lead to, and how they begin and end.

use super::*;
use windrose_event::{DeclineCause, Declined, Destination};

fn declined(cause: DeclineCause) -> Declined {
    Declined { cause, detail: "no".into() }
}

fn receive(peer: &mut Peer, source: Source<'_>) -> Option<Box<Consume>> {
    peer.say(Performative::Attach(Attach {
        name: "r",
        role: Role::Receiver,
        source: Some(source),
        ..Attach::default()
    }));
    match peer.intents().pop() {
        Some(Intent::Consume(consume)) => Some(consume),
        _ => None,
    }
}

#[test]
fn a_queue_is_made_for_its_sender_and_used_as_it_is() {
    let mut peer = Peer::open();
    let target = Some(Terminus::Target(Target { address: Some("tasks"), ..Target::default() }));
    peer.attach_sender(Attach { target, ..Attach::default() });
    let Arrangement::DeclareQueue(queue) = peer.arranged(Err(declined(DeclineCause::Precondition))) else {
        panic!()
    };
    assert_eq!((queue.name.as_deref(), queue.durable, queue.passive), (Some("tasks"), true, false));
    let Arrangement::DeclareQueue(queue) = peer.arranged(Ok(Arranged::default())) else { panic!() };
    assert!(queue.passive, "there is another of that name, which is as good");
    peer.frame("attach(");
    peer.frame("flow(");
    peer.send(0, b"x");
    assert_eq!(peer.published().1.address.as_str(), "tasks");
}

#[test]
fn a_link_that_is_not_made_is_attached_without_its_end_and_detached_with_the_reason() {
    let mut peer = Peer::open();
    let target = Some(Terminus::Target(Target { address: Some("/amq/queue/q"), ..Target::default() }));
    peer.attach_sender(Attach { target, ..Attach::default() });
    let Arrangement::DeclareQueue(queue) = peer.arranged(Err(declined(DeclineCause::NotFound))) else {
        panic!()
    };
    assert!(queue.passive);
    assert!(peer.frame("attach(").contains("target: none"));
    assert!(peer.frame("detach(").contains("amqp:not-found"));
    // What it still sends is passed by.
    peer.send(0, b"x");
    peer.say(Performative::Detach(Detach { handle: 0, closed: true, error: None }));
    assert!(peer.intents().is_empty());
    peer.nothing();
    // The handle is free again.
    assert!(receive(&mut peer, Source { address: Some("/exchange/"), ..Source::default() }).is_none());
    assert!(peer.frame("attach(").contains("source: none"));
    assert!(peer.frame("detach(").contains("amqp:invalid-field"));
}

#[test]
fn a_denied_consumer_is_detached() {
    let mut peer = Peer::open();
    let consume = receive(&mut peer, Source { address: Some("q"), ..Source::default() }).unwrap();
    let result = Err(declined(DeclineCause::NotPermitted));
    peer.tell(Directive::Consuming { consumer: consume.consumer, result });
    peer.frame("attach(");
    assert!(peer.frame("detach(").contains("amqp:unauthorized-access"));
}

#[test]
fn a_filter_is_a_subscription_of_the_links_own() {
    let mut peer = Peer::open();
    let consume = receive(&mut peer, Source { address: Some("a/+/#"), ..Source::default() }).unwrap();
    let neutral::Source::Address { request, kept, .. } = wish(&consume) else { panic!() };
    assert_eq!((request.filter.as_str(), request.group.is_none(), kept.is_none()), ("a/+/#", true, true));

    let mut peer = Peer::open();
    let source = Source {
        address: Some("t"),
        capabilities: Symbols::Slice(&["topic", "shared"]),
        ..Source::default()
    };
    let consume = receive(&mut peer, source).unwrap();
    let neutral::Source::Address { request, .. } = wish(&consume) else { panic!() };
    assert_eq!((request.filter.as_str(), request.group.as_deref()), ("t", Some("r")));
}

#[test]
fn a_subscription_is_kept_for_whoever_asks_for_that() {
    let mut peer = Peer::open();
    let source = Source {
        address: Some("a/#"),
        durable: Durability::UnsettledState,
        expiry_policy: Some("never"),
        ..Source::default()
    };
    let consume = receive(&mut peer, source).unwrap();
    let neutral::Source::Address { kept, .. } = wish(&consume) else { panic!() };
    assert_eq!(kept.as_ref().map(|(name, time)| (name.as_str(), *time)), Some(("peer|r", Duration::MAX)));
    peer.tell(Directive::Consuming { consumer: consume.consumer, result: Ok(Consuming::default()) });
    assert!(peer.frame("attach(").contains("expiry_policy: some(\"never\")"));
    // Detached it is kept; closed it is not wanted any more.
    peer.say(Performative::Detach(Detach { handle: 0, closed: true, error: None }));
    let intents = peer.intents();
    assert!(
        matches!(&intents[..], [Intent::Cancel { .. }, Intent::Consume(consume), Intent::Cancel { .. }]
            if matches!(&consume.from, neutral::Source::Address { kept: Some((_, Duration::ZERO)), .. })),
        "{intents:?}"
    );
}

#[test]
fn an_exchange_that_is_no_topic_is_bound_to_by_a_queue() {
    let mut peer = Peer::open();
    receive(&mut peer, Source { address: Some("/topic/a.*.#"), ..Source::default() })
        .filter(|consume| matches!(wish(consume), neutral::Source::Address { request, .. } if request.filter.as_str() == "a/+/#"))
        .unwrap();
    let mut peer = Peer::open();
    peer.say(Performative::Attach(Attach {
        name: "r",
        role: Role::Receiver,
        source: Some(Source { address: Some("/exchange/logs/kern.#"), ..Source::default() }),
        ..Attach::default()
    }));
    let Arrangement::DeclareQueue(queue) =
        peer.arranged(Ok(Arranged { queue: "gen-1".into(), ..Arranged::default() }))
    else {
        panic!()
    };
    assert!(queue.name.is_none() && queue.exclusive && queue.auto_delete);
    let Arrangement::Bind(binding) = peer.arranged(Ok(Arranged::default())) else { panic!() };
    assert_eq!((&*binding.source, &*binding.key), ("logs", "kern.#"));
    assert_eq!(binding.destination, Destination::Queue("gen-1".into()));
    let Intent::Consume(consume) = peer.intent() else { panic!() };
    assert!(matches!(wish(&consume), neutral::Source::Queue { name, or_new: None } if &**name == "gen-1"));
}

#[test]
fn filters_that_are_kept_to_are_told_and_others_are_not() {
    let mut peer = Peer::open();
    let mut set = MapWriter::new();
    let described = |name: &'static str, value: &Value<'_>| {
        let mut bytes = vec![0];
        put_symbol(&mut bytes, name);
        put_value(&mut bytes, value);
        bytes
    };
    let topic = described("apache.org:legacy-amqp-topic-binding:string", &Value::String("a.*"));
    let local = described("apache.org:no-local-filter:list", &Value::List(List::default()));
    let selector = described("apache.org:selector-filter:string", &Value::String("x = 1"));
    set.raw(b"\xa3\x01t", &topic).raw(b"\xa3\x01l", &local).raw(b"\xa3\x01s", &selector);
    let source = Source { address: Some("amq.topic"), filter: Some(set.map()), ..Source::default() };
    let consume = receive(&mut peer, source).unwrap();
    let neutral::Source::Address { request, .. } = wish(&consume) else { panic!() };
    assert_eq!((request.filter.as_str(), request.no_local), ("a/+", true));
    peer.tell(Directive::Consuming { consumer: consume.consumer, result: Ok(Consuming::default()) });
    assert!(peer.frame("attach(").contains("filter: some(map { count: 4"), "two of three");
}

#[test]
fn new_addresses_are_made_for_replies_and_for_senders() {
    let mut peer = Peer::open();
    let consume = receive(&mut peer, Source { dynamic: true, ..Source::default() }).unwrap();
    assert!(matches!(wish(&consume), neutral::Source::Replies));
    let address = Address::new("$reply/0-1").ok();
    let result = Ok(Consuming { address, resumed: false });
    peer.tell(Directive::Consuming { consumer: consume.consumer, result });
    assert!(peer.frame("attach(").contains("address: some(\"$reply/0-1\")"));
    let target = Some(Terminus::Target(Target { dynamic: true, ..Target::default() }));
    peer.attach_sender(Attach { handle: 1, target, ..Attach::default() });
    peer.arranged(Ok(Arranged { queue: "gen-2".into(), ..Arranged::default() }));
    assert!(peer.frame("attach(").contains("address: some(\"gen-2\")"));
    peer.frame("flow(");
    peer.say(Performative::Detach(Detach { handle: 1, closed: true, error: None }));
    let Intent::Arrange { arrangement, .. } = peer.intent() else { panic!() };
    assert!(matches!(*arrangement, Arrangement::DeleteQueue { name, .. } if &*name == "gen-2"));
}

#[test]
fn a_name_that_is_attached_twice_is_stolen() {
    let mut peer = Peer::open();
    peer.sender();
    peer.attach_sender(Attach { handle: 1, ..Attach::default() });
    let detach = peer.frame("detach(");
    assert!(detach.contains("amqp:link:stolen") && detach.contains("handle: 0"));
    peer.frame("attach(");
}

#[test]
fn more_links_than_there_may_be_are_refused_one_by_one() {
    let mut peer = Peer::open();
    peer.say_on(1, Performative::Begin(Begin { incoming_window: 9, outgoing_window: 9, ..Begin::default() }));
    peer.frame("begin(");
    for handle in 0..5 {
        let name = format!("l{handle}");
        peer.attach_sender(Attach { name: &name, handle, ..Attach::default() });
        peer.frame("attach(");
        peer.frame("flow(");
    }
    let target = Some(Terminus::Target(Target { address: Some("a/b"), ..Target::default() }));
    let one_more = Attach { name: "more", target, initial_delivery_count: Some(0), ..Attach::default() };
    peer.say_on(1, Performative::Attach(one_more));
    peer.frame("attach(");
    assert!(peer.frame("detach(").contains("amqp:resource-limit-exceeded"));
    peer.send(0, b"x");
    peer.published();
}

#[test]
fn a_handle_in_use_ends_the_session() {
    let mut peer = Peer::open();
    peer.sender();
    peer.attach_sender(Attach { name: "other", ..Attach::default() });
    assert!(peer.frame("end(").contains("amqp:session:handle-in-use"));
}

#[test]
fn transactions_are_not_done() {
    let mut peer = Peer::open();
    let target = Some(Terminus::Coordinator { capabilities: Symbols::None });
    peer.attach_sender(Attach { target, ..Attach::default() });
    peer.frame("attach(");
    assert!(peer.frame("detach(").contains("amqp:not-implemented"));
}

#[test]
fn a_link_whose_queue_is_gone_is_detached() {
    let mut peer = Peer::open();
    let consumer = peer.receiver(1, Attach::default());
    peer.tell(Directive::Canceled { consumer, because: Some(declined(DeclineCause::NotFound)) });
    assert!(peer.frame("detach(").contains("amqp:resource-deleted"));
}

#[test]
fn answers_to_a_consumer_that_is_not_wanted_any_more_are_not_taken_for_another() {
    let mut peer = Peer::open();
    let consume = receive(&mut peer, Source { address: Some("q"), ..Source::default() }).unwrap();
    peer.say(Performative::Detach(Detach { handle: 0, closed: true, error: None }));
    peer.frame("detach(");
    assert!(matches!(peer.intent(), Intent::Cancel { release: true, .. }));
    let next = receive(&mut peer, Source { address: Some("p"), ..Source::default() }).unwrap();
    assert_ne!(next.consumer, consume.consumer);
    peer.tell(Directive::Consuming {
        consumer: consume.consumer,
        result: Err(declined(DeclineCause::NotFound)),
    });
    peer.tell(Directive::Canceled { consumer: consume.consumer, because: None });
    peer.nothing();
    peer.tell(Directive::Consuming { consumer: next.consumer, result: Ok(Consuming::default()) });
    peer.frame("attach(");
}
