"""One end of a crossing, by AMQP 0-9-1: `crossing.py HOST:PORT ROLE KEY [BODY]`.

`hear` prints each event as JSON, `answer` answers each request with its body in capitals, `tell` publishes one event with a
content type and a header and waits for its confirm, `ask` prints the answer that it gets.
"""

import json
import sys
import uuid

import pika

host, port = sys.argv[1].rsplit(":", 1)
role, key = sys.argv[2:4]
connection = pika.BlockingConnection(pika.ConnectionParameters(host, int(port)))
channel = connection.channel()


def queue():
    name = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(name, "amq.topic", key)
    return name


def hear(channel, method, properties, body):
    told = {
        "key": method.routing_key,
        "body": body.decode(),
        "type": properties.content_type,
        "headers": properties.headers or {},
    }
    print(json.dumps(told))
    channel.basic_ack(method.delivery_tag)


def answer(channel, method, properties, body):
    channel.basic_publish(
        "",
        properties.reply_to,
        body.upper(),
        pika.BasicProperties(correlation_id=properties.correlation_id, content_type="text/plain"),
    )
    channel.basic_ack(method.delivery_tag)


if role in ("hear", "answer"):
    channel.basic_consume(queue(), {"hear": hear, "answer": answer}[role])
    print("ready")
    channel.start_consuming()
elif role == "tell":
    channel.confirm_delivery()
    properties = pika.BasicProperties(content_type="text/plain", headers={"colour": "red"}, delivery_mode=2)
    channel.basic_publish("amq.topic", key, sys.argv[4], properties, mandatory=True)
    print(json.dumps({"told": True}))
else:
    correlation = uuid.uuid4().hex
    for asked in channel.consume("amq.rabbitmq.reply-to", auto_ack=True, inactivity_timeout=0.1):
        if asked == (None, None, None):
            if correlation:
                properties = pika.BasicProperties(reply_to="amq.rabbitmq.reply-to", correlation_id=correlation)
                channel.basic_publish("amq.topic", key, sys.argv[4], properties)
                wanted, correlation = correlation, None
            continue
        _, properties, body = asked
        print(json.dumps({"answer": body.decode(), "same": properties.correlation_id == wanted}))
        break
connection.close()
