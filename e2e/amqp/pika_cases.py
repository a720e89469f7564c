"""Behaviour that users of AMQP 0-9-1 count on, told by pika: `pika_cases.py HOST:PORT [CASE...]`.

Every case holds on RabbitMQ as well. Prints a JSON object: for each case "ok", or what went wrong.
"""

import contextlib
import json
import sys
import threading
import time
import traceback
import uuid

import pika
from pika.exceptions import (
    AMQPConnectionError,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    NackError,
    UnroutableError,
)

HOST, PORT = "127.0.0.1", 5672
CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


@contextlib.contextmanager
def connect(**options):
    connection = pika.BlockingConnection(pika.ConnectionParameters(HOST, PORT, **options))
    try:
        yield connection
    finally:
        if connection.is_open:
            connection.close()


@contextlib.contextmanager
def channel(**options):
    with connect(**options) as connection:
        yield connection.channel()


def name(prefix="q"):
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def publish(ch, queue, body, exchange="", **properties):
    ch.basic_publish(exchange, queue, body, pika.BasicProperties(**properties))


def get(ch, queue, auto_ack=True, within=5.0):
    """Waits for a message, as nothing says that it is there the moment after it was published."""
    until = time.monotonic() + within
    while True:
        method, properties, body = ch.basic_get(queue, auto_ack=auto_ack)
        if method or time.monotonic() > until:
            return method, properties, body
        time.sleep(0.01)


def bodies(ch, queue, count, auto_ack=True):
    return [get(ch, queue, auto_ack)[2] for _ in range(count)]


def empty(ch, queue, after=0.15):
    time.sleep(after)
    return ch.basic_get(queue, auto_ack=True)[0] is None


def wait(condition, what, within=10.0):
    until = time.monotonic() + within
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.01)


def consumed(connection, ch, queue, count, within=10.0, **options):
    """Consumes `count` messages and acknowledges them."""
    got = []

    def take(ch, method, properties, body):
        got.append((method, properties, body))
        if not options.get("auto_ack"):
            ch.basic_ack(method.delivery_tag)

    tag = ch.basic_consume(queue, take, **options)
    until = time.monotonic() + within
    while len(got) < count and time.monotonic() < until:
        connection.process_data_events(0.05)
    ch.basic_cancel(tag)
    return got


def refused(code, action):
    """What a channel is closed with."""
    try:
        action()
    except ChannelClosedByBroker as error:
        assert error.reply_code == code, f"{error.reply_code} {error.reply_text} instead of {code}"
        return error.reply_text
    except ConnectionClosedByBroker as error:
        raise AssertionError(f"the connection was closed: {error}") from error
    raise AssertionError(f"not refused, {code} expected")


# Queues


@case
def a_message_goes_through_a_queue_by_its_name():
    with channel() as ch:
        queue = ch.queue_declare("", exclusive=True).method.queue
        assert queue.startswith("amq.gen"), queue
        publish(ch, queue, b"hello")
        method, properties, body = get(ch, queue)
        assert (body, method.exchange, method.routing_key, method.redelivered) == (b"hello", "", queue, False)
        assert method.message_count == 0
        assert empty(ch, queue)


@case
def declaring_tells_how_much_waits_and_who_consumes():
    with connect() as connection:
        ch = connection.channel()
        queue = name()
        ch.queue_declare(queue, auto_delete=False, durable=True)
        ch.confirm_delivery()
        for number in range(3):
            publish(ch, queue, str(number))
        frame = ch.queue_declare(queue, passive=True).method
        assert (frame.queue, frame.message_count, frame.consumer_count) == (queue, 3, 0), frame
        ch.basic_qos(prefetch_count=1)
        ch.basic_consume(queue, lambda *_: None)
        frame = connection.channel().queue_declare(queue, passive=True).method
        assert frame.consumer_count == 1, frame
        assert ch.queue_purge(queue).method.message_count >= 2
        ch.queue_delete(queue)
        refused(404, lambda: connection.channel().queue_declare(queue, passive=True))


