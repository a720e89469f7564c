//! Exchanges, queues and bindings that outlive the process, and those that do not.

use crate::exchanges::{binding, exchange, queue, text};
use crate::harness::{Node, Q1};
use windrose_event::{
    Arrangement, Binding, DeclineCause, Destination, Directive, ExchangeDeclaration, ExchangeKind, Intent,
    Outcome, QueueDeclaration, Tag,
};

#[test]
fn what_is_durable_is_there_after_a_restart() {
    for shards in [1, 2, 3] {
        let mut node = Node::durable(shards, "");
        let (peer, far) = (node.amqp(0), node.amqp(usize::from(shards) - 1));
        for (name, durable) in [("lasting", true), ("fleeting", false)] {
            let declaration = ExchangeDeclaration { durable, ..exchange(name, ExchangeKind::Topic) };
            node.arrange(far, Arrangement::DeclareExchange(declaration)).unwrap();
            for peer in [peer, far] {
                let name = format!("{name}.{}", peer.shard);
                node.declare(peer, QueueDeclaration { durable, ..queue(&name) });
                node.bind(peer, "lasting", "a.#.z", &name);
                node.bind(peer, "lasting", "gone", &name);
                let gone = Arrangement::Unbind(binding("lasting", "gone", &name));
                node.arrange(far, gone).unwrap();
            }
        }
        let exclusive = QueueDeclaration { durable: true, exclusive: true, ..queue("mine") };
        node.declare(far, exclusive);
        node.declare(far, QueueDeclaration { durable: true, ..queue("deleted") });
        let delete = Arrangement::DeleteQueue { name: text("deleted"), if_unused: false, if_empty: false };
        node.arrange(peer, delete).unwrap();
        node.crash();
        let peer = node.amqp(0);
        let far = node.amqp(usize::from(shards) - 1);
        for name in ["lasting.0", &format!("lasting.{}", usize::from(shards) - 1)] {
            let before = node.waiting(far, name);
            assert_eq!(node.through(peer, "lasting", "a.b.z", &[]), (Outcome::Accepted, true));
            assert_eq!(node.waiting(far, name), before + 1);
            assert_eq!(node.through(peer, "lasting", "gone", &[]), (Outcome::Accepted, false));
        }
        for name in ["fleeting.0", "mine", "deleted"] {
            let passive = QueueDeclaration { passive: true, ..queue(name) };
            let declined = node.arrange(peer, Arrangement::DeclareQueue(passive)).unwrap_err();
            assert_eq!(declined.cause, DeclineCause::NotFound, "{name}");
        }
        let passive = ExchangeDeclaration { passive: true, ..exchange("fleeting", ExchangeKind::Topic) };
        assert!(node.arrange(peer, Arrangement::DeclareExchange(passive)).is_err());
        let delete = Arrangement::DeleteExchange { name: text("lasting"), if_unused: false };
        node.arrange(far, delete).unwrap();
        let again = ExchangeDeclaration { durable: true, ..exchange("lasting", ExchangeKind::Topic) };
        node.arrange(far, Arrangement::DeclareExchange(again)).unwrap();
        node.crash();
        let peer = node.amqp(0);
        assert_eq!(
            node.through(peer, "lasting", "a.b.z", &[]),
            (Outcome::Accepted, false),
            "bindings of an exchange that was deleted do not come back with its name"
        );
    }
}

#[test]
fn nobody_is_told_of_a_durable_queue_before_it_is_stored() {
    for shards in [1, 2] {
        let mut node = Node::durable(shards, "");
        let peer = node.amqp(usize::from(shards) - 1);
        node.hold_disk();
        let declaration = QueueDeclaration { durable: true, ..queue("q") };
        let arrangement = Box::new(Arrangement::DeclareQueue(declaration));
        node.intent(peer, Intent::Arrange { tag: Tag(1), arrangement });
        assert!(node.said(peer).is_empty());
        node.store();
        node.run();
        assert!(matches!(node.said(peer).as_slice(), [Directive::Arranged { result: Ok(_), .. }]));
    }
}

#[test]
fn names_and_chains_that_are_gone_leave_no_way_for_events() {
    let mut node = Node::durable(2, "");
    let (one, other) = (node.amqp(0), node.amqp(1));
    for name in ["a", "b"] {
        let declaration = ExchangeDeclaration { durable: true, ..exchange(name, ExchangeKind::Fanout) };
        node.arrange(one, Arrangement::DeclareExchange(declaration)).unwrap();
    }
    node.declare(other, QueueDeclaration { durable: true, ..queue("q") });
    let destination = Destination::Exchange(text("b"));
    let chain = Binding { source: text("a"), destination, key: text(""), headers: None };
    node.arrange(one, Arrangement::Bind(chain)).unwrap();
    node.bind(one, "b", "", "q");
    node.crash();
    let (one, other) = (node.amqp(0), node.amqp(1));
    assert_eq!(node.through(other, "a", "k", &[]), (Outcome::Accepted, true));
    let delete = Arrangement::DeleteExchange { name: text("b"), if_unused: false };
    node.arrange(one, delete).unwrap();
    assert_eq!(node.through(other, "a", "k", &[]), (Outcome::Accepted, false));
    let thing = node.client_at(1, "thing");
    node.publish(thing, 1, "q", "by name", Q1);
    assert_eq!(node.settled(thing), [(1, Outcome::Accepted, true)]);
}
