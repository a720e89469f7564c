//! AMQP 0-9-1 with lapin: queues, exchanges, confirms, what comes back and what is refused.
//!
//! With `AMQP_SERVER=amqp://...` in the environment they are played against that server: RabbitMQ, for one.

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::*;
use lapin::types::{AMQPValue, FieldArray, FieldTable, ShortString};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, ExchangeKind,
};
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use windrose_e2e::Node;
use windrose_e2e::documents::open_amqp;

/// How long anything may take that comes.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long is waited for what must not come.
const QUIET: Duration = Duration::from_millis(300);

/// Plays a test with a connection of its own, or two.
fn play<F: Future<Output = ()>>(test: impl FnOnce(Link) -> F) {
    let node = Node::start(&open_amqp("limits: {payload_bytes: 4194304}\n"));
    let server = std::env::var("AMQP_SERVER").unwrap_or_else(|_| format!("amqp://{}/%2f", node.amqp()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(test(Link { server }));
}

struct Link {
    server: String,
}

impl Link {
    async fn connect(&self) -> Connection {
        Connection::connect(&self.server, ConnectionProperties::default()).await.expect("it is let in")
    }

    async fn channel(&self) -> (Connection, Channel) {
        let connection = self.connect().await;
        let channel = connection.create_channel().await.expect("a channel");
        (connection, channel)
    }
}

fn name(kind: &str) -> ShortString {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("lapin-{kind}-{}-{count}", std::process::id()).into()
}

/// A queue that goes with its connection.
async fn queue(channel: &Channel, arguments: FieldTable) -> ShortString {
    let name = name("q");
    let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.clone(), options, arguments).await.expect("a queue");
    name
}

async fn publish(channel: &Channel, exchange: &ShortString, key: &str, body: &[u8]) -> Confirmation {
    let options = BasicPublishOptions::default();
    let publication =
        channel.basic_publish(exchange.clone(), key.into(), options, body, BasicProperties::default());
    publication.await.expect("it is sent").await.expect("it is answered")
}

fn default() -> ShortString {
    "".into()
}

async fn consume(channel: &Channel, queue: &ShortString, no_ack: bool) -> Consumer {
    let options = BasicConsumeOptions { no_ack, ..BasicConsumeOptions::default() };
    channel.basic_consume(queue.clone(), default(), options, FieldTable::default()).await.expect("a consumer")
}

async fn next(consumer: &mut Consumer) -> Delivery {
    let delivery = tokio::time::timeout(PATIENCE, consumer.next()).await.expect("it comes in time");
    delivery.expect("the consumer goes on").expect("a delivery")
}

async fn is_quiet(consumer: &mut Consumer) -> bool {
    tokio::time::timeout(QUIET, consumer.next()).await.is_err()
}

async fn ack(delivery: &Delivery) {
    delivery.ack(BasicAckOptions::default()).await.expect("it is acknowledged");
}

/// The reply code that an operation is refused by.
fn code<T: std::fmt::Debug>(result: Result<T, lapin::Error>) -> u16 {
    match result.expect_err("it is refused").kind() {
        lapin::ErrorKind::ProtocolError(error) => error.get_id(),
        other => panic!("no protocol error: {other:?}"),
    }
}

#[test]
fn confirmed_messages_are_consumed_in_order_and_acknowledged() {
    play(|link| async move {
        let (_connection, channel) = link.channel().await;
        let queue = queue(&channel, FieldTable::default()).await;
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        let mut consumer = consume(&channel, &queue, false).await;
        for number in 0..500_u32 {
            let confirmation = publish(&channel, &default(), queue.as_str(), &number.to_be_bytes()).await;
            assert!(matches!(confirmation, Confirmation::Ack(None)), "{confirmation:?}");
        }
        for number in 0..500_u32 {
            let delivery = next(&mut consumer).await;
            assert_eq!((delivery.data.as_slice(), delivery.redelivered), (&number.to_be_bytes()[..], false));
            ack(&delivery).await;
        }
        assert!(is_quiet(&mut consumer).await);
    });
}

#[test]
fn a_message_that_nobody_wants_comes_back_if_it_is_mandatory() {
    play(|link| async move {
        let (_connection, channel) = link.channel().await;
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let key = name("nowhere");
        let sent = channel.basic_publish(default(), key, options, b"back", BasicProperties::default()).await;
        let confirmation = sent.expect("it is sent").await.expect("it is answered");
        let Confirmation::Ack(Some(back)) = confirmation else { panic!("not returned: {confirmation:?}") };
        assert_eq!((back.reply_code, back.delivery.data.as_slice()), (312, &b"back"[..]));
    });
}

#[test]
fn what_is_not_acknowledged_comes_again_and_says_so() {
    play(|link| async move {
        let (connection, channel) = link.channel().await;
        let queue = queue(&channel, FieldTable::default()).await;
        let mut consumer = consume(&channel, &queue, false).await;
        publish(&channel, &default(), queue.as_str(), b"again").await;
        let delivery = next(&mut consumer).await;
        let requeue = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
        delivery.nack(requeue).await.expect("it goes back");
        assert!(next(&mut consumer).await.redelivered);
        // It is unacknowledged still: it goes back with its channel.
        channel.close(200, default()).await.expect("it is closed");
        let channel = connection.create_channel().await.expect("a channel");
        let options = BasicGetOptions { no_ack: true };
        let found = channel.basic_get(queue, options).await.expect("an answer").expect("it is there");
        assert!(found.delivery.redelivered);
    });
}

#[test]
fn prefetch_shares_work_fairly() {
    play(|link| async move {
        let (_connection, channel) = link.channel().await;
        let queue = queue(&channel, FieldTable::default()).await;
        channel.basic_qos(2, BasicQosOptions::default()).await.expect("a prefetch");
        let (mut busy, mut idle) =
            (consume(&channel, &queue, false).await, consume(&channel, &queue, false).await);
        for number in 0..10_u8 {
            publish(&channel, &default(), queue.as_str(), &[number]).await;
        }
        // One acknowledges nothing and has two; the other gets all that is left.
        for _ in 0..2 {
            next(&mut busy).await;
        }
        for _ in 0..8 {
            ack(&next(&mut idle).await).await;
        }
        assert!(is_quiet(&mut busy).await && is_quiet(&mut idle).await);
    });
}

#[test]
fn every_kind_of_exchange_finds_its_queues() {
    play(|link| async move {
        let (_connection, channel) = link.channel().await;
        for (kind, bound, fits, misses) in [
            (ExchangeKind::Direct, "a.b", "a.b", "a.c"),
            (ExchangeKind::Topic, "a.*.#", "a.b.c.d", "b.b"),
            (ExchangeKind::Topic, "#.end", "x.y.end", "end.x"),
            (ExchangeKind::Fanout, "", "whatever", ""),
        ] {
            let exchange = name("x");
            let options = ExchangeDeclareOptions { auto_delete: true, ..ExchangeDeclareOptions::default() };
            let declared = channel
                .exchange_declare(exchange.clone(), kind.clone(), options, FieldTable::default())
                .await;
            declared.expect("an exchange");
            let queue = queue(&channel, FieldTable::default()).await;
            let options = QueueBindOptions::default();
            let binding = channel.queue_bind(
                queue.clone(),
                exchange.clone(),
                bound.into(),
                options,
                FieldTable::default(),
            );
            binding.await.expect("a binding");
            if !misses.is_empty() {
                publish(&channel, &exchange, misses, b"misses").await;
            }
            publish(&channel, &exchange, fits, b"fits").await;
            let mut consumer = consume(&channel, &queue, true).await;
            let delivery = next(&mut consumer).await;
            assert_eq!(delivery.data, b"fits", "{kind:?}");
            assert_eq!(
                (delivery.exchange.as_str(), delivery.routing_key.as_str()),
                (exchange.as_str(), fits)
            );
            assert!(is_quiet(&mut consumer).await, "{kind:?}");
        }
    });
}

#[test]
fn headers_decide_at_a_headers_exchange() {
    play(|link| async move {
        let (_connection, channel) = link.channel().await;
        let queue = queue(&channel, FieldTable::default()).await;
        let mut wanted = FieldTable::default();
        wanted.insert("x-match".into(), AMQPValue::LongString("all".into()));
        wanted.insert("n".into(), AMQPValue::LongInt(5));
        wanted.insert("s".into(), AMQPValue::LongString("text".into()));
        let exchange: ShortString = "amq.headers".into();
        let binding = channel.queue_bind(
            queue.clone(),
            exchange.clone(),
            default(),
            QueueBindOptions::default(),
            wanted,
        );
        binding.await.expect("a binding");
        let mut consumer = consume(&channel, &queue, true).await;
        for (number, comes) in [(4, false), (5, true)] {
            let mut headers = FieldTable::default();
            headers.insert("n".into(), AMQPValue::LongInt(number));
            headers.insert("s".into(), AMQPValue::LongString("text".into()));
            let properties = BasicProperties::default().with_headers(headers);
            let options = BasicPublishOptions::default();
            let sent = channel.basic_publish(exchange.clone(), default(), options, b"x", properties).await;
            sent.expect("it is sent");
            assert_eq!(is_quiet(&mut consumer).await, !comes, "{number}");
        }
    });
}

#[test]
fn properties_and_headers_of_every_type_come_through() {
    play(|link| async move {
        let (_connection, channel) = link.channel().await;
        let queue = queue(&channel, FieldTable::default()).await;
        let mut inner = FieldTable::default();
        inner.insert("deep".into(), AMQPValue::Boolean(true));
        let mut array = FieldArray::default();
        array.push(AMQPValue::LongLongInt(-1));
        array.push(AMQPValue::Void);
        let mut headers = FieldTable::default();
        for (name, value) in [
            ("bool", AMQPValue::Boolean(true)),
            ("i8", AMQPValue::ShortShortInt(-1)),
            ("i16", AMQPValue::ShortInt(-2)),
            ("i32", AMQPValue::LongInt(-3)),
            ("u32", AMQPValue::LongUInt(3)),
            ("i64", AMQPValue::LongLongInt(-4)),
            ("f32", AMQPValue::Float(1.5)),
            ("f64", AMQPValue::Double(2.5)),
            ("text", AMQPValue::LongString("grüße".into())),
            ("time", AMQPValue::Timestamp(1_700_000_000)),
            ("table", AMQPValue::FieldTable(inner)),
            ("array", AMQPValue::FieldArray(array)),
            ("void", AMQPValue::Void),
        ] {
            headers.insert(name.into(), value);
        }
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_content_encoding("gzip".into())
            .with_headers(headers)
            .with_delivery_mode(2)
            .with_priority(4)
            .with_correlation_id("c".into())
            .with_reply_to("r".into())
            .with_expiration("60000".into())
            .with_message_id("m".into())
            .with_timestamp(1_700_000_001)
            .with_type("t".into())
            .with_app_id("a".into());
        let options = BasicPublishOptions::default();
        let sent = channel.basic_publish(default(), queue.clone(), options, b"", properties.clone()).await;
        sent.expect("it is sent");
        let mut consumer = consume(&channel, &queue, true).await;
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.properties, properties);
        assert!(delivery.data.is_empty());
    });
}