@case
def a_queue_that_is_declared_otherwise_is_refused():
    with connect() as connection:
        queue = name()
        connection.channel().queue_declare(queue, durable=False)
        text = refused(406, lambda: connection.channel().queue_declare(queue, durable=True))
        assert "PRECONDITION_FAILED" in text and "durable" in text and queue in text, text
        refused(406, lambda: connection.channel().queue_declare(queue, arguments={"x-message-ttl": 1000}))
        connection.channel().queue_declare(queue, durable=False)
        connection.channel().queue_delete(queue)


@case
def what_is_not_there_is_not_found_and_only_the_channel_ends():
    with connect() as connection:
        missing = name()
        assert "NOT_FOUND" in refused(404, lambda: connection.channel().basic_get(missing))
        refused(404, lambda: connection.channel().basic_consume(missing, lambda *_: None))
        refused(404, lambda: connection.channel().queue_purge(missing))
        refused(404, lambda: connection.channel().exchange_declare(missing, passive=True))
        ch = connection.channel()
        ch.basic_publish(missing, "key", b"lost")
        refused(404, lambda: ch.queue_declare("", exclusive=True))
        ch = connection.channel()
        queue = ch.queue_declare("", exclusive=True).method.queue
        refused(404, lambda: ch.queue_bind(queue, missing, "key"))
        assert connection.is_open


@case
def an_exclusive_queue_is_its_connections_alone():
    with connect() as one, connect() as other:
        queue = name()
        ch = one.channel()
        ch.queue_declare(queue, exclusive=True)
        assert "RESOURCE_LOCKED" in refused(405, lambda: other.channel().queue_declare(queue, passive=True))
        refused(405, lambda: other.channel().basic_consume(queue, lambda *_: None))
        one.close()

        def is_gone():
            try:
                other.channel().queue_declare(queue, passive=True)
            except ChannelClosedByBroker as error:
                return error.reply_code == 404
            return False

        wait(is_gone, "the queue outlives its connection")


@case
def an_auto_delete_queue_goes_with_its_last_consumer():
    with connect() as connection:
        queue = name()
        ch = connection.channel()
        ch.queue_declare(queue, auto_delete=True)
        tags = [ch.basic_consume(queue, lambda *_: None) for _ in range(2)]
        ch.basic_cancel(tags[0])
        connection.channel().queue_declare(queue, passive=True)
        ch.basic_cancel(tags[1])
        refused(404, lambda: connection.channel().queue_declare(queue, passive=True))


@case
def deleting_asks_first_whether_it_is_used_or_empty():
    with connect() as connection:
        queue = name()
        ch = connection.channel()
        ch.confirm_delivery()
        ch.queue_declare(queue)
        publish(ch, queue, b"x")
        refused(406, lambda: connection.channel().queue_delete(queue, if_empty=True))
        user = connection.channel()
        user.basic_consume(queue, lambda *_: None)
        refused(406, lambda: connection.channel().queue_delete(queue, if_unused=True))
        user.close()
        assert connection.channel().queue_delete(queue).method.message_count == 1
        assert connection.channel().queue_delete(queue).method.message_count == 0, "there is nothing to delete"


@case
def names_of_the_brokers_own_are_refused():
    with connect() as connection:
        refused(403, lambda: connection.channel().queue_declare("amq.mine"))
        refused(403, lambda: connection.channel().exchange_declare("amq.mine"))
        refused(403, lambda: connection.channel().exchange_delete("amq.topic"))
        refused(406, lambda: connection.channel().exchange_declare("amq.topic", "direct", durable=True))


# Exchanges and bindings


@case
def a_direct_exchange_goes_by_the_key():
    with channel() as ch:
        exchange, queue = name("x"), ch.queue_declare("", exclusive=True).method.queue
        ch.exchange_declare(exchange, "direct", auto_delete=True)
        for key in ("red", "green"):
            ch.queue_bind(queue, exchange, key)
        for key in ("red", "blue", "green"):
            publish(ch, key, key, exchange)
        assert bodies(ch, queue, 2) == [b"red", b"green"]
        assert empty(ch, queue)
        ch.queue_unbind(queue, exchange, "red")
        publish(ch, "red", b"x", exchange)
        publish(ch, "green", b"y", exchange)
        method, _, body = get(ch, queue)
        assert (body, method.exchange, method.routing_key) == (b"y", exchange, "green")


