"""An issuer of tokens that nobody here wrote: PyJWT. Arguments: port.

GET /jwks: its public keys. GET /sign?key=&claims=&header=: a token; the key's name says its algorithm (rs-1, es-1, ed-1), and
a key that begins with an x is not among the public ones. GET /drop?key=: it has that key no more.
GET /verify?keys=&audience=&token=: the claims of a token, verified with the keys at a URL.
"""

import http.server
import json
import sys
import urllib.parse

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

KINDS = {
    "rs": ("RS256", lambda: rsa.generate_private_key(65537, 2048), RSAAlgorithm),
    "es": ("ES256", lambda: ec.generate_private_key(ec.SECP256R1()), ECAlgorithm),
    "ed": ("EdDSA", ed25519.Ed25519PrivateKey.generate, OKPAlgorithm),
}
keys = {}


def key(name):
    if name not in keys:
        keys[name] = KINDS[name.lstrip("x").split("-")[0]][1]()
    return keys[name]


def public(name):
    algorithm, _, kind = KINDS[name.split("-")[0]]
    jwk = json.loads(kind.to_jwk(keys[name].public_key()))
    return {**jwk, "kid": name, "alg": algorithm, "use": "sig"}


class Issuer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        try:
            status, answer = 200, self.answer(url.path, query)
        except Exception as error:
            status, answer = 400, repr(error)
        body = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def answer(self, path, query):
        if path == "/jwks":
            print("asked for keys", flush=True)
            return {"keys": [public(name) for name in keys if not name.startswith("x")]}
        if path == "/sign":
            name = query["key"]
            headers = {"kid": name, **json.loads(query.get("header", "{}"))}
            algorithm = KINDS[name.lstrip("x").split("-")[0]][0]
            return jwt.encode(json.loads(query["claims"]), key(name), algorithm=algorithm, headers=headers)
        if path == "/drop":
            return str(keys.pop(query["key"], None) is not None)
        if path == "/verify":
            signing = jwt.PyJWKClient(query["keys"]).get_signing_key_from_jwt(query["token"])
            required = ["iss", "aud", "sub", "iat", "exp", "jti"]
            return jwt.decode(
                query["token"], signing.key, ["ES256"], audience=query["audience"], options={"require": required}
            )
        raise KeyError(path)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Issuer)
print("ready", flush=True)
server.serve_forever()
