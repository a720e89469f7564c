"""A service that fetches events from a queue of its own: `fetch.py HOST:PORT QUEUE KEY...`. Prints each with its key."""

import sys

import pika

host, port = sys.argv[1].rsplit(":", 1)
queue = sys.argv[2]
channel = pika.BlockingConnection(pika.ConnectionParameters(host, int(port))).channel()
channel.queue_declare(queue, durable=True)
for key in sys.argv[3:]:
    channel.queue_bind(queue, "amq.topic", key)


def handle(channel, method, properties, body):
    print(method.routing_key, body.decode())
    channel.basic_ack(method.delivery_tag)


channel.basic_qos(prefetch_count=20)
channel.basic_consume(queue, handle)
print("waiting")
channel.start_consuming()
