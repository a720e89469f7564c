"""One way to prove who one is, by AMQP: CASE PLAIN_PORT TLS_PORT CA CERTIFICATE KEY. Prints what came of it, as JSON."""

import base64
import hashlib
import hmac
import json
import socket
import ssl
import struct
import sys

CASE, PLAIN, TLS, CA, CERTIFICATE, KEY = sys.argv[1:7]


def context():
    made = ssl.create_default_context(cafile=CA)
    made.load_cert_chain(CERTIFICATE, KEY)
    return made


def by_pika(parameters):
    import pika

    try:
        connection = pika.BlockingConnection(parameters)
    except pika.exceptions.AMQPError as error:
        return {"error": repr(error)}
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("inbox-car-7")
    channel.basic_publish("", "inbox-car-7", b"hello")
    _, _, body = channel.basic_get("inbox-car-7", auto_ack=True)
    connection.close()
    return {"received": body.decode()}


def pika_parameters(password, **more):
    import pika

    credentials = pika.PlainCredentials("car-7", password)
    return pika.ConnectionParameters("127.0.0.1", int(PLAIN), credentials=credentials, **more)


def by_proton(url, **options):
    from proton import Message
    from proton.handlers import MessagingHandler
    from proton.reactor import Container

    class Handler(MessagingHandler):
        said = {}

        def on_start(self, event):
            connection = event.container.connect(url, reconnect=False, **options)
            event.container.create_receiver(connection, "inbox-car-7")
            self.sender = event.container.create_sender(connection, "inbox-car-7")
            self.sent = False

        def on_sendable(self, event):
            if not self.sent:
                self.sent = True
                event.sender.send(Message(body="hello"))

        def on_message(self, event):
            self.said = {"received": event.message.body}
            event.connection.close()

        def on_transport_error(self, event):
            condition = event.transport.condition
            self.said = {"error": f"{condition.name}: {condition.description}"}

    handler = Handler()
    Container(handler).run()
    return handler.said


def proton_external():
    from proton import SSLDomain

    domain = SSLDomain(SSLDomain.MODE_CLIENT)
    domain.set_trusted_ca_db(CA)
    domain.set_credentials(CERTIFICATE, KEY, None)
    domain.set_peer_authentication(SSLDomain.VERIFY_PEER)
    return by_proton(f"amqps://localhost:{TLS}", ssl_domain=domain, allowed_mechs="EXTERNAL")


def pika_external():
    import pika

    options = pika.SSLOptions(context(), "localhost")
    credentials = pika.credentials.ExternalCredentials()
    return by_pika(
        pika.ConnectionParameters("127.0.0.1", int(TLS), ssl_options=options, credentials=credentials)
    )


class Sasl:
    """The SASL layer of AMQP 1.0 (§5.3), by hand: proton has SCRAM only where Cyrus SASL has it."""

    HEADER = b"AMQP\x03\x01\x00\x00"

    def __init__(self):
        self.socket = socket.create_connection(("127.0.0.1", int(PLAIN)), 20)
        self.socket.sendall(self.HEADER)
        assert self.read(8) == self.HEADER

    def read(self, length):
        data = b""
        while len(data) < length:
            more = self.socket.recv(length - len(data))
            assert more, "the connection was closed"
            data += more
        return data

    def frame(self):
        size, offset, kind, _ = struct.unpack(">IBBH", self.read(8))
        assert (offset, kind) == (2, 1)
        body = self.read(size - 8)
        assert body[:2] == b"\x00\x53"
        return body[2], self.fields(body[3:])

    @staticmethod
    def fields(value):
        if value[0] == 0x45:
            return []
        wide = value[0] == 0xD0
        count = struct.unpack(">I", value[5:9])[0] if wide else value[2]
        rest, found = value[9 if wide else 3 :], []
        for _ in range(count):
            if rest[0] == 0x40:
                item, rest = None, rest[1:]
            elif rest[0] == 0x50:
                item, rest = rest[1], rest[2:]
            elif rest[0] in (0xA0, 0xA3):
                item, rest = rest[2 : 2 + rest[1]], rest[2 + rest[1] :]
            elif rest[0] in (0xE0, 0xF0):
                wide = rest[0] == 0xF0
                size = struct.unpack(">I", rest[1:5])[0] + 5 if wide else rest[1] + 2
                item, rest = rest[:size], rest[size:]
            else:
                raise AssertionError(rest)
            found.append(item)
        return found

    def say(self, code, fields):
        body = bytes([len(fields)]) + b"".join(fields)
        performative = bytes([0x00, 0x53, code, 0xC0, len(body)]) + body
        self.socket.sendall(struct.pack(">IBBH", len(performative) + 8, 2, 1, 0) + performative)