@case
def a_fanout_exchange_gives_everybody_a_copy():
    with channel() as ch:
        exchange = name("x")
        ch.exchange_declare(exchange, "fanout", auto_delete=True)
        queues = [ch.queue_declare("", exclusive=True).method.queue for _ in range(3)]
        for queue in queues:
            ch.queue_bind(queue, exchange, "is not looked at")
            ch.queue_bind(queue, exchange, "twice")
        publish(ch, "", b"news", exchange)
        publish(ch, "some.key", b"more", exchange)
        for queue in queues:
            assert bodies(ch, queue, 2) == [b"news", b"more"]
            assert empty(ch, queue, 0.05)


@case
def a_topic_exchange_matches_words():
    with channel() as ch:
        for exchange in (name("x"), "amq.topic"):
            if exchange != "amq.topic":
                ch.exchange_declare(exchange, "topic", auto_delete=True)
            unique = name("k").replace("-", "")
            patterns = {
                f"{unique}.*.orange": ["a.orange"],
                f"{unique}.#": ["", "a", "a.orange", "a.b.c", "lazy.a.orange"],
                f"{unique}.#.orange": ["a.orange", "lazy.a.orange"],
                f"{unique}.*": ["a"],
                f"{unique}.lazy.#": ["lazy.a.orange"],
            }
            queues = {pattern: ch.queue_declare("", exclusive=True).method.queue for pattern in patterns}
            for pattern, queue in queues.items():
                ch.queue_bind(queue, exchange, pattern)
                ch.queue_bind(queue, exchange, pattern)
            for key in ("", "a", "a.orange", "a.b.c", "lazy.a.orange"):
                publish(ch, f"{unique}.{key}".rstrip("."), key, exchange)
            for pattern, expected in patterns.items():
                got = [body.decode() for body in bodies(ch, queues[pattern], len(expected))]
                assert got == expected, (exchange, pattern, got, expected)
                assert empty(ch, queues[pattern], 0.05), (exchange, pattern)


@case
def a_headers_exchange_matches_all_or_any():
    with channel() as ch:
        exchange = name("x")
        ch.exchange_declare(exchange, "headers", auto_delete=True)
        queue = {}
        for match in ("all", "any"):
            queue[match] = ch.queue_declare("", exclusive=True).method.queue
            arguments = {"x-match": match, "format": "pdf", "pages": 3}
            ch.queue_bind(queue[match], exchange, "", arguments)
        publish(ch, "", b"both", exchange, headers={"format": "pdf", "pages": 3, "more": True})
        publish(ch, "", b"one", exchange, headers={"format": "pdf", "pages": 4})
        publish(ch, "", b"none", exchange, headers={"format": "zip"})
        publish(ch, "", b"nothing", exchange)
        assert bodies(ch, queue["all"], 1) == [b"both"]
        assert bodies(ch, queue["any"], 2) == [b"both", b"one"]
        assert empty(ch, queue["all"]) and empty(ch, queue["any"], 0)


@case
def exchanges_are_bound_to_exchanges():
    with channel() as ch:
        first, second = name("x"), name("x")
        ch.exchange_declare(first, "topic")
        ch.exchange_declare(second, "fanout")
        ch.exchange_bind(second, first, "news.#")
        queue = ch.queue_declare("", exclusive=True).method.queue
        ch.queue_bind(queue, second)
        publish(ch, "news.today", b"yes", first)
        publish(ch, "weather", b"no", first)
        method, _, body = get(ch, queue)
        assert (body, method.exchange, method.routing_key) == (b"yes", first, "news.today")
        assert empty(ch, queue)
        ch.exchange_unbind(second, first, "news.#")
        publish(ch, "news.today", b"no more", first)
        assert empty(ch, queue)
        ch.exchange_delete(first)
        ch.exchange_delete(second)


