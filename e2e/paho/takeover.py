"""Connects twice by the same name and prints what the first connection was told, as JSON."""

import json
import sys
import threading

import paho.mqtt.client as mqtt

port = int(sys.argv[1])
connected, ended = threading.Event(), threading.Event()
result = {}


def on_disconnect(client, userdata, flags, reason, properties):
    result.update(code=reason.value, by_server=flags.is_disconnect_packet_from_server)
    ended.set()


def client():
    return mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="paho-twice", protocol=mqtt.MQTTv5, reconnect_on_failure=False)


first, second = client(), client()
first.on_connect = lambda *_: connected.set()
first.on_disconnect = on_disconnect
first.connect("127.0.0.1", port)
first.loop_start()
assert connected.wait(10), "not connected"
second.connect("127.0.0.1", port)
second.loop_start()
assert ended.wait(10), "the first connection was not ended"
print(json.dumps(result))
second.disconnect()
