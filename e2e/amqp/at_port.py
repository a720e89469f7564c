"""Runs a program as it is, but where it asks for AMQP's port it gets another: `at_port.py PORT PROGRAM ARGUMENT...`."""

import runpy
import socket
import sys

node, program = int(sys.argv[1]), sys.argv[2]
resolve = socket.getaddrinfo


def at_port(host, port, *arguments, **options):
    if port in (5672, "5672", "amqp"):
        port = node
        # The node under test listens on IPv4 only.
        host = "127.0.0.1" if host == "localhost" else host
    return resolve(host, port, *arguments, **options)


socket.getaddrinfo = at_port
sys.argv = sys.argv[2:]
runpy.run_path(program, run_name="__main__")