@case
def an_alternate_exchange_gets_what_goes_nowhere():
    with channel() as ch:
        main, spare = name("x"), name("x")
        ch.exchange_declare(spare, "fanout")
        ch.exchange_declare(main, "direct", arguments={"alternate-exchange": spare})
        wanted, rest = (ch.queue_declare("", exclusive=True).method.queue for _ in range(2))
        ch.queue_bind(wanted, main, "known")
        ch.queue_bind(rest, spare)
        ch.confirm_delivery()
        ch.basic_publish(main, "known", b"1", mandatory=True)
        ch.basic_publish(main, "unknown", b"2", mandatory=True)
        assert bodies(ch, wanted, 1) == [b"1"]
        method, _, body = get(ch, rest)
        assert (body, method.routing_key) == (b"2", "unknown")
        assert empty(ch, wanted) and empty(ch, rest, 0)
        ch.exchange_delete(main)
        ch.exchange_delete(spare)


@case
def exchanges_are_checked_when_declared_and_used():
    with connect() as connection:
        exchange = name("x")
        connection.channel().exchange_declare(exchange, "direct")
        refused(406, lambda: connection.channel().exchange_declare(exchange, "fanout"))
        connection.channel().exchange_declare(exchange, passive=True)
        ch = connection.channel()
        queue = ch.queue_declare("", exclusive=True).method.queue
        ch.queue_bind(queue, exchange, "k")
        refused(406, lambda: connection.channel().exchange_delete(exchange, if_unused=True))
        connection.channel().exchange_delete(exchange)
        internal = name("x")
        connection.channel().exchange_declare(internal, internal=True)
        ch = connection.channel()
        ch.basic_publish(internal, "k", b"x")
        refused(403, lambda: ch.queue_declare("", exclusive=True))
        connection.channel().exchange_delete(internal)
        connection.channel().exchange_delete(internal)


@case
def an_auto_delete_exchange_goes_with_its_last_binding():
    with connect() as connection:
        ch = connection.channel()
        exchange, queue = name("x"), ch.queue_declare("", exclusive=True).method.queue
        ch.exchange_declare(exchange, "direct", auto_delete=True)
        ch.queue_bind(queue, exchange, "k")
        ch.queue_unbind(queue, exchange, "k")
        refused(404, lambda: connection.channel().exchange_declare(exchange, passive=True))


# Publishing


@case
def a_mandatory_message_that_goes_nowhere_comes_back():
    with connect() as connection:
        ch = connection.channel()
        returned = []
        ch.add_on_return_callback(lambda ch, method, properties, body: returned.append((method, properties, body)))
        ch.basic_publish("", name(), b"back", pika.BasicProperties(message_id="7"), mandatory=True)
        ch.basic_publish("", name(), b"gone", mandatory=False)
        until = time.monotonic() + 5
        while not returned and time.monotonic() < until:
            connection.process_data_events(0.05)
        assert len(returned) == 1, returned
        method, properties, body = returned[0]
        assert (method.reply_code, method.reply_text, body) == (312, "NO_ROUTE", b"back"), method
        assert properties.message_id == "7"
        ch = connection.channel()
        ch.confirm_delivery()
        try:
            ch.basic_publish("", name(), b"x", mandatory=True)
            raise AssertionError("it was not returned")
        except UnroutableError as error:
            assert error.messages[0].body == b"x"
        ch.basic_publish("", name(), b"acknowledged though nobody wants it")


@case
def publishes_are_confirmed():
    parameters = pika.ConnectionParameters(HOST, PORT)
    seen, done = [], threading.Event()
    total = 500

    def opened(connection):
        connection.channel(on_open_callback=ready)

    def ready(ch):
        ch.confirm_delivery(confirmed, callback=lambda _: ch.queue_declare("", exclusive=True, callback=declared))

        def send(queue):
            for number in range(total):
                ch.basic_publish("", queue, str(number))

        ready.send = send

    def declared(frame):
        ready.send(frame.method.queue)

    def confirmed(frame):
        method = frame.method
        seen.append((type(method).__name__, method.delivery_tag, method.multiple))
        if method.delivery_tag == total and settled() == total:
            connection.close()
        elif settled() == total:
            connection.close()

    def settled():
        tags = set()
        for _, tag, multiple in seen:
            tags.update(range(1, tag + 1) if multiple else [tag])
        return len(tags)

    connection = pika.SelectConnection(parameters, on_open_callback=opened, on_close_callback=lambda c, r: (done.set(), c.ioloop.stop()))
    timer = threading.Timer(15, lambda: connection.ioloop.add_callback_threadsafe(connection.ioloop.stop))
    timer.start()
    connection.ioloop.start()
    timer.cancel()
    assert settled() == total, f"{settled()} of {total} are confirmed"
    assert all(kind == "Ack" for kind, _, _ in seen), seen


