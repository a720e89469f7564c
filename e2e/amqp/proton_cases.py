"""Behaviour that users of AMQP 1.0 count on, told by qpid-proton: `proton_cases.py HOST:PORT [CASE...]`.

Prints a JSON object: for each case "ok", or what went wrong.
"""

import contextlib
import json
import sys
import time
import traceback
import uuid

from proton import (
    Data,
    Delivery,
    Message,
    Timeout,
    symbol,
    ulong,
)
from proton.handlers import MessagingHandler
from proton.reactor import (
    AtMostOnce,
    Container,
    LinkOption,
)
from proton import LinkException
from proton.utils import BlockingConnection, LinkDetached, SendException

ADDRESS = "127.0.0.1:5672"
CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


@contextlib.contextmanager
def connect(**options):
    connection = BlockingConnection(ADDRESS, timeout=10, **options)
    try:
        yield connection
    finally:
        with contextlib.suppress(Exception):
            connection.close()


def name(prefix="q"):
    return f"{prefix}{uuid.uuid4().hex[:12]}"


def nothing(receiver, within=0.3):
    try:
        message = receiver.receive(timeout=within)
    except Timeout:
        return True
    raise AssertionError(f"there was {message}")


class Capabilities(LinkOption):
    def __init__(self, *names):
        self.names = names

    def apply(self, link):
        terminus = link.source if link.is_receiver else link.target
        terminus.capabilities.put_array(False, Data.SYMBOL)
        terminus.capabilities.enter()
        for one in self.names:
            terminus.capabilities.put_symbol(symbol(one))
        terminus.capabilities.exit()


@case
def a_queue_keeps_what_is_sent_until_somebody_receives():
    with connect() as connection:
        queue = name()
        sender = connection.create_sender(queue)
        for number in range(10):
            sender.send(Message(body=f"m{number}"))
        sender.close()
        receiver = connection.create_receiver(queue, credit=10)
        got = []
        for _ in range(10):
            got.append(receiver.receive(timeout=5).body)
            receiver.accept()
        assert got == [f"m{number}" for number in range(10)], got
        assert nothing(receiver)


@case
def accepted_messages_are_gone_and_others_come_again():
    queue = name()
    with connect() as connection:
        sender = connection.create_sender(queue)
        for number in range(4):
            sender.send(Message(id=number, body=str(number)))
        receiver = connection.create_receiver(queue, credit=4)
        for _ in range(4):
            receiver.receive(timeout=5)
        receiver.accept()
    with connect() as connection:
        receiver = connection.create_receiver(queue, credit=4)
        got = []
        for _ in range(3):
            message = receiver.receive(timeout=5)
            got.append((message.id, message.first_acquirer))
            receiver.accept()
        assert [number for number, _ in got] == [1, 2, 3], got
        assert nothing(receiver)


@case
def receivers_of_a_queue_share_its_messages():
    with connect() as one, connect() as other:
        queue = name()
        receivers = [connection.create_receiver(queue, credit=1) for connection in (one, other)]
        sender = one.create_sender(queue)
        for number in range(20):
            sender.send(Message(body=number))
        got = [[], []]
        until = time.monotonic() + 10
        while sum(map(len, got)) < 20 and time.monotonic() < until:
            for mine, receiver in zip(got, receivers):
                with contextlib.suppress(Timeout):
                    mine.append(receiver.receive(timeout=0.05).body)
                    receiver.accept()
        assert sorted(got[0] + got[1]) == list(range(20)), got
        assert got[0] and got[1], got


@case
def a_receiver_gets_no_more_than_its_credit():
    class Receive(MessagingHandler):
        def __init__(self, queue):
            super().__init__(prefetch=0, auto_accept=True)
            self.queue, self.got, self.granted = queue, [], 3

        def on_start(self, event):
            self.connection = event.container.connect(ADDRESS, reconnect=False)
            self.receiver = event.container.create_receiver(self.connection, self.queue)
            self.sender = event.container.create_sender(self.connection, self.queue)
            self.sent = False
            self.task = event.container.schedule(0.5, self)

        def on_sendable(self, event):
            if not self.sent:
                self.sent = True
                for number in range(8):
                    self.sender.send(Message(body=number))
                self.receiver.flow(3)

        def on_message(self, event):
            self.got.append(event.message.body)

        def on_timer_task(self, event):
            self.seen = getattr(self, "seen", []) + [len(self.got)]
            if len(self.seen) == 1:
                self.receiver.flow(2)
                event.container.schedule(0.5, self)
            else:
                self.connection.close()

    handler = Receive(name())
    Container(handler).run()
    assert handler.seen == [3, 5], handler.seen