#[test]
fn a_megabyte_comes_through_as_it_was() {
    play(|link| async move {
        let (_connection, channel) = link.channel().await;
        let queue = queue(&channel, FieldTable::default()).await;
        let body: Vec<u8> = (0..1_000_000_u32).map(|byte| (byte * 7) as u8).collect();
        publish(&channel, &default(), queue.as_str(), &body).await;
        let mut consumer = consume(&channel, &queue, true).await;
        assert!(next(&mut consumer).await.data == body);
    });
}

#[test]
fn what_expires_or_is_rejected_goes_by_the_dead_letter_exchange() {
    play(|link| async move {
        let (_connection, channel) = link.channel().await;
        let dead = queue(&channel, FieldTable::default()).await;
        let mut arguments = FieldTable::default();
        arguments.insert("x-message-ttl".into(), AMQPValue::LongInt(100));
        arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString("".into()));
        arguments.insert("x-dead-letter-routing-key".into(), AMQPValue::LongString(dead.as_str().into()));
        let queue = queue(&channel, arguments).await;
        publish(&channel, &default(), queue.as_str(), b"late").await;
        let mut consumer = consume(&channel, &dead, true).await;
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.routing_key, dead);
        let headers = delivery.properties.headers().as_ref().expect("headers").inner();
        assert_eq!(headers.get("x-first-death-reason"), Some(&AMQPValue::LongString("expired".into())));
        assert_eq!(headers.get("x-first-death-queue"), Some(&AMQPValue::LongString(queue.as_str().into())));
        let Some(AMQPValue::FieldArray(deaths)) = headers.get("x-death") else { panic!("{headers:?}") };
        let [AMQPValue::FieldTable(death)] = deaths.as_slice() else { panic!("{deaths:?}") };
        assert_eq!(death.inner().get("count"), Some(&AMQPValue::LongLongInt(1)));
    });
}

