"""A session of MQTT 5 proved by SCRAM-SHA-256 (RFC 7677), and proved anew when told to.

scram.py PORT USER PASSWORD: a line of JSON for each thing that happens. Lines of standard input are passwords to prove
oneself anew by. It uses nothing but Python's own library, so that both sides of the conversation are not ours.
"""

import base64
import hashlib
import hmac
import json
import secrets
import select
import socket
import sys

CONNECT, CONNACK, DISCONNECT, AUTH = 0x10, 0x20, 0xE0, 0xF0
METHOD, DATA = 0x15, 0x16
CONTINUE, ANEW = 0x18, 0x19


def text(data):
    return len(data).to_bytes(2, "big") + data


def packet(kind, body):
    length, rest = b"", len(body)
    while True:
        length += bytes([rest & 0x7F | (0x80 if rest > 0x7F else 0)])
        rest >>= 7
        if not rest:
            return bytes([kind]) + length + body


def properties(data):
    all_of_them = bytes([METHOD]) + text(b"SCRAM-SHA-256") + bytes([DATA]) + text(data)
    return bytes([len(all_of_them)]) + all_of_them


def mac(key, data):
    return hmac.new(key, data, "sha256").digest()


class Scram:
    def __init__(self, user, password):
        self.password = password.encode()
        self.nonce = secrets.token_hex(12)
        self.bare = f"n={user},r={self.nonce}"
        self.first = b"n,," + self.bare.encode()

    def final(self, challenge):
        parts = dict(part.split("=", 1) for part in challenge.decode().split(","))
        assert parts["r"].startswith(self.nonce) and len(parts["r"]) > len(self.nonce)
        salt = base64.b64decode(parts["s"])
        salted = hashlib.pbkdf2_hmac("sha256", self.password, salt, int(parts["i"]))
        client = mac(salted, b"Client Key")
        unproved = "c=biws,r=" + parts["r"]
        whole = ",".join([self.bare, challenge.decode(), unproved]).encode()
        signature = mac(hashlib.sha256(client).digest(), whole)
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(client, signature))).decode()
        self.expected = b"v=" + base64.b64encode(mac(mac(salted, b"Server Key"), whole))
        return f"{unproved},p={proof}".encode()


class Link:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", int(port)))
        self.buffer = b""

    def next(self):
        while True:
            for end in range(2, min(len(self.buffer), 5) + 1):
                if not self.buffer[end - 1] & 0x80:
                    length = sum((byte & 0x7F) << 7 * at for at, byte in enumerate(self.buffer[1:end]))
                    if len(self.buffer) >= end + length:
                        body = self.buffer[end : end + length]
                        kind, self.buffer = self.buffer[0], self.buffer[end + length :]
                        return kind, body
                    break
            read = self.socket.recv(4096)
            if not read:
                return None, b""
            self.buffer += read


def data_of(body):
    """The authentication data among the properties that `body` begins with."""
    at, end = 1, 1 + body[0]
    while at < end:
        name = body[at]
        if name in (METHOD, DATA, 0x12, 0x1F):
            length = int.from_bytes(body[at + 1 : at + 3], "big")
            if name == DATA:
                return body[at + 3 : at + 3 + length]
            at += 3 + length
        else:
            at += {0x21: 3, 0x22: 3, 0x13: 3, 0x11: 5, 0x27: 5}.get(name, 2)
    return b""


def tell(**what):
    print(json.dumps(what), flush=True)


def converse(link, scram, first):
    """Says the first word, and answers until the node has decided."""
    link.socket.sendall(first)
    while True:
        kind, body = link.next()
        if kind == AUTH and body and body[0] == CONTINUE:
            data = data_of(body[1:])
            answer = scram.final(data) if data.startswith(b"r=") else b""
            link.socket.sendall(packet(AUTH, bytes([CONTINUE]) + properties(answer)))
        elif kind == AUTH:
            tell(anew=0, known=not body or data_of(body[1:]) in (b"", scram.expected))
            return True
        elif kind == CONNACK:
            known = body[1] == 0 and data_of(body[2:]) == scram.expected
            tell(connack=body[1], known=known)
            return body[1] == 0
        else:
            tell(gone=body[0] if body else None)
            return False


def main():
    port, user, password = sys.argv[1:]
    link, scram = Link(port), Scram(user, password)
    header = text(b"MQTT") + bytes([5, 2, 0, 60])
    first = packet(CONNECT, header + properties(scram.first) + text(user.encode()))
    alive = converse(link, scram, first)
    while alive:
        readable, _, _ = select.select([link.socket, sys.stdin], [], [])
        if link.socket in readable:
            kind, body = link.next()
            tell(gone=body[0] if kind == DISCONNECT and body else None)
            return
        line = sys.stdin.readline().strip()
        if not line:
            return
        scram = Scram(user, line)
        alive = converse(link, scram, packet(AUTH, bytes([ANEW]) + properties(scram.first)))


main()