@case
def every_property_and_type_of_header_comes_through():
    import datetime
    import decimal

    with channel() as ch:
        queue = ch.queue_declare("", exclusive=True).method.queue
        headers = {
            "text": "grüß dich",
            "long": pika.compat.long(2**40),
            "int": -5,
            "true": True,
            "nothing": None,
            "bytes": b"\x00\xff",
            "list": [1, "two", [3], {"four": 4}],
            "table": {"nested": {"deep": "er"}},
            "decimal": decimal.Decimal("3.14"),
            "time": datetime.datetime(2026, 11, 21, 12, 0, 0, tzinfo=datetime.timezone.utc),
        }
        properties = pika.BasicProperties(
            content_type="text/plain",
            content_encoding="utf-8",
            headers=headers,
            delivery_mode=2,
            priority=7,
            correlation_id="c-1",
            reply_to="some.where",
            expiration="60000",
            message_id="m-1",
            timestamp=1763726400,
            type="kind",
            user_id="guest",
            app_id="app",
        )
        ch.basic_publish("", queue, b"body", properties)
        _, got, _ = get(ch, queue)
        sent_time, got_time = headers.pop("time"), got.headers.pop("time")
        assert got_time.replace(tzinfo=sent_time.tzinfo) == sent_time, got_time
        for field in vars(properties):
            assert getattr(got, field) == getattr(properties, field), (field, getattr(got, field), getattr(properties, field))


@case
def bodies_of_any_size_come_through():
    with connect() as connection:
        ch = connection.channel()
        queue = ch.queue_declare("", exclusive=True).method.queue
        sizes = [0, 1, 4096, 131_063, 131_064, 131_065, 262_000]
        for size in sizes:
            publish(ch, queue, bytes([size % 251]) * size)
        got = consumed(connection, ch, queue, len(sizes))
        assert [len(body) for _, _, body in got] == sizes
        assert all(body == bytes([size % 251]) * size for size, (_, _, body) in zip(sizes, got))


# Consuming


@case
def workers_share_a_queue_and_each_message_goes_to_one():
    with connect() as a, connect() as b:
        queue = name()
        ch = a.channel()
        ch.queue_declare(queue)
        got = {"a": [], "b": []}
        for key, connection in (("a", a), ("b", b)):
            worker = connection.channel()
            worker.basic_qos(prefetch_count=1)

            def take(ch, method, properties, body, key=key):
                got[key].append(int(body))
                ch.basic_ack(method.delivery_tag)

            worker.basic_consume(queue, take)
        for number in range(40):
            publish(ch, queue, str(number))
        until = time.monotonic() + 10
        while len(got["a"]) + len(got["b"]) < 40 and time.monotonic() < until:
            a.process_data_events(0.01)
            b.process_data_events(0.01)
        assert sorted(got["a"] + got["b"]) == list(range(40)), got
        assert len(got["a"]) >= 10 and len(got["b"]) >= 10, got
        ch.queue_delete(queue)


@case
def prefetch_bounds_what_is_unacknowledged():
    with connect() as connection:
        ch = connection.channel()
        queue = ch.queue_declare("", exclusive=True).method.queue
        ch.basic_qos(prefetch_count=3)
        got = []
        ch.basic_consume(queue, lambda ch, method, properties, body: got.append(method.delivery_tag))
        for number in range(10):
            publish(ch, queue, str(number))
        for _ in range(10):
            connection.process_data_events(0.05)
        assert got == [1, 2, 3], got
        ch.basic_ack(2, multiple=True)
        for _ in range(10):
            connection.process_data_events(0.05)
        assert got == [1, 2, 3, 4, 5], got
        # One bound for all consumers of a channel.
        shared = connection.channel()
        shared.basic_qos(prefetch_count=2, global_qos=True)
        other = shared.queue_declare("", exclusive=True).method.queue
        seen = []
        for _ in range(2):
            shared.basic_consume(other, lambda ch, method, properties, body: seen.append(method.delivery_tag))
        for number in range(8):
            publish(shared, other, str(number))
        for _ in range(10):
            connection.process_data_events(0.05)
        assert sorted(seen) == [1, 2], seen
        shared.basic_ack(1)
        for _ in range(10):
            connection.process_data_events(0.05)
        assert sorted(seen) == [1, 2, 3], seen