#[test]
fn a_full_queue_refuses_or_drops_its_oldest_as_it_was_declared() {
    play(|link| async move {
        let (_connection, channel) = link.channel().await;
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        for (overflow, kept, refused) in [("drop-head", b"2", false), ("reject-publish", b"1", true)] {
            let mut arguments = FieldTable::default();
            arguments.insert("x-max-length".into(), AMQPValue::LongInt(1));
            arguments.insert("x-overflow".into(), AMQPValue::LongString(overflow.into()));
            let queue = queue(&channel, arguments).await;
            assert!(publish(&channel, &default(), queue.as_str(), b"1").await.is_ack());
            let second = publish(&channel, &default(), queue.as_str(), b"2").await;
            assert_eq!(matches!(second, Confirmation::Nack(_)), refused, "{overflow}: {second:?}");
            let options = BasicGetOptions { no_ack: true };
            let found = channel.basic_get(queue, options).await.expect("an answer").expect("one is there");
            assert_eq!((found.delivery.data.as_slice(), found.message_count), (&kept[..], 0), "{overflow}");
        }
    });
}

#[test]
fn a_transaction_is_done_whole_or_not_at_all() {
    play(|link| async move {
        let (connection, channel) = link.channel().await;
        let queue = queue(&channel, FieldTable::default()).await;
        let other = connection.create_channel().await.expect("a channel");
        let mut consumer = consume(&other, &queue, true).await;
        channel.tx_select().await.expect("a transaction");
        publish(&channel, &default(), queue.as_str(), b"forgotten").await;
        channel.tx_rollback().await.expect("rolled back");
        publish(&channel, &default(), queue.as_str(), b"done").await;
        assert!(is_quiet(&mut consumer).await);
        channel.tx_commit().await.expect("committed");
        assert_eq!(next(&mut consumer).await.data, b"done");
        assert!(is_quiet(&mut consumer).await);
    });
}

