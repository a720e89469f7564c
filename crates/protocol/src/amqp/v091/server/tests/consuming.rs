//! Consumers: how they begin and end, what they may have unacknowledged, and what they do with it.

use super::*;
use crate::amqp::v091::server::queue::REPLY_TO;

fn delivered(heard: &Heard) -> Option<&str> {
    match heard {
        Heard::Method(_, method) if method.starts_with("BasicDeliver") => Some(method),
        _ => None,
    }
}

fn deliveries(link: &mut Link) -> usize {
    link.read().iter().filter_map(delivered).count()
}

fn grants(link: &mut Link) -> Vec<(u64, Vec<u16>)> {
    let mut grants = Vec::new();
    let mut tags_of = Vec::new();
    for intent in link.intents.drain(..) {
        match intent {
            Intent::Dispose { tags, disposition: Disposition::Accepted, .. } => {
                tags_of = tags.iter().map(|tag| tag.0).collect();
            }
            Intent::Grant { limit, .. } => grants.push((limit, std::mem::take(&mut tags_of))),
            other => panic!("{other:?}"),
        }
    }
    grants
}

#[test]
fn a_consumer_begins_as_it_asked_for() {
    let mut link = Link::channel();
    link.send(1, BasicQos { prefetch_count: 7, ..BasicQos::default() });
    link.send(1, BasicConsume { queue: "q", exclusive: true, ..BasicConsume::default() });
    link.read();
    let consume = link.consume();
    assert!(matches!(&consume.from, Source::Queue { name, or_new: None } if *name == "q"));
    assert!(consume.exclusive && !consume.presettled);
    assert_eq!(consume.limit, 7);
    link.tell(Directive::Consuming { consumer: consume.consumer, result: Ok(Consuming::default()) });
    assert!(link.read_one().contains("BasicConsumeOk { consumer_tag: \"amq.ctag-"));
}

#[test]
fn acknowledgements_of_one_read_are_told_together() {
    let (mut link, consumer) = Link::consumer(3, false);
    for tag in 1..=3 {
        link.supply(consumer, tag, event("a/b", b"x"), tag == 2);
    }
    let heard = link.read();
    let methods: Vec<_> = heard.iter().filter_map(delivered).collect();
    assert!(methods[0].contains("delivery_tag: 1, redelivered: false"), "{methods:?}");
    assert!(methods[1].contains("delivery_tag: 2, redelivered: true"), "{methods:?}");
    let mut bytes = Vec::new();
    method_frame(&BasicAck { delivery_tag: 1, multiple: false }.into(), 1, &mut bytes);
    method_frame(&BasicAck { delivery_tag: 2, multiple: false }.into(), 1, &mut bytes);
    link.send_bytes(&bytes);
    assert_eq!(grants(&mut link), [(5, vec![1, 2])]);
    link.send(1, BasicAck { delivery_tag: 0, multiple: true });
    assert_eq!(grants(&mut link), [(6, vec![3])]);
}

#[test]
fn rejected_and_requeued_deliveries_are_told_apart() {
    let (mut link, consumer) = Link::consumer(0, false);
    for tag in 1..=5 {
        link.supply(consumer, tag, event("q", b"x"), false);
    }
    link.send(1, BasicReject { delivery_tag: 2, requeue: false });
    link.send(1, BasicNack { delivery_tag: 4, multiple: true, requeue: true });
    link.send(1, BasicRecover { requeue: true });
    let disposed: Vec<_> = link
        .intents
        .drain(..)
        .map(|intent| match intent {
            Intent::Dispose { tags, disposition, .. } => {
                (tags.iter().map(|tag| tag.0).collect(), disposition)
            }
            other => panic!("{other:?}"),
        })
        .collect::<Vec<(Vec<u16>, _)>>();
    assert_eq!(
        disposed,
        [
            (vec![2], Disposition::Rejected),
            (vec![1, 3, 4], Disposition::Released),
            (vec![5], Disposition::Released)
        ]
    );
    assert!(link.read().iter().any(|heard| is(heard, "BasicRecoverOk")));
}

#[test]
fn an_unknown_delivery_tag_ends_the_channel() {
    let acts: [Method<'_>; 5] = [
        BasicAck { delivery_tag: 2, multiple: false }.into(),
        BasicAck { delivery_tag: 2, multiple: true }.into(),
        BasicAck { delivery_tag: 0, multiple: false }.into(),
        BasicNack { delivery_tag: 9, multiple: true, requeue: true }.into(),
        BasicReject { delivery_tag: 9, requeue: true }.into(),
    ];
    for act in acts {
        let (mut link, consumer) = Link::consumer(0, false);
        link.supply(consumer, 1, event("q", b"x"), false);
        link.send(1, act);
        let exception = link.exception();
        assert!(
            exception.starts_with("1 ") && exception.contains("PRECONDITION_FAILED - unknown delivery tag")
        );
        assert!(
            link.intents.iter().any(|intent| matches!(intent, Intent::Cancel { release: true, .. })),
            "what is unacknowledged goes back"
        );
    }
    let (mut link, consumer) = Link::consumer(0, false);
    link.supply(consumer, 1, event("q", b"x"), false);
    link.send(1, BasicAck { delivery_tag: 1, multiple: false });
    link.send(1, BasicAck { delivery_tag: 1, multiple: false });
    assert!(link.exception().contains("unknown delivery tag 1"), "twice");
}

