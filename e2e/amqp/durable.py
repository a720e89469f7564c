"""What outlives the node: `durable.py HOST:PORT declare|look`. Prints a JSON object."""

import json
import sys
import time

import pika

host, port = sys.argv[1].rsplit(":", 1)
connection = pika.BlockingConnection(pika.ConnectionParameters(host, int(port)))
channel = connection.channel()
persistent = pika.BasicProperties(delivery_mode=2)


def get(queue, auto_ack=True):
    for _ in range(500):
        method, properties, body = channel.basic_get(queue, auto_ack=auto_ack)
        if method:
            return method, properties, body.decode()
        time.sleep(0.01)
    return None, None, None


if sys.argv[2] == "declare":
    channel.confirm_delivery()
    channel.exchange_declare("durable-x", "topic", durable=True)
    channel.exchange_declare("durable-dlx", "fanout", durable=True)
    channel.queue_declare("durable-dead", durable=True)
    channel.queue_bind("durable-dead", "durable-dlx")
    channel.queue_declare("durable-q", durable=True, arguments={"x-dead-letter-exchange": "durable-dlx"})
    channel.queue_bind("durable-q", "durable-x", "a.#.z")
    channel.queue_declare("transient-q")
    for body in ("one", "two", "three"):
        channel.basic_publish("", "durable-q", body, persistent)
    channel.basic_publish("", "transient-q", "lost", persistent)
    get("durable-q", auto_ack=False)  # It is unsettled when the node ends.
    print(json.dumps({"declared": True}))
else:
    kept = [get("durable-q") for _ in range(3)]
    channel.exchange_declare("durable-x", "topic", durable=True)
    channel.basic_publish("durable-x", "a.b.c.z", "routed", persistent)
    bound = get("durable-q", auto_ack=False)
    channel.basic_reject(bound[0].delivery_tag, requeue=False)
    dead = get("durable-dead")
    other = connection.channel()
    try:
        other.queue_declare("transient-q", passive=True)
        transient = "there"
    except pika.exceptions.ChannelClosedByBroker as error:
        transient = "gone" if error.reply_code == 404 else str(error)
    told = {
        "kept": [body for _, _, body in kept],
        "redelivered": [method.redelivered for method, _, _ in kept],
        "transient": transient,
        "bound": bound[2],
        "dead": dead[2],
    }
    print(json.dumps(told))
connection.close()