@case
def what_is_not_acknowledged_comes_again():
    with connect() as connection:
        queue = name()
        with connect() as first:
            ch = first.channel()
            ch.queue_declare(queue)
            ch.confirm_delivery()
            for number in range(5):
                publish(ch, queue, str(number))
            got = []
            ch.basic_consume(queue, lambda ch, method, properties, body: got.append((method.delivery_tag, body)))
            until = time.monotonic() + 5
            while len(got) < 5 and time.monotonic() < until:
                first.process_data_events(0.05)
            ch.basic_ack(got[1][0])
        ch = connection.channel()
        got = consumed(connection, ch, queue, 4)
        assert [(body, method.redelivered) for method, _, body in got] == [
            (b"0", True),
            (b"2", True),
            (b"3", True),
            (b"4", True),
        ], got
        assert empty(ch, queue)
        ch.queue_delete(queue)


@case
def a_rejected_message_goes_back_or_away():
    with channel() as ch:
        queue = ch.queue_declare("", exclusive=True).method.queue
        for body in (b"1", b"2", b"3"):
            publish(ch, queue, body)
        method, _, body = get(ch, queue, auto_ack=False)
        ch.basic_nack(method.delivery_tag, requeue=True)
        method, _, body = get(ch, queue, auto_ack=False)
        assert (body, method.redelivered) == (b"1", True), "it goes back to its place"
        ch.basic_reject(method.delivery_tag, requeue=False)
        first = get(ch, queue, auto_ack=False)
        second = get(ch, queue, auto_ack=False)
        assert (first[2], second[2]) == (b"2", b"3")
        ch.basic_nack(second[0].delivery_tag, multiple=True, requeue=True)
        again = [get(ch, queue, auto_ack=True) for _ in range(2)]
        assert [(body, method.redelivered) for method, _, body in again] == [(b"2", True), (b"3", True)]
        assert empty(ch, queue)


@case
def recovering_brings_back_what_is_unacknowledged():
    with channel() as ch:
        queue = ch.queue_declare("", exclusive=True).method.queue
        for body in (b"1", b"2"):
            publish(ch, queue, body)
        for _ in range(2):
            get(ch, queue, auto_ack=False)
        assert empty(ch, queue)
        ch.basic_recover(requeue=True)
        again = [get(ch, queue) for _ in range(2)]
        assert [(body, method.redelivered) for method, _, body in again] == [(b"1", True), (b"2", True)]


@case
def acknowledging_what_was_never_delivered_ends_the_channel():
    with connect() as connection:
        ch = connection.channel()
        ch.basic_ack(99)
        assert "unknown delivery tag 99" in refused(406, lambda: ch.queue_declare("", exclusive=True))
        assert connection.is_open


@case
def consumers_are_told_when_their_queue_goes():
    with connect() as connection:
        queue = name()
        ch = connection.channel()
        ch.queue_declare(queue)
        canceled = []
        ch.add_on_cancel_callback(lambda frame: canceled.append(frame.method.consumer_tag))
        tag = ch.basic_consume(queue, lambda *_: None)
        connection.channel().queue_delete(queue)
        until = time.monotonic() + 5
        while not canceled and time.monotonic() < until:
            connection.process_data_events(0.05)
        assert canceled == [tag], canceled


@case
def an_exclusive_consumer_is_alone():
    with connect() as connection:
        queue = name()
        ch = connection.channel()
        ch.queue_declare(queue)
        tag = ch.basic_consume(queue, lambda *_: None, exclusive=True)
        refused(403, lambda: connection.channel().basic_consume(queue, lambda *_: None))
        ch.basic_cancel(tag)
        other = connection.channel()
        other.basic_consume(queue, lambda *_: None, consumer_tag="mine")
        try:
            other.basic_consume(queue, lambda *_: None, consumer_tag="mine")
            raise AssertionError("two consumers have one tag")
        except (ConnectionClosedByBroker, ChannelClosedByBroker, pika.exceptions.DuplicateConsumerTag):
            pass
        with connect() as again:
            again.channel().queue_delete(queue)