#[test]
fn memory_of_one_that_is_never_acknowledged_is_bounded() {
    let (mut link, consumer) = Link::consumer(0, false);
    link.supply(consumer, 1, event("q", b"x"), false);
    for round in 2..10_000_u64 {
        link.supply(consumer, 2, event("q", b"x"), false);
        link.send(1, BasicAck { delivery_tag: round, multiple: false });
    }
    assert!(link.server.channel(1).unwrap().unacked.len() < 200);
    link.send(1, BasicAck { delivery_tag: 1, multiple: false });
    assert!(link.server.channel(1).unwrap().unacked.is_empty());
    assert!(!link.read().iter().any(|heard| is(heard, "ChannelClose")));
}

#[test]
fn who_acknowledges_nothing_is_granted_more_as_it_is_sent() {
    let (mut link, consumer) = Link::consumer(0, true);
    for _ in 0..8_191 {
        link.supply(consumer, 0, event("q", b"x"), false);
    }
    assert!(link.intents.is_empty());
    link.supply(consumer, 0, event("q", b"x"), false);
    assert_eq!(grants(&mut link), [(8_192 + 16_384, vec![])]);
    assert_eq!(deliveries(&mut link), 8_192);
}

#[test]
fn a_channels_prefetch_parks_what_is_beyond_it() {
    let (mut link, consumer) = Link::consumer(0, false);
    link.send(1, BasicQos { prefetch_count: 2, global: true, ..BasicQos::default() });
    link.read();
    for tag in 1..=4 {
        link.supply(consumer, tag, event("q", b"x"), false);
    }
    assert_eq!(deliveries(&mut link), 2);
    link.send(1, BasicAck { delivery_tag: 1, multiple: false });
    assert_eq!(deliveries(&mut link), 1);
    link.send(1, BasicQos { global: true, ..BasicQos::default() });
    assert_eq!(deliveries(&mut link), 1, "no bound any more");
}

#[test]
fn a_stopped_channel_delivers_nothing_until_it_goes_on() {
    let (mut link, consumer) = Link::consumer(0, true);
    link.send(1, ChannelFlow { active: false });
    assert!(link.read_one().contains("ChannelFlowOk { active: false }"));
    link.supply(consumer, 0, event("q", b"x"), false);
    assert!(link.read().is_empty());
    link.send(1, ChannelFlow { active: true });
    assert_eq!(deliveries(&mut link), 1);
}

#[test]
fn canceling_keeps_what_was_delivered_and_gives_the_parked_back() {
    let (mut link, consumer) = Link::consumer(0, false);
    link.send(1, BasicQos { prefetch_count: 1, global: true, ..BasicQos::default() });
    link.supply(consumer, 1, event("q", b"x"), false);
    link.supply(consumer, 2, event("q", b"x"), false);
    link.read();
    link.send(1, BasicCancel { consumer_tag: "c", no_wait: false });
    assert!(matches!(
        &link.intents[..],
        [
            Intent::Dispose { tags, disposition: Disposition::Released, .. },
            Intent::Cancel { release: false, .. }
        ] if tags[..] == [Tag(2)]
    ));
    link.intents.clear();
    assert!(link.read().is_empty());
    link.tell(Directive::Canceled { consumer, because: None });
    assert!(link.read_one().contains("BasicCancelOk { consumer_tag: \"c\" }"));
    link.send(1, BasicAck { delivery_tag: 1, multiple: false });
    assert!(matches!(link.intent(), Intent::Dispose { .. }));
    link.send(1, BasicCancel { consumer_tag: "nobody", no_wait: false });
    assert!(link.read_one().contains("BasicCancelOk"), "one that is not there is canceled");
}

#[test]
fn what_a_canceled_consumer_left_goes_back_with_its_channel() {
    let (mut link, consumer) = Link::consumer(0, false);
    link.supply(consumer, 1, event("q", b"x"), false);
    link.send(1, BasicCancel { consumer_tag: "c", no_wait: true });
    link.intents.clear();
    link.tell(Directive::Canceled { consumer, because: None });
    link.send(1, ChannelClose::default());
    assert!(matches!(link.intent(), Intent::Cancel { consumer: id, release: true } if id == consumer));
}

#[test]
fn consumers_are_told_when_their_queue_is_gone() {
    let (mut link, consumer) = Link::consumer(0, false);
    let because = Some(declined(DeclineCause::NotFound, "gone"));
    link.tell(Directive::Canceled { consumer, because });
    assert!(link.read_one().contains("BasicCancel { consumer_tag: \"c\", no_wait: true }"));
    link.send(1, BasicConsume { queue: "q2", consumer_tag: "c", ..BasicConsume::default() });
    let again = link.consume();
    assert_ne!(again.consumer, consumer, "a late answer is nobody else's");
}

