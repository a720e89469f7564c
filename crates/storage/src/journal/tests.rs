//! The journal on a disk, held against what records amount to.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::changes::Changes;
use super::database::Database;
use super::open_journal;
use ::bytes::Bytes;
use proptest::prelude::*;
use smallvec::smallvec;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;
use windrose_engine::{
    Batch, BindingRecord, Kept, MessageRecord, QueueId, QueueRecord, Recall, Record, SessionNumber,
    SessionRecord, ShardId, Shelf, SubscriptionRecord, TakenState,
};
use windrose_event::{
    Address, Assurance, Binding, Death, Destination, Details, Event, EventId, ExchangeDeclaration,
    ExchangeKind, Filter, HeadersTest, Identity, Origin, Original, Overflow, Principal, Publication,
    QueueDeclaration, QueueOptions, Tag, Text, Timestamp, Will,
};

/// A folder that is gone after the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("windrose-journal-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn origin(name: &str) -> Arc<Origin> {
    let principal = Principal::Device { id: name.into(), owner: Some("o".into()) };
    let identity = Identity { principal, ..Identity::anonymous() };
    Arc::new(Origin { identity, session: name.into(), protocol: "mqtt", listener: "l".into() })
}

fn event(number: u32, address: &str, payload: &str) -> Arc<Event> {
    let time = Timestamp::from_micros(1_800_000_000_000_000 + u64::from(number));
    Arc::new(Event {
        id: EventId::new(time, 1, number),
        time,
        address: Address::new(address).unwrap(),
        origin: origin("publisher"),
        assurance: Assurance::ExactlyOnce,
        retain: number.is_multiple_of(2),
        expires: number.is_multiple_of(3).then_some(time + Duration::from_secs(60)),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        details: number.is_multiple_of(5).then(|| {
            Box::new(Details {
                content_type: Some(Text::from("text/plain")),
                is_text: Some(number.is_multiple_of(2)),
                reply_to: Some(Address::new("reply/to").unwrap()),
                correlation: Some(Bytes::from_static(&[1, 2, 3])),
                headers: vec![(Text::from("a"), Text::from("1")), (Text::from("a"), Text::from("2"))],
                original: number.is_multiple_of(2).then(|| Original {
                    form: Original::AMQP_0_9_1,
                    bytes: Bytes::from_static(b"\x00\x01k\x00\x00"),
                }),
                deaths: if number.is_multiple_of(4) { vec![death(time)] } else { Vec::new() },
            })
        }),
    })
}

fn death(time: Timestamp) -> Death {
    let text = |text: &'static str| Text::from(text);
    let (queue, exchange, key) = (text("q"), text("e"), text("k"));
    Death { queue, reason: "expired", count: 3, time, exchange, key }
}