# What queues do by themselves


@case
def messages_expire_by_their_queue_or_by_themselves():
    with channel() as ch:
        queue = ch.queue_declare("", exclusive=True, arguments={"x-message-ttl": 200}).method.queue
        own = ch.queue_declare("", exclusive=True).method.queue
        publish(ch, queue, b"queue")
        publish(ch, own, b"own", expiration="200")
        publish(ch, own, b"stays")
        assert get(ch, queue, within=0.1)[2] == b"queue"
        publish(ch, queue, b"late")
        time.sleep(0.6)
        assert ch.basic_get(queue, auto_ack=True)[0] is None
        assert get(ch, own)[2] == b"stays"


@case
def an_unused_queue_expires():
    with connect() as connection:
        queue = name()
        ch = connection.channel()
        ch.queue_declare(queue, arguments={"x-expires": 300})
        time.sleep(0.15)
        ch.queue_declare(queue, passive=True)
        time.sleep(1.0)
        refused(404, lambda: ch.queue_declare(queue, passive=True))


@case
def a_bounded_queue_drops_its_oldest_or_refuses():
    with channel() as ch:
        queue = ch.queue_declare("", exclusive=True, arguments={"x-max-length": 3}).method.queue
        for number in range(6):
            publish(ch, queue, str(number))
        time.sleep(0.2)
        assert bodies(ch, queue, 3) == [b"3", b"4", b"5"]
        assert empty(ch, queue)
        size = ch.queue_declare("", exclusive=True, arguments={"x-max-length-bytes": 10}).method.queue
        for body in (b"aaaaa", b"bbbbb", b"ccccc"):
            publish(ch, size, body)
        time.sleep(0.2)
        assert bodies(ch, size, 2) == [b"bbbbb", b"ccccc"]
        strict = ch.queue_declare(
            "", exclusive=True, arguments={"x-max-length": 2, "x-overflow": "reject-publish"}
        ).method.queue
        ch.confirm_delivery()
        outcomes = []
        for number in range(4):
            try:
                publish(ch, strict, str(number))
                outcomes.append("ack")
            except NackError:
                outcomes.append("nack")
        assert outcomes == ["ack", "ack", "nack", "nack"], outcomes
        assert bodies(ch, strict, 2) == [b"0", b"1"]


@case
def dead_letters_go_by_their_exchange_and_say_why():
    with channel() as ch:
        exchange = name("dlx")
        ch.exchange_declare(exchange, "direct", auto_delete=False)
        dead = ch.queue_declare("", exclusive=True).method.queue
        ch.queue_bind(dead, exchange, "dead")
        arguments = {"x-dead-letter-exchange": exchange, "x-dead-letter-routing-key": "dead", "x-message-ttl": 300}
        queue = ch.queue_declare("", exclusive=True, arguments=arguments | {"x-max-length": 2}).method.queue
        publish(ch, queue, b"rejected", message_id="1", headers={"mine": "kept"})
        method, _, _ = get(ch, queue, auto_ack=False)
        ch.basic_reject(method.delivery_tag, requeue=False)
        method, properties, body = get(ch, dead)
        assert (body, method.exchange, method.routing_key) == (b"rejected", exchange, "dead")
        assert (properties.message_id, properties.headers["mine"]) == ("1", "kept")
        death = properties.headers["x-death"][0]
        assert (death["reason"], death["queue"], death["count"], death["exchange"], death["routing-keys"]) == (
            "rejected",
            queue,
            1,
            "",
            [queue],
        ), death
        assert properties.headers["x-first-death-reason"] == "rejected"
        assert properties.headers["x-first-death-queue"] == queue
        for body in (b"a", b"b", b"c"):
            publish(ch, queue, body)
        _, properties, body = get(ch, dead)
        assert (body, properties.headers["x-death"][0]["reason"]) == (b"a", "maxlen"), (body, properties.headers)
        for expected in (b"b", b"c"):
            _, properties, body = get(ch, dead)
            assert (body, properties.headers["x-death"][0]["reason"]) == (expected, "expired"), (body, properties.headers)
        ch.exchange_delete(exchange)


# Requests and transactions


