"""Clients that stay whatever happens to the node: `steadfast.py HOST:PORT publish|consume QUEUE [COUNT]`.

`publish` publishes numbers to a durable queue, each confirmed before the next hundred, and repeats those that were not
confirmed when a connection was lost, until its input ends; then it prints the numbers that were confirmed. `consume` takes
what is there and acknowledges it, until nothing comes for two seconds and its input has ended; then it prints what it got.
"""

import json
import sys
import threading
import time

import pika

host, port = sys.argv[1].rsplit(":", 1)
role, queue = sys.argv[2:4]
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()


def connect():
    while True:
        try:
            return pika.BlockingConnection(pika.ConnectionParameters(host, int(port), socket_timeout=5))
        except pika.exceptions.AMQPError:
            time.sleep(0.05)


def publish():
    confirmed, number = [], 0
    while not ended.is_set():
        try:
            channel = connect().channel()
            channel.queue_declare(queue, durable=True)
            channel.confirm_delivery()
            while not ended.is_set():
                properties = pika.BasicProperties(delivery_mode=2)
                channel.basic_publish("", queue, str(number), properties, mandatory=True)
                confirmed.append(number)
                number += 1
                if number % 50 == 0:
                    print(json.dumps({"confirmed": number}))
        except pika.exceptions.AMQPError:
            # What was on its way may have been taken: it has a number of its own, and goes once more.
            pass
    return confirmed


def consume():
    got, last = [], time.monotonic()
    while True:
        try:
            channel = connect().channel()
            channel.queue_declare(queue, durable=True)
            channel.basic_qos(prefetch_count=20)
            for method, _, body in channel.consume(queue, inactivity_timeout=0.2):
                if method is None:
                    if ended.is_set() and time.monotonic() - last > 2:
                        return got
                    continue
                got.append(int(body))
                last = time.monotonic()
                channel.basic_ack(method.delivery_tag)
        except pika.exceptions.AMQPError:
            pass


print(json.dumps({"numbers": {"publish": publish, "consume": consume}[role]()}))