/// What is told of exchanges, queues and bindings.
fn topology(session: u64, position: u64, choice: u16) -> Vec<Record> {
    let text = |text: String| Text::from(text);
    let (name, queue) = (text(format!("e{}", choice / 2)), text(format!("q{session}")));
    let id = QueueId(session);
    let binding = |headers: bool| Binding {
        source: name.clone(),
        destination: if choice < 3 {
            Destination::Queue(queue.clone())
        } else {
            Destination::Exchange(text("to".into()))
        },
        key: text("a.*".into()),
        headers: headers.then(|| HeadersTest {
            any: choice == 2,
            wanted: vec![(text("h".into()), Some(text("v".into()))), (text("x".into()), None)],
        }),
    };
    let declaration = QueueDeclaration {
        name: Some(queue.clone()),
        passive: false,
        durable: true,
        exclusive: false,
        auto_delete: choice == 1,
        options: QueueOptions {
            message_ttl: (choice > 1).then(|| Duration::from_millis(1_500)),
            expires: (choice > 2).then(|| Duration::from_secs(7)),
            max_length: (choice > 3).then_some(10),
            max_length_bytes: (choice == 2).then_some(u64::MAX),
            overflow: [None, Some(Overflow::DropHead), Some(Overflow::RejectPublishDlx)]
                [usize::from(choice % 3)],
            dead_letter_exchange: (choice > 4).then(|| name.clone()),
            dead_letter_routing_key: (choice > 4).then(|| text("dead".into())),
            single_active_consumer: choice == 3,
        },
    };
    let made =
        Record::Queue(Box::new(QueueRecord { number: id.number(), declaration: Arc::new(declaration) }));
    let waits = Record::Queued {
        session: id.number(),
        position,
        message: message(event(position as u32, "q", "waits")),
    };
    let bound = |headers| {
        let by = Some(Arc::new(origin("binder").identity.clone()));
        Record::Bound(Box::new(BindingRecord { binding: Arc::new(binding(headers)), by }))
    };
    match position % 5 {
        0 => vec![Record::Exchange(Box::new(ExchangeDeclaration {
            name,
            passive: false,
            kind: if choice > 2 { ExchangeKind::Topic } else { ExchangeKind::Headers },
            durable: true,
            auto_delete: choice == 3,
            internal: choice == 4,
            alternate: (choice > 4).then(|| text("other".into())),
        }))],
        1 => vec![Record::ExchangeGone(name)],
        2 => vec![made, waits],
        3 => vec![bound(true), bound(false)],
        _ if choice > 3 => vec![Record::Ended(id.number())],
        _ => vec![waits, Record::Unbound(Arc::new(binding(true)))],
    }
}

fn message(event: Arc<Event>) -> MessageRecord {
    let share = event.retain.then(|| (Arc::from("group"), Filter::new("a/#").unwrap()));
    MessageRecord {
        assurance: Assurance::AtLeastOnce,
        retain: event.retain,
        subscriptions: smallvec![1, 300, 268_435_455],
        share,
        event,
    }
}

fn session(number: u64, keep: u64) -> Record {
    let publication = Publication {
        address: Address::new("will").unwrap(),
        payload: Bytes::from_static(b"bye"),
        assurance: Assurance::AtLeastOnce,
        retain: true,
        expiry: Some(Duration::from_secs(9)),
        details: None,
    };
    Record::Session(Box::new(SessionRecord {
        number: SessionNumber(number),
        name: format!("session-{number}").into(),
        origin: origin("subscriber"),
        keep: Duration::from_secs(keep),
        expires: (keep > 5).then(|| Timestamp::from_micros(keep)),
        will: Some(Box::new(Will { publication, delay: Duration::from_secs(3) })),
        will_due: (keep > 7).then(|| Timestamp::from_micros(keep)),
    }))
}