@case
def drained_credit_comes_back():
    class Drain(MessagingHandler):
        def __init__(self, queue):
            super().__init__(prefetch=0)
            self.queue, self.got, self.drained = queue, 0, 0

        def on_start(self, event):
            self.connection = event.container.connect(ADDRESS, reconnect=False)
            self.sender = event.container.create_sender(self.connection, self.queue)
            self.confirmed = 0
            self.timeout = event.container.schedule(5, self)

        def on_sendable(self, event):
            if event.link == self.sender and not self.confirmed and not event.link.unsettled:
                for number in range(2):
                    self.sender.send(Message(body=number))

        def on_accepted(self, event):
            self.confirmed += 1
            if self.confirmed == 2:
                self.receiver = event.container.create_receiver(self.connection, self.queue)

        def on_link_opened(self, event):
            if event.link.is_receiver:
                self.receiver.drain(10)

        def on_message(self, event):
            self.got += 1

        def on_link_flow(self, event):
            if event.link.is_receiver and self.receiver.credit == 0 and not self.drained:
                self.drained = self.got
                self.timeout.cancel()
                self.connection.close()

        def on_timer_task(self, event):
            self.connection.close()

    handler = Drain(name())
    Container(handler).run()
    assert (handler.got, handler.drained) == (2, 2), (handler.got, handler.drained)


@case
def a_released_message_comes_again_and_a_rejected_one_does_not():
    with connect() as connection:
        queue = name()
        sender = connection.create_sender(queue)
        for body in ("release", "reject", "accept"):
            sender.send(Message(body=body))
        receiver = connection.create_receiver(queue, credit=1)
        got = []
        for _ in range(4):
            body = receiver.receive(timeout=5).body
            # Whether the next one is on its way already when this one is released is a matter of time.
            if body == "release" and body not in got:
                receiver.release(delivered=False)
            elif body == "reject":
                receiver.reject()
            else:
                receiver.accept()
            got.append(body)
        assert sorted(got) == ["accept", "reject", "release", "release"], got
        assert nothing(receiver)


@case
def a_modified_message_counts_its_failures():
    with connect() as connection:
        queue = name()
        connection.create_sender(queue).send(Message(body="x"))
        receiver = connection.create_receiver(queue, credit=1)
        for failures in range(3):
            message = receiver.receive(timeout=5)
            assert (message.body, message.delivery_count) == ("x", failures), message
            delivery = receiver.fetcher.unsettled.popleft()
            delivery.local.failed = True
            delivery.update(Delivery.MODIFIED)
            delivery.settle()
        receiver.receive(timeout=5)
        receiver.accept()
        assert nothing(receiver)


@case
def settled_messages_are_sent_and_received():
    with connect() as connection:
        queue = name()
        sender = connection.create_sender(queue, options=AtMostOnce())
        for number in range(5):
            sender.link.send(Message(body=number))
        receiver = connection.create_receiver(queue, credit=5, options=AtMostOnce())
        assert [receiver.receive(timeout=5).body for _ in range(5)] == list(range(5))
    with connect() as connection:
        assert nothing(connection.create_receiver(queue, credit=5))


@case
def a_message_comes_as_it_was_sent():
    with connect() as connection:
        queue = name()
        message = Message(
            id=ulong(7),
            user_id=b"guest",
            address=queue,
            subject="subject",
            reply_to="somewhere",
            correlation_id="c-1",
            content_type=symbol("text/plain"),
            content_encoding=symbol("utf-8"),
            expiry_time=4_000_000_000,
            creation_time=1_763_726_400,
            group_id="group",
            group_sequence=3,
            reply_to_group_id="others",
            durable=True,
            priority=7,
            properties={"text": "grüß", "number": 5, "yes": True, "float": 1.5},
            body="body",
        )
        connection.create_sender(queue).send(message)
        got = connection.create_receiver(queue, credit=1).receive(timeout=5)
        for field in (
            "id",
            "subject",
            "reply_to",
            "correlation_id",
            "content_type",
            "content_encoding",
            "creation_time",
            "group_id",
            "durable",
            "priority",
            "properties",
            "body",
        ):
            assert getattr(got, field) == getattr(message, field), (field, getattr(got, field), getattr(message, field))


