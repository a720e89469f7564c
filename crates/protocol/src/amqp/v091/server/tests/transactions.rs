//! Transactions: what waits for a commit.

use super::*;

fn transactional() -> Link {
    let mut link = Link::channel();
    link.send(1, TxSelect {});
    assert!(link.read_one().contains("TxSelectOk"));
    link
}

#[test]
fn publications_wait_for_their_commit_and_it_for_them() {
    let mut link = transactional();
    link.publish(to("a"), &Properties::default(), b"x");
    link.publish(BasicPublish { mandatory: true, ..to("b") }, &Properties::default(), b"x");
    assert!(link.intents.is_empty());
    link.send(1, TxCommit {});
    let tags: Vec<_> = link.publications().into_iter().map(|(tag, _, _)| tag).collect();
    assert_eq!(tags.len(), 2);
    link.settle(tags[0], Outcome::Accepted, true);
    assert!(link.read().is_empty());
    link.settle(tags[1], Outcome::Accepted, false);
    let heard = link.read();
    assert!(is(&heard[0], "BasicReturn") && is(heard.last().unwrap(), "TxCommitOk"), "{heard:?}");
    link.send(1, TxCommit {});
    assert!(link.read_one().contains("TxCommitOk"), "nothing waits");
}

#[test]
fn a_rollback_forgets_publications_and_acknowledgements() {
    let (mut link, consumer) = Link::consumer(0, false);
    link.send(1, TxSelect {});
    link.supply(consumer, 5, event("q", b"x"), false);
    link.read();
    link.publish(to("a"), &Properties::default(), b"x");
    link.send(1, BasicAck { delivery_tag: 1, multiple: false });
    link.send(1, TxRollback {});
    assert!(link.read_one().contains("TxRollbackOk"));
    assert!(link.intents.is_empty());
    link.send(1, BasicAck { delivery_tag: 1, multiple: false });
    assert!(link.intents.is_empty());
    link.send(1, TxCommit {});
    assert!(matches!(link.intent(), Intent::Dispose { tags, .. } if tags[..] == [Tag(5)]));
    assert!(link.read_one().contains("TxCommitOk"));
}

#[test]
fn a_commit_of_which_a_part_is_refused_ends_the_channel() {
    let mut link = transactional();
    link.publish(to("a"), &Properties::default(), b"x");
    link.send(1, TxCommit {});
    let (tag, _, _) = link.publications().remove(0);
    link.settle(tag, Outcome::Busy { retry_after: None }, true);
    assert!(link.exception().contains("PRECONDITION_FAILED - partial tx completion"));
}

#[test]
fn transactions_and_confirms_do_not_mix() {
    let mut link = transactional();
    link.send(1, ConfirmSelect { no_wait: false });
    assert!(link.exception().contains("cannot switch from tx to confirm mode"));
    let mut link = Link::channel();
    link.send(1, ConfirmSelect { no_wait: true });
    link.send(1, TxSelect {});
    assert!(link.exception().contains("cannot switch from confirm to tx mode"));
    for method in [Method::from(TxCommit {}), TxRollback {}.into()] {
        let mut link = Link::channel();
        link.send(1, method);
        assert!(link.exception().contains("PRECONDITION_FAILED - channel is not transactional"));
    }
}

#[test]
fn a_transaction_has_a_bound() {
    let mut link = transactional();
    let one = publication(to("a"), &Properties::default(), b"x");
    for _ in 0..33 {
        link.send_bytes(&one.repeat(1_000));
    }
    assert!(link.exception().contains("a transaction holds more than"));
}
