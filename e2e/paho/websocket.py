"""Publishes to itself over WebSocket and prints the lengths that came back, as JSON. Arguments: port, path, CA file."""

import json
import sys
import threading

import paho.mqtt.client as mqtt

port, path, authority = int(sys.argv[1]), sys.argv[2], sys.argv[3]
lengths = [0, 1, 125, 126, 5_000, 65_535, 65_536, 200_000]
came, done = [], threading.Event()


def on_connect(client, userdata, flags, reason, properties):
    assert not reason.is_failure, reason
    client.subscribe("paho/#", 2)


def on_subscribe(client, userdata, mid, reasons, properties):
    for index, length in enumerate(lengths):
        client.publish(f"paho/{index}", b"x" * length, qos=index % 3)


def on_message(client, userdata, message):
    came.append(len(message.payload))
    if len(came) == len(lengths):
        done.set()


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, transport="websockets", protocol=mqtt.MQTTv5)
client.ws_set_options(path=path)
if authority:
    client.tls_set(authority)
client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
client.connect("localhost" if authority else "127.0.0.1", port)
client.loop_start()
done.wait(15)
client.disconnect()
client.loop_stop()
print(json.dumps({"lengths": sorted(came)}))
