"""A client's life with paho, told as JSON. Arguments: port, transport (tcp, websockets), version (4 is 3.1.1), authority's
certificate or ""."""

import json
import os
import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

port, transport, version, authority = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
name = f"paho-{os.getpid()}"
result = {"qos": []}


class Thing:
    """A connected client; what comes to it waits in queues."""

    def __init__(self, client_id, keep=False, will=None):
        self.messages, self.connected, self.done = queue.Queue(), queue.Queue(), queue.Queue()
        v5 = version == mqtt.MQTTv5
        kept = {} if v5 else {"clean_session": not keep}
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, transport=transport, protocol=version, **kept
        )
        if authority:
            self.client.tls_set(authority)
        if will:
            self.client.will_set(will, "gone", qos=1)
        self.client.on_connect = lambda client, userdata, flags, reason, properties: self.connected.put((flags, reason))
        self.client.on_message = lambda client, userdata, message: self.messages.put(message)
        self.client.on_subscribe = lambda *arguments: self.done.put(arguments)
        properties = None
        if v5 and keep:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 60
        more = {"clean_start": not keep, "properties": properties} if v5 else {}
        self.client.connect("localhost" if authority else "127.0.0.1", port, **more)
        self.client.loop_start()
        flags, reason = self.connected.get(timeout=10)
        assert not reason.is_failure, reason
        self.session = flags.session_present

    def subscribe(self, topic, qos):
        self.client.subscribe(topic, qos)
        self.done.get(timeout=10)

    def publish(self, topic, payload, qos, retain=False):
        self.client.publish(topic, payload, qos, retain).wait_for_publish(10)

    def message(self):
        return self.messages.get(timeout=10)

    def cut(self):
        """Ends without a good-bye."""
        self.client.loop_stop()
        self.client.socket().close()

    def end(self):
        self.client.disconnect()
        self.client.loop_stop()


watcher = Thing(f"{name}-watcher")
watcher.subscribe(f"life/{name}/will", 1)
thing = Thing(name, keep=True, will=f"life/{name}/will")
thing.subscribe(f"life/{name}/in/#", 2)
for qos in [0, 1, 2]:
    thing.publish(f"life/{name}/in/{qos}", b"x" * 30000 * qos, qos)
    message = thing.message()
    result["qos"].append([message.qos, len(message.payload)])
thing.publish(f"life/{name}/last", "value", 1, retain=True)
watcher.subscribe(f"life/{name}/last", 1)
last = watcher.message()
result["retained"] = [last.payload.decode(), bool(last.retain)]
thing.cut()
result["will"] = watcher.message().payload.decode()
watcher.publish(f"life/{name}/in/later", "kept", 1)
again = Thing(name, keep=True)
result["session"] = again.session
result["kept"] = again.message().payload.decode()
again.end()
watcher.end()
print(json.dumps(result))