/// Records as an engine tells them: positions and tags are used once, and what ends is there.
fn records() -> impl Strategy<Value = Vec<Vec<Record>>> {
    proptest::collection::vec(proptest::collection::vec((0..16u8, 1..4u64, 0..6u16), 0..12), 1..8).prop_map(
        |commits| {
            let mut count = 0;
            let mut next = |(kind, session, choice): (u8, u64, u16)| {
                count += 1;
                let number = SessionNumber(session);
                // Several sessions get the same event, long enough to be shared.
                let shared = event(1_000_000 + u32::from(choice), "a/b", &"x".repeat(100));
                match kind {
                    0 | 1 => vec![self::session(session, u64::from(choice) * 2)],
                    2 => vec![Record::Ended(number)],
                    3..=5 => (1..4)
                        .map(|session| Record::Queued {
                            session: SessionNumber(session),
                            position: count,
                            message: message(if choice < 3 {
                                shared.clone()
                            } else {
                                event(count as u32, "a", "")
                            }),
                        })
                        .collect(),
                    6 => vec![Record::Done { session: number, position: count - 1 }],
                    7 => {
                        vec![Record::Received { session: number, position: count - 1, tag: Tag(choice + 1) }]
                    }
                    8 => vec![
                        Record::Queued { session: number, position: count, message: message(shared) },
                        Record::Launched { session: number, position: count, tag: Tag(choice + 1) },
                    ],
                    9 => vec![
                        Record::Released { session: number, tag: Tag(choice), event: None },
                        Record::Taken {
                            session: number,
                            tag: Tag(choice),
                            event: shared.id,
                            state: TakenState::Pending,
                        },
                        Record::Taken {
                            session: number,
                            tag: Tag(choice),
                            event: shared.id,
                            state: TakenState::Accepted { heard: choice > 2 },
                        },
                    ],
                    10 => vec![if choice > 1 {
                        Record::Subscribed {
                            session: number,
                            subscription: Box::new(SubscriptionRecord {
                                filter: Filter::new(["a/+", "b/#"][usize::from(choice % 2)]).unwrap(),
                                group: (choice > 3).then(|| "g".into()),
                                assurance: Assurance::ExactlyOnce,
                                no_local: choice > 2,
                                retain_as_published: choice > 3,
                                own_copy: choice > 4,
                                identifier: u32::from(choice),
                                recall: (choice > 2).then(|| Recall {
                                    after: (choice > 3).then(|| Address::new("a/b").unwrap()),
                                }),
                            }),
                        }
                    } else {
                        Record::Unsubscribed {
                            session: number,
                            filter: Filter::new("b/#").unwrap(),
                            group: None,
                        }
                    }],
                    11..=13 => topology(session, count, choice),
                    _ => {
                        let payload = if choice == 0 { "" } else { "value" };
                        vec![Record::Retained(event(
                            count as u32,
                            ["a", "b"][usize::from(choice % 2)],
                            payload,
                        ))]
                    }
                }
            };
            commits.into_iter().map(|commit| commit.into_iter().flat_map(&mut next).collect()).collect()
        },
    )
}

/// What was kept, in words that can be compared; subscriptions have no order.
fn told(kept: &Kept) -> Vec<String> {
    let mut lines: Vec<String> = kept.retained.iter().map(|event| format!("{event:?}")).collect();
    lines.extend(kept.exchanges.iter().map(|exchange| format!("{exchange:?}")));
    let mut bindings: Vec<_> = kept.bindings.iter().map(|binding| format!("{binding:?}")).collect();
    bindings.sort();
    lines.extend(bindings);
    lines.extend(kept.queues.iter().map(|queue| format!("{queue:?}")));
    for session in &kept.sessions {
        let mut subscriptions: Vec<_> = session.subscriptions.iter().map(|one| format!("{one:?}")).collect();
        subscriptions.sort();
        lines.push(format!("{:?} {subscriptions:?} {:?}", session.session, session.taken));
        // A tag without its message is only worth something once the peer has the message.
        lines.extend(session.messages.iter().map(|message| format!("{message:?}")));
    }
    lines
}

