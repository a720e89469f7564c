"""Publishes one message with a token as the password. Arguments: pika or proton, port, token, address.

Prints {"sent": true} or {"sent": false, "error": ...}.
"""

import json
import sys

library, port, token, address = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]


def with_pika():
    import pika

    credentials = pika.PlainCredentials("car-7", token)
    parameters = pika.ConnectionParameters("127.0.0.1", port, credentials=credentials)
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_publish("amq.topic", address.replace("/", "."), b"by pika")
    connection.close()


def with_proton():
    from proton import Message
    from proton.utils import BlockingConnection

    connection = BlockingConnection(
        f"amqp://127.0.0.1:{port}", user="car-7", password=token, allowed_mechs="PLAIN", sasl_enabled=True, timeout=10
    )
    connection.create_sender(address).send(Message(body=b"by proton", inferred=True))
    connection.close()


try:
    {"pika": with_pika, "proton": with_proton}[library]()
    print(json.dumps({"sent": True}))
except Exception as error:
    print(json.dumps({"sent": False, "error": repr(error)}))