def binary(data):
    return bytes([0xA0, len(data)]) + data


def mechanisms(array):
    """The names in an array of symbols."""
    wide = array[0] == 0xF0
    count, rest = (struct.unpack(">I", array[5:9])[0], array[9:]) if wide else (array[2], array[3:])
    code, rest, names = rest[0], rest[1:], []
    for _ in range(count):
        size, head = (rest[0], 1) if code == 0xA3 else (struct.unpack(">I", rest[:4])[0], 4)
        names.append(rest[head : head + size].decode())
        rest = rest[head + size :]
    return names


def scram_with(password):
    sasl = Sasl()
    code, fields = sasl.frame()
    assert code == 0x40
    offered = fields[0]
    offered = [offered.decode()] if offered[0] not in (0xE0, 0xF0) else mechanisms(offered)
    bare = "n=boat,r=abcdefgh"
    method = b"SCRAM-SHA-256"
    sasl.say(0x41, [bytes([0xA3, len(method)]) + method, binary(b"n,," + bare.encode())])
    code, fields = sasl.frame()
    assert code == 0x42, code
    challenge = fields[0].decode()
    parts = dict(part.split("=", 1) for part in challenge.split(","))
    assert parts["r"].startswith("abcdefgh") and len(parts["r"]) > 16
    salted = hashlib.pbkdf2_hmac("sha256", password, base64.b64decode(parts["s"]), int(parts["i"]))

    def mac(key, text):
        return hmac.new(key, text, "sha256").digest()

    client = mac(salted, b"Client Key")
    unproved = "c=biws,r=" + parts["r"]
    whole = ",".join([bare, challenge, unproved]).encode()
    signature = mac(hashlib.sha256(client).digest(), whole)
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(client, signature))).decode()
    sasl.say(0x43, [binary((unproved + ",p=" + proof).encode())])
    code, fields = sasl.frame()
    expected = b"v=" + base64.b64encode(mac(mac(salted, b"Server Key"), whole))
    known = False
    if code == 0x42:
        known = fields[0] == expected
        sasl.say(0x43, [binary(b"")])
        code, fields = sasl.frame()
    assert code == 0x44, code
    known = known or len(fields) > 1 and fields[1] == expected
    return {"mechanisms": offered, "outcome": fields[0], "server_is_known": known}


CASES = {
    "pika_external": pika_external,
    "pika_plain": lambda: by_pika(pika_parameters("the secret of car-7")),
    "pika_wrong": lambda: by_pika(pika_parameters("a guess")),
    "proton_external": proton_external,
    "proton_plain": lambda: by_proton(
        f"amqp://127.0.0.1:{PLAIN}",
        user="car-7",
        password="the secret of car-7",
        allow_insecure_mechs=True,
    ),
    "proton_wrong": lambda: by_proton(
        f"amqp://127.0.0.1:{PLAIN}", user="car-7", password="a guess", allow_insecure_mechs=True
    ),
    "proton_anonymous": lambda: by_proton(f"amqp://127.0.0.1:{PLAIN}"),
    "scram": lambda: scram_with(b"the secret of boat"),
    "scram_wrong": lambda: scram_with(b"a guess"),
}
print(json.dumps(CASES[CASE]()))