@case
def bodies_of_every_kind_come_through():
    bodies = [
        "text",
        b"\x00bytes\xff",
        5,
        -(2**40),
        2.5,
        True,
        None,
        [1, "two", [3]],
        {"a": 1, "b": {"c": [True, None]}},
        uuid.uuid4(),
        symbol("symbol"),
    ]
    with connect() as connection:
        queue = name()
        sender = connection.create_sender(queue)
        receiver = connection.create_receiver(queue, credit=len(bodies))
        for body in bodies:
            sender.send(Message(body=body))
        for body in bodies:
            # A body of bytes is a view into its message.
            message = receiver.receive(timeout=5)
            got = bytes(message.body) if isinstance(message.body, memoryview) else message.body
            assert got == body, (got, body)
            receiver.accept()


@case
def a_message_of_many_frames_comes_through():
    with connect(max_frame_size=4096) as connection:
        queue = name()
        sender = connection.create_sender(queue)
        receiver = connection.create_receiver(queue, credit=3)
        for size in (1, 10_000, 200_000):
            body = bytes(number % 251 for number in range(size))
            sender.send(Message(body=body, inferred=True))
            message = receiver.receive(timeout=10)
            assert bytes(message.body) == body
            receiver.accept()


@case
def requests_are_answered_at_a_dynamic_address():
    with connect() as server, connect() as client:
        queue = name()
        receiver = server.create_receiver(queue, credit=5)
        asker = client.create_receiver(None, credit=5, dynamic=True)
        address = asker.link.remote_source.address
        assert address, "no address was made"
        sender = client.create_sender(queue)
        for number in range(3):
            sender.send(Message(body=f"ask {number}", reply_to=address, correlation_id=number))
        for _ in range(3):
            request = receiver.receive(timeout=5)
            receiver.accept()
            answering = server.create_sender(request.reply_to)
            answering.send(Message(body=request.body.upper(), correlation_id=request.correlation_id))
            answering.close()
        got = [asker.receive(timeout=5) for _ in range(3)]
        assert [(m.correlation_id, m.body) for m in got] == [(n, f"ASK {n}") for n in range(3)], got


@case
def a_topic_gives_everybody_a_copy_by_pattern():
    with connect() as connection:
        unique = name("t")
        everything = connection.create_receiver(f"/topic/{unique}.#", credit=10)
        one = connection.create_receiver(f"/topic/{unique}.*.end", credit=10)
        for key in ("a", "a.end", "a.b.end"):
            sender = connection.create_sender(f"/topic/{unique}.{key}")
            sender.send(Message(body=key))
            sender.close()
        assert [everything.receive(timeout=5).body for _ in range(3)] == ["a", "a.end", "a.b.end"]
        assert one.receive(timeout=5).body == "a.end"
        assert nothing(one)


@case
def an_exchange_is_sent_to_and_received_from():
    with connect() as connection:
        key = name("k")
        receiver = connection.create_receiver(f"/exchange/amq.direct/{key}", credit=10)
        sender = connection.create_sender(f"/exchange/amq.direct/{key}")
        sender.send(Message(body="by its target"))
        assert receiver.receive(timeout=5).body == "by its target"
        by_subject = connection.create_sender("/exchange/amq.direct")
        by_subject.send(Message(body="by its subject", subject=key))
        assert receiver.receive(timeout=5).body == "by its subject"


@case
def an_address_that_is_none_ends_the_link_or_its_session_only():
    with connect() as connection:
        for address in ("/exchange/" + name("missing"), "/amq/queue/" + name("missing")):
            try:
                with connect() as other:
                    other.create_receiver(address)
                    raise AssertionError(f"{address} was attached to")
            except (LinkDetached, LinkException):
                pass
            except Exception as error:  # RabbitMQ ends the session.
                assert "not" in str(error).lower(), error
        queue = name()
        connection.create_sender(queue).send(Message(body="still here"))
        assert connection.create_receiver(queue, credit=1).receive(timeout=5).body == "still here"


@case
def many_links_share_a_connection():
    with connect() as connection:
        queues = [name() for _ in range(40)]
        senders = [connection.create_sender(queue) for queue in queues]
        receivers = [connection.create_receiver(queue, credit=1) for queue in queues]
        for queue, sender in zip(queues, senders):
            sender.send(Message(body=queue))
        for queue, receiver in zip(queues, receivers):
            assert receiver.receive(timeout=5).body == queue
            receiver.accept()