fn write_all(folder: &Path, commits: &[Vec<Record>]) {
    std::fs::create_dir_all(folder).unwrap();
    let (mut database, start) = Database::open(&folder.join(super::FILE)).unwrap();
    database.load(start).unwrap();
    for commit in commits {
        let mut changes = Changes::default();
        for record in commit {
            changes.add(record.clone());
        }
        database.write(&changes).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_was_written_is_read_after_a_restart(commits in records()) {
        let folder = Folder::new("proptest");
        let mut shelf = Shelf::default();
        // Half of it before a restart, and half after: what the file holds counts, not what the program remembers.
        let (first, second) = commits.split_at(commits.len() / 2);
        for half in [first, second] {
            write_all(&folder.0, half);
            shelf.start();
            half.iter().flatten().for_each(|record| shelf.put(record.clone()));
        }
        let (mut database, start) = Database::open(&folder.0.join(super::FILE)).unwrap();
        let (kept, skipped) = database.load(start).unwrap();
        prop_assert_eq!(skipped, 0);
        prop_assert_eq!(kept.start, 3);
        prop_assert_eq!(told(&kept), told(&shelf.start()));
    }
}

#[test]
fn what_is_delivered_leaves_the_file() {
    let folder = Folder::new("delivered");
    std::fs::create_dir_all(&folder.0).unwrap();
    let (mut database, start) = Database::open(&folder.0.join(super::FILE)).unwrap();
    database.load(start).unwrap();
    let mut write = |records: Vec<Record>| {
        let mut changes = Changes::default();
        records.into_iter().for_each(|record| changes.add(record));
        database.write(&changes).unwrap();
        database.entries().unwrap()
    };
    let shared = event(1, "a", &"x".repeat(100));
    let queued = |session| Record::Queued {
        session: SessionNumber(session),
        position: 1,
        message: message(shared.clone()),
    };
    assert_eq!(
        write(vec![session(1, 9), session(2, 9), queued(1), queued(2)]),
        [4, 1, 0],
        "one event for both"
    );
    assert_eq!(write(vec![Record::Done { session: SessionNumber(1), position: 1 }]), [3, 1, 0]);
    assert_eq!(write(vec![Record::Ended(SessionNumber(2))]), [1, 0, 0]);
}

#[test]
fn entries_that_cannot_be_read_are_left_out_and_counted() {
    let folder = Folder::new("corrupt");
    let queued = |position| Record::Queued {
        session: SessionNumber(1),
        position,
        message: message(event(position as u32, "a", "x")),
    };
    write_all(&folder.0, &[vec![session(1, 9), queued(1), queued(2)]]);
    let file = folder.0.join(super::FILE);
    {
        let redb = redb::Database::open(&file).unwrap();
        let write = redb.begin_write().unwrap();
        {
            let table = redb::TableDefinition::<&[u8], &[u8]>::new("sessions");
            let mut table = write.open_table(table).unwrap();
            let key = super::value::key(SessionNumber(1), super::value::Letter::Message, &1u64.to_be_bytes());
            table.insert(key.as_slice(), [1, 9, 9, 9].as_slice()).unwrap();
        }
        write.commit().unwrap();
    }
    let (keeper, kept) = open_journal(&folder.0).unwrap();
    assert_eq!(keeper.figures().skipped, 1);
    assert_eq!(kept.sessions[0].messages.len(), 1);
    assert_eq!(kept.sessions[0].messages[0].position, 2);
}

#[test]
fn a_folder_has_one_node_and_nobody_else_reads_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("locked");
    let (keeper, _) = open_journal(&folder.0).unwrap();
    let Err(error) = open_journal(&folder.0) else { panic!("it is locked") };
    assert!(error.to_string().contains("another node uses"), "{error}");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder.0), mode(&folder.0.join(super::FILE))), (0o700, 0o600));
    keeper.close();
    drop(keeper);
    open_journal(&folder.0).unwrap();
}

#[test]
fn shards_are_told_when_their_records_are_stored() {
    let folder = Folder::new("told");
    let (keeper, _) = open_journal(&folder.0).unwrap();
    let (stored, told) = channel();
    for shard in 0..2 {
        let stored = stored.clone();
        keeper.attach(ShardId(shard), Box::new(move |record| stored.send((shard, record)).unwrap()));
    }
    let part = event(1, "a", "x").id;
    let expect = Record::Expect { event: part, whole: true };
    keeper.keep(ShardId(0), vec![Batch { first: 1, records: vec![session(1, 9), expect] }]);
    assert_eq!(told.recv().unwrap(), (0, 1), "the other shard's part is missing");
    keeper.keep(ShardId(1), vec![Batch { first: 1, records: vec![Record::Part { event: part }] }]);
    let mut both = [told.recv().unwrap(), told.recv().unwrap()];
    both.sort_unstable();
    assert_eq!(both, [(0, 2), (1, 1)]);
    keeper.close();
    assert_eq!(keeper.figures().records, 1);
    assert_eq!(keeper.figures().waiting, 0);
}