#[test]
fn refusals_have_their_codes_and_end_their_channel_alone() {
    play(|link| async move {
        let (connection, _channel) = link.channel().await;
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let channel = connection.create_channel().await.expect("a channel");
        let missing = channel.queue_declare(name("missing"), passive, FieldTable::default()).await;
        assert_eq!(code(missing), 404);

        let channel = connection.create_channel().await.expect("a channel");
        let own = queue(&channel, FieldTable::default()).await;
        let durable =
            QueueDeclareOptions { durable: true, exclusive: true, ..QueueDeclareOptions::default() };
        let again = channel.queue_declare(own.clone(), durable, FieldTable::default()).await;
        again.expect("an exclusive queue is not durable, whatever is said");
        let otherwise = QueueDeclareOptions { auto_delete: true, ..durable };
        assert_eq!(code(channel.queue_declare(own.clone(), otherwise, FieldTable::default()).await), 406);

        let (_other, channel) = link.channel().await;
        assert_eq!(code(channel.queue_purge(own.clone(), QueuePurgeOptions::default()).await), 405);

        let channel = connection.create_channel().await.expect("a channel");
        assert_eq!(code(channel.exchange_delete(default(), ExchangeDeleteOptions::default()).await), 403);

        let channel = connection.create_channel().await.expect("the connection lives");
        let found = channel.queue_declare(own, passive, FieldTable::default()).await.expect("it is there");
        assert_eq!((found.message_count(), found.consumer_count()), (0, 0));
    });
}

#[test]
fn a_consumer_ends_when_its_queue_is_deleted() {
    play(|link| async move {
        let (connection, channel) = link.channel().await;
        let queue = queue(&channel, FieldTable::default()).await;
        let mut consumer = consume(&channel, &queue, true).await;
        let other = connection.create_channel().await.expect("a channel");
        publish(&other, &default(), queue.as_str(), b"last").await;
        assert_eq!(next(&mut consumer).await.data, b"last");
        let deleted = other.queue_delete(queue, QueueDeleteOptions::default()).await.expect("deleted");
        assert_eq!(deleted, 0);
        let end = tokio::time::timeout(PATIENCE, consumer.next()).await.expect("it ends in time");
        assert!(end.is_none(), "{end:?}");
    });
}