@case
def a_connection_that_is_silent_is_kept_alive():
    with connect(heartbeat=1) as connection:
        queue = name()
        receiver = connection.create_receiver(queue, credit=1)
        assert nothing(receiver, 3.0)
        connection.create_sender(queue).send(Message(body="awake"))
        assert receiver.receive(timeout=5).body == "awake"


@case
def thousands_of_messages_flow():
    total = 5_000

    class Flow(MessagingHandler):
        def __init__(self, queue):
            super().__init__(prefetch=100)
            self.queue, self.sent, self.confirmed, self.got = queue, 0, 0, []

        def on_start(self, event):
            self.connection = event.container.connect(ADDRESS, reconnect=False)
            self.receiver = event.container.create_receiver(self.connection, self.queue)
            self.sender = event.container.create_sender(self.connection, self.queue)
            self.timeout = event.container.schedule(30, self)

        def on_sendable(self, event):
            while event.sender.credit and self.sent < total:
                event.sender.send(Message(body=self.sent))
                self.sent += 1

        def on_accepted(self, event):
            self.confirmed += 1
            self.end()

        def on_message(self, event):
            self.got.append(event.message.body)
            self.end()

        def end(self):
            if self.confirmed == total and len(self.got) == total:
                self.timeout.cancel()
                self.connection.close()

        def on_timer_task(self, event):
            self.connection.close()

    handler = Flow(name())
    Container(handler).run()
    assert handler.confirmed == total, f"{handler.confirmed} are confirmed"
    assert handler.got == list(range(total)), f"{len(handler.got)} came"


# What this node does besides


@case
def an_address_is_a_topic_of_everybody():
    with connect() as connection:
        address = f"fleet/{name()}"
        receivers = [connection.create_receiver(f"{address}/#", credit=5, name=name()) for _ in range(2)]
        plain = connection.create_receiver(f"{address}/temperature", credit=5)
        connection.create_sender(f"{address}/temperature").send(Message(body="21"))
        for receiver in (*receivers, plain):
            message = receiver.receive(timeout=5)
            assert message.body == "21", message
            receiver.accept()


@case
def links_of_one_name_share_the_work():
    with connect() as one, connect() as other:
        address, group = f"work/{name()}", name("g")
        receivers = [c.create_receiver(address, credit=10, name=group, options=Capabilities("shared")) for c in (one, other)]
        sender = one.create_sender(address)
        for number in range(10):
            sender.send(Message(body=number))
        got = [[], []]
        until = time.monotonic() + 5
        while sum(map(len, got)) < 10 and time.monotonic() < until:
            for mine, receiver in zip(got, receivers):
                with contextlib.suppress(Timeout):
                    mine.append(receiver.receive(timeout=0.05).body)
                    receiver.accept()
        assert sorted(got[0] + got[1]) == list(range(10)), got
        assert got[0] and got[1], got


@case
def each_message_may_say_where_it_goes():
    with connect() as connection:
        first, second = name(), f"a/{name()}"
        receivers = [connection.create_receiver(address, credit=2) for address in (first, second)]
        sender = connection.create_sender(None)
        for address in (first, second):
            sender.send(Message(address=address, body=address))
        for address, receiver in zip((first, second), receivers):
            assert receiver.receive(timeout=5).body == address
        try:
            sender.send(Message(body="nowhere"))
            raise AssertionError("a message without an address was accepted")
        except SendException:
            pass


@case
def a_last_value_is_kept_for_who_comes_later():
    with connect() as connection:
        address = f"state/{name()}"
        message = Message(body=b"on", inferred=True, annotations={symbol("x-opt-retain"): True})
        connection.create_sender(address).send(message)
        receiver = connection.create_receiver(address, credit=5)
        got = receiver.receive(timeout=5)
        assert bytes(got.body) == b"on", got
        assert got.annotations["x-opt-retain"] is True, got.annotations


@case
def a_message_that_is_too_large_is_refused():
    with connect() as connection:
        queue = name()
        sender = connection.create_sender(queue)
        try:
            sender.send(Message(body=b"x" * 400_000, inferred=True))
            raise AssertionError("it was accepted")
        except (SendException, LinkDetached):
            pass
        again = connection.create_sender(queue)
        again.send(Message(body="small"))
        assert connection.create_receiver(queue, credit=1).receive(timeout=5).body == "small"


def main():
    global ADDRESS
    ADDRESS = sys.argv[1]
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