@case
def a_request_is_answered_by_direct_reply_to():
    with connect() as asker, connect() as server:
        queue = name("rpc")
        serving = server.channel()
        serving.queue_declare(queue, exclusive=True)

        def serve(ch, method, properties, body):
            assert properties.reply_to.startswith("amq.rabbitmq.reply-to"), properties.reply_to
            answer = pika.BasicProperties(correlation_id=properties.correlation_id)
            ch.basic_publish("", properties.reply_to, body.upper(), answer)

        serving.basic_consume(queue, serve, auto_ack=True)
        ch = asker.channel()
        answers = []
        ch.basic_consume(
            "amq.rabbitmq.reply-to",
            lambda ch, method, properties, body: answers.append((properties.correlation_id, body)),
            auto_ack=True,
        )
        for number in range(3):
            properties = pika.BasicProperties(reply_to="amq.rabbitmq.reply-to", correlation_id=str(number))
            ch.basic_publish("", queue, b"ask%d" % number, properties)
        until = time.monotonic() + 5
        while len(answers) < 3 and time.monotonic() < until:
            server.process_data_events(0.02)
            asker.process_data_events(0.02)
        assert answers == [("0", b"ASK0"), ("1", b"ASK1"), ("2", b"ASK2")], answers
        bad = asker.channel()
        bad.basic_publish("", queue, b"x", pika.BasicProperties(reply_to="amq.rabbitmq.reply-to"))
        refused(406, lambda: bad.queue_declare("", exclusive=True))


@case
def a_transaction_takes_effect_whole_or_not_at_all():
    with connect() as connection:
        ch = connection.channel()
        queue = ch.queue_declare("", exclusive=True).method.queue
        ch.tx_select()
        publish(ch, queue, b"1")
        watching = connection.channel()
        assert empty(watching, queue)
        ch.tx_commit()
        publish(ch, queue, b"never")
        ch.tx_rollback()
        method, _, body = get(ch, queue, auto_ack=False)
        assert body == b"1"
        ch.basic_ack(method.delivery_tag)
        ch.tx_rollback()
        ch.basic_ack(method.delivery_tag)
        ch.tx_commit()
        ch.close()
        assert empty(watching, queue)
        refused(406, lambda: connection.channel().tx_commit())


# Connections


@case
def a_wrong_host_or_a_second_channel_of_a_number_is_refused():
    try:
        with connect(virtual_host="/nowhere"):
            raise AssertionError("it was let in")
    except ConnectionClosedByBroker as error:
        assert error.reply_code == 530, error
    except AMQPConnectionError as error:
        assert "530" in repr(error) or "NOT_ALLOWED" in repr(error), repr(error)


@case
def many_channels_have_lives_of_their_own():
    with connect() as connection:
        channels = [connection.channel() for _ in range(50)]
        queues = [ch.queue_declare("", exclusive=True).method.queue for ch in channels]
        refused(404, lambda: channels[7].basic_get(name()))
        for ch, queue in zip(channels, queues):
            if ch.is_open:
                publish(ch, queue, queue)
        for ch, queue in zip(channels, queues):
            if ch.is_open:
                assert get(ch, queue)[2] == queue.encode()
        assert channels[7].is_closed and sum(ch.is_open for ch in channels) == 49


@case
def a_channel_stops_and_resumes_what_it_is_sent():
    with connect() as connection:
        ch = connection.channel()
        queue = ch.queue_declare("", exclusive=True).method.queue
        got = consumed(connection, ch, queue, 0, within=0.1)
        assert got == []
        publish(ch, queue, b"x")
        generator = ch.consume(queue, inactivity_timeout=5)
        method, _, body = next(generator)
        assert body == b"x"
        ch.basic_ack(method.delivery_tag)
        assert ch.cancel() == 0


def main():
    global HOST, PORT
    HOST, port = sys.argv[1].rsplit(":", 1)
    PORT = int(port)
    results = {}
    for title in sys.argv[2:] or CASES:
        try:
            CASES[title]()
            results[title] = "ok"
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)
            line = next((frame.lineno for frame in reversed(where) if frame.filename == __file__), 0)
            results[title] = f"line {line}: {type(error).__name__}: {error}"[:600]
    print(json.dumps(results))


main()
