#!/usr/bin/env bash
# neo4j 6.4.1 (the Python driver), against a small Bolt 4.4 server written below
#
# One would guess: a query that the server refuses raises, at the latest when the session is closed.
# What happens: `session.run` waits for the answer to RUN only. Where the server finds the error while it makes the rows
#   (PULL), as Memgraph does for whatever a procedure raises, and nobody reads the result, as nobody does of a CREATE, the
#   driver meets the failure when the session closes, writes a warning to its log and drops it. The caller believes that
#   the data is there. In a transaction function the same failure does raise.
#
# Seen:
#   failure at RUN:                       raised ClientError
#   failure at PULL:                      nothing raised
#   failure at PULL, with execute_write:  raised ClientError
#
# Exit status: 0 it is still so, 1 it has changed, 2 it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv" && "$work/venv/bin/pip" install --quiet neo4j==6.4.1 || exit 2

"$work/venv/bin/python" - 2>/dev/null <<'EOF'
import socket
import struct
import sys
import threading

from neo4j import GraphDatabase
from neo4j.exceptions import Neo4jError

HELLO, GOODBYE, RESET, RUN, PULL = 0x01, 0x02, 0x0F, 0x10, 0x3F


def text(value):
    return b"\xd0" + bytes([len(value)]) + value.encode()


def mapping(entries):
    packed = (text(k) + (v if isinstance(v, bytes) else text(v)) for k, v in entries.items())
    return bytes([0xA0 + len(entries)]) + b"".join(packed)


def serve(client, fails_at, failure):
    """Bolt 4.4: SUCCESS to everything but one kind of message, which gets a FAILURE."""
    stream, failed = client.makefile("rb"), False
    stream.read(20)
    client.sendall(b"\0\0\4\4")
    details = {HELLO: {"server": "Neo4j/4.4.0", "connection_id": "1"}, RUN: {"fields": b"\x90"}}
    while True:
        message = b""
        while size := int.from_bytes(stream.read(2), "big"):
            message += stream.read(size)
        if not message or message[1] == GOODBYE:
            return
        tag = message[1]
        failed = failed and tag != RESET
        if failed:
            answer = b"\xb0\x7e"
        elif tag == fails_at:
            failed, answer = True, b"\xb1\x7f" + mapping(failure)
        else:
            answer = b"\xb1\x70" + mapping(details.get(tag, {}))
        client.sendall(struct.pack(">H", len(answer)) + answer + b"\0\0")


def start(fails_at, code):
    """A server on the loopback; returns its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    failure = {"code": code, "message": "refused"}

    def accept():
        while True:
            client = listener.accept()[0]
            threading.Thread(target=serve, args=(client, fails_at, failure), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return f"bolt://127.0.0.1:{listener.getsockname()[1]}"


def outcome(fails_at, work):
    address = start(fails_at, "Memgraph.ClientError.MemgraphError.MemgraphError")
    try:
        with GraphDatabase.driver(address) as driver, driver.session() as session:
            work(session)
    except Neo4jError as error:
        return f"raised {type(error).__name__}"
    return "nothing raised"


def alone(session):
    session.run("CALL module.write()")


def managed(session):
    session.execute_write(lambda transaction: transaction.run("CALL module.write()") and None)


seen = [outcome(RUN, alone), outcome(PULL, alone), outcome(PULL, managed)]
for case, what in zip(("at RUN", "at PULL", "at PULL, with execute_write"), seen, strict=True):
    print(f"failure {case}: {what}")
sys.exit(0 if seen == ["raised ClientError", "nothing raised", "raised ClientError"] else 1)
EOF
