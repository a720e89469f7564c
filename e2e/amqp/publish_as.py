"""Publishes as somebody, by AMQP: VERSION PORT ADDRESS PAYLOAD, then USER PASSWORD, or CA CERTIFICATE KEY for EXTERNAL over
TLS. VERSION is 0-9-1 (pika) or 1.0 (qpid-proton). Prints what came of it, as JSON."""

import json
import ssl
import sys

VERSION, PORT, ADDRESS, PAYLOAD, *WHO = sys.argv[1:]


def by_pika():
    import pika

    if len(WHO) == 2:
        options = {"credentials": pika.PlainCredentials(*WHO)}
    else:
        context = ssl.create_default_context(cafile=WHO[0])
        context.load_cert_chain(WHO[1], WHO[2])
        options = {
            "credentials": pika.credentials.ExternalCredentials(),
            "ssl_options": pika.SSLOptions(context, "localhost"),
        }
    try:
        connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", int(PORT), **options))
    except pika.exceptions.AMQPError as error:
        return {"error": repr(error)}
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_publish("amq.topic", ADDRESS.replace("/", "."), PAYLOAD.encode())
    connection.close()
    return {"settled": "ack"}


def by_proton():
    from proton import Message, SSLDomain
    from proton.handlers import MessagingHandler
    from proton.reactor import Container

    class Handler(MessagingHandler):
        said = {}

        def on_start(self, event):
            if len(WHO) == 2:
                options = {"user": WHO[0], "password": WHO[1], "allowed_mechs": "PLAIN", "allow_insecure_mechs": True}
                url = f"amqp://127.0.0.1:{PORT}"
            else:
                domain = SSLDomain(SSLDomain.MODE_CLIENT)
                domain.set_trusted_ca_db(WHO[0])
                domain.set_credentials(WHO[1], WHO[2], None)
                domain.set_peer_authentication(SSLDomain.VERIFY_PEER)
                options = {"ssl_domain": domain, "allowed_mechs": "EXTERNAL"}
                url = f"amqps://localhost:{PORT}"
            connection = event.container.connect(url, reconnect=False, **options)
            event.container.create_sender(connection, ADDRESS)
            self.sent = False

        def on_sendable(self, event):
            if not self.sent:
                self.sent = True
                event.sender.send(Message(body=PAYLOAD.encode(), inferred=True))

        def on_accepted(self, event):
            self.said = {"settled": "accepted"}
            event.connection.close()

        def on_rejected(self, event):
            self.said = {"settled": "rejected"}
            event.connection.close()

        def on_transport_error(self, event):
            condition = event.transport.condition
            self.said = {"error": f"{condition.name}: {condition.description}"}

    handler = Handler()
    Container(handler).run()
    return handler.said


print(json.dumps(by_pika() if VERSION == "0-9-1" else by_proton()))
