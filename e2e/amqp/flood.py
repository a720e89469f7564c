"""Publishes to a queue that nobody reads, confirmed: `flood.py HOST:PORT COUNT`. Prints how many were answered how."""

import json
import sys

import pika

host, port = sys.argv[1].rsplit(":", 1)
count = int(sys.argv[2])
channel = pika.BlockingConnection(pika.ConnectionParameters(host, int(port))).channel()
queue = channel.queue_declare("flooded").method.queue
channel.confirm_delivery()
acks = nacks = 0
for number in range(count):
    try:
        channel.basic_publish("", queue, str(number))
        acks += 1
    except pika.exceptions.NackError:
        nacks += 1
waiting = channel.queue_declare(queue, passive=True).method.message_count
print(json.dumps({"published": count, "acks": acks, "nacks": nacks, "waiting": waiting}))
