#!/usr/bin/env bash
# neo4j 6.4.1 (the Python driver) and neo4j-driver 6.3.0 (JavaScript), against a small Bolt 4.4 server written below
#
# One would guess: the drivers agree on which failures of a server that is not Neo4j a managed transaction is retried for:
#   the class in the code, TransientError.
# What happens: Python splits the code and wants exactly four parts. A transient code of three is a DatabaseError to it,
#   which is not retried; JavaScript looks for the word and retries. So a server, or a proxy, that names its errors
#   `Server.TransientError.Busy` is retried by half of its clients.
#
# Seen (calls of the transaction function, each of which fails; retries are allowed for 2 s):
#   Server.TransientError.General.Busy   Python: TransientError, more than once   JavaScript: more than once
#   Server.TransientError.Busy           Python: DatabaseError, once              JavaScript: more than once
#
# Exit status: 0 it is still so, 1 it has changed, 2 it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv" && "$work/venv/bin/pip" install --quiet neo4j==6.4.1 || exit 2
(cd "$work" && npm install --silent --no-save --prefix . neo4j-driver@6.3.0 >/dev/null) || exit 2

cat >"$work/managed.js" <<'EOF'
const neo4j = require('neo4j-driver')

async function main () {
  const driver = neo4j.driver(process.argv[2], undefined, { maxTransactionRetryTime: 2000 })
  const session = driver.session()
  let calls = 0
  try {
    await session.executeWrite(async transaction => { calls += 1; await transaction.run('RETURN 1') })
  } catch (error) { /* each call fails */ }
  console.log(calls)
  await session.close()
  await driver.close()
}
main()
EOF

WORK=$work "$work/venv/bin/python" - 2>/dev/null <<'EOF'
import os
import socket
import struct
import subprocess
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


def in_python(address):
    calls = []

    def work(transaction):
        calls.append(1)
        transaction.run("RETURN 1").consume()

    with GraphDatabase.driver(address, max_transaction_retry_time=2) as driver, driver.session() as session:
        try:
            session.execute_write(work)
        except Neo4jError as error:
            return type(error).__name__, len(calls) > 1
    return None, len(calls) > 1


def in_javascript(address):
    command = ["node", "managed.js", address]
    done = subprocess.run(command, cwd=os.environ["WORK"], capture_output=True, text=True, timeout=60, check=True)
    return int(done.stdout) > 1


seen = []
for code in ("Server.TransientError.General.Busy", "Server.TransientError.Busy"):
    address = start(PULL, code)
    seen.append((*in_python(address), in_javascript(address)))
    how = ["more than once" if again else "once" for again in seen[-1][1:]]
    print(f"{code}: Python {seen[-1][0]}, {how[0]}; JavaScript {how[1]}")
sys.exit(0 if seen == [("TransientError", True, True), ("DatabaseError", False, True)] else 1)
EOF
