"""Publishes with every MQTT 5 property that travels with a message, and prints what a subscriber gets, as JSON."""

import json
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

port, qos = int(sys.argv[1]), int(sys.argv[2])
subscribed, received = threading.Event(), threading.Event()
result = {}


def on_message(client, userdata, message):
    p = message.properties
    result.update(
        topic=message.topic,
        payload=message.payload.decode(),
        qos=message.qos,
        content_type=getattr(p, "ContentType", None),
        response_topic=getattr(p, "ResponseTopic", None),
        correlation=getattr(p, "CorrelationData", b"").decode(),
        expiry=getattr(p, "MessageExpiryInterval", None),
        payload_format=getattr(p, "PayloadFormatIndicator", None),
        identifier=getattr(p, "SubscriptionIdentifier", None),
        user=getattr(p, "UserProperty", []),
    )
    received.set()


def client(name):
    c = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
    c.connect("127.0.0.1", port)
    return c


subscriber = client("paho-subscriber")
subscriber.on_message = on_message
subscriber.on_subscribe = lambda *_: subscribed.set()
properties = Properties(PacketTypes.SUBSCRIBE)
properties.SubscriptionIdentifier = 77
subscriber.subscribe("properties/#", options=mqtt.SubscribeOptions(qos=2), properties=properties)
subscriber.loop_start()
assert subscribed.wait(10), "not subscribed"

publisher = client("paho-publisher")
publisher.loop_start()
properties = Properties(PacketTypes.PUBLISH)
properties.ContentType = "application/json"
properties.ResponseTopic = "properties/answers"
properties.CorrelationData = b"question-1"
properties.MessageExpiryInterval = 60
properties.PayloadFormatIndicator = 1
properties.UserProperty = ("colour", "red")
properties.UserProperty = ("colour", "blue")
publisher.publish("properties/one", '{"speed":81}', qos=qos, properties=properties).wait_for_publish(10)
assert received.wait(10), "nothing received"
print(json.dumps(result))
publisher.disconnect()
subscriber.disconnect()