#[test]
fn consumers_that_cannot_be_are_refused() {
    let (mut link, _) = Link::consumer(0, false);
    link.send(1, BasicConsume { queue: "q", consumer_tag: "c", ..BasicConsume::default() });
    let exception = link.exception();
    assert!(
        exception.starts_with("0 ") && exception.contains("NOT_ALLOWED - attempt to reuse consumer tag 'c'")
    );

    let mut link = Link::channel();
    link.send(1, BasicConsume { queue: "q", ..BasicConsume::default() });
    let consumer = link.consume().consumer;
    let text = "queue 'q' in vhost '/' in exclusive use";
    link.tell(Directive::Consuming { consumer, result: Err(declined(DeclineCause::NotPermitted, text)) });
    assert!(link.exception().contains("ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use"));

    let mut link = Link::channel();
    link.send(1, BasicQos { prefetch_size: 1, ..BasicQos::default() });
    assert!(link.exception().contains("reply_code: 540"));
}

#[test]
fn ten_thousand_consumers_are_refused_by_the_limit() {
    let mut link = Link::channel();
    for count in 0..10_000 {
        link.send(1, BasicConsume { queue: "q", no_wait: true, ..BasicConsume::default() });
        if !matches!(link.intents[..], [Intent::Consume(_)]) {
            assert_eq!(count, 5);
            break;
        }
        let consumer = link.consume().consumer;
        link.tell(Directive::Consuming { consumer, result: Ok(Consuming::default()) });
    }
    let exception = link.exception();
    assert!(exception.starts_with("1 ") && exception.contains("consumer limit (5)"), "{exception}");
}

#[test]
fn one_message_is_taken_by_get() {
    let mut link = Link::channel();
    link.send(1, BasicGet { queue: "q", no_ack: false });
    let Intent::Pull { consumer, presettled: false, .. } = link.intent() else { panic!("no pull") };
    let supply = supplied(consumer, 9, event("a/b", b"x"), true);
    let pulled = windrose_event::Pulled { supply, remaining: 4 };
    link.tell(Directive::Pulled { tag: Tag(1), result: Ok(Some(Box::new(pulled))) });
    let heard = link.read();
    let expected = BasicGetOk {
        delivery_tag: 1,
        redelivered: true,
        exchange: "amq.topic",
        routing_key: "a.b",
        message_count: 4,
    };
    assert_eq!(heard[0], Heard::Method(1, format!("{:?}", Method::from(expected))));
    link.send(1, BasicAck { delivery_tag: 1, multiple: false });
    assert!(matches!(link.intent(), Intent::Dispose { tags, .. } if tags[..] == [Tag(9)]));
    link.send(1, BasicGet { queue: "q", no_ack: true });
    assert!(matches!(link.intent(), Intent::Pull { presettled: true, .. }));
    link.tell(Directive::Pulled { tag: Tag(1), result: Ok(None) });
    assert!(link.read_one().contains("BasicGetEmpty"));
    link.send(1, BasicGet { queue: "none", no_ack: true });
    link.tell(Directive::Pulled { tag: Tag(1), result: Err(declined(DeclineCause::NotFound, "no queue")) });
    assert!(link.exception().contains("reply_code: 404"));
}

#[test]
fn what_comes_for_a_channel_that_is_gone_is_not_delivered() {
    let (mut link, consumer) = Link::consumer(0, false);
    link.supply(consumer, 1, event("q", b"x"), false);
    link.send(1, ChannelClose::default());
    assert!(matches!(link.intent(), Intent::Cancel { release: true, .. }));
    link.read();
    link.open_channel(1);
    link.supply(consumer, 2, event("q", b"x"), false);
    assert!(link.read().is_empty());
    link.tell(Directive::Canceled { consumer, because: None });
    assert!(link.read().is_empty());
}

#[test]
fn replies_come_straight_to_whoever_asked() {
    let mut link = Link::channel();
    link.send(1, BasicConsume { queue: REPLY_TO, no_ack: false, ..BasicConsume::default() });
    assert!(link.exception().contains("reply consumer cannot acknowledge"));
    link.send(1, ChannelCloseOk {});
    link.open_channel(1);
    link.send(1, BasicConsume { queue: REPLY_TO, no_ack: true, ..BasicConsume::default() });
    let consume = link.consume();
    assert!(matches!(consume.from, Source::Replies));
    let consuming = Consuming { address: Some(Address::new("$reply/0-a").unwrap()), resumed: false };
    link.tell(Directive::Consuming { consumer: consume.consumer, result: Ok(consuming) });
    link.read();
    let properties = Properties { reply_to: Some(REPLY_TO.as_bytes()), ..Properties::default() };
    link.publish(to("service"), &properties, b"?");
    let (_, _, publication) = link.publications().remove(0);
    let details = publication.details.unwrap();
    assert_eq!(details.reply_to.as_ref().map(Address::as_str), Some("$reply/0-a"));
    let original = details.original.unwrap().bytes;
    assert!(original.ends_with(b"amq.rabbitmq.reply-to.0-a"), "receivers are told where");
}
