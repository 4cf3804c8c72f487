"""
The graph: ArcadeDB, embedded in a process of its own, with Bolt at a port of the loopback that it chooses.

Runs as `python -m sandbox.database REPORT_FD`. Reads one line of JSON from standard input, `{"folder", "password"}`,
writes one line of JSON to the descriptor when it is up, `{"port"}`, and ends when its standard input ends. It dies with
the process that started it, however that dies, and holds a lock on the folder, so that who comes next waits until it is
gone.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import jpype
from arcadedb_embedded import ArcadeDBServer

from sandbox import class_cache
from sandbox.engine import DATABASE, USER

HEAP = "1g"

JVM_ARGUMENTS = (
    "-XX:TieredStopAtLevel=1",  # a sandbox lives for minutes: the second compiler would still be at work when it ends
    "-XX:+UseSerialGC",
    "-Xms64m",
    "-Xrs",  # signals are for the process that started us
)

SETTINGS = {
    "bolt.defaultDatabase": DATABASE,
    "bolt.maxMessageSize": 256 * 1024 * 1024,
    "server.saltIterations": 1,  # the password is random, lives as long as the process and never leaves the machine
    "serverMetrics": "false",
    "queryMaxConcurrent": 0,  # no queue: waiting for another session's slot is a lock that Memgraph does not have
}
"ArcadeDB's, without the prefix `arcadedb.`."

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Run until standard input ends."""
    _die_with_parent()
    order = json.loads(sys.stdin.readline())
    folder = Path(order["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)  # what the JVM leaves behind when it crashes
    # Held until the process is gone. Waits for a predecessor that was killed and still has its files open.
    lock = (folder / "sandbox.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    server = _start(folder, order["password"])
    with os.fdopen(int(sys.argv[1]), "w") as report:
        json.dump({"port": _bolt_port(server)}, report)
    sys.stdin.read()
    server.stop()


def _die_with_parent() -> None:
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the sandbox is gone already")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the sandbox, which ends us


def _start(folder: Path, password: str) -> Any:
    """An `ArcadeDBServer` that runs, and has the database."""
    shutil.rmtree(
        folder / "config", ignore_errors=True
    )  # users of an earlier run, whose password nobody knows any more
    server = ArcadeDBServer(
        str(folder),
        password,
        config={
            "host": "127.0.0.1",
            "http_port": "0",
            "bolt_port": "0",
            "server_plugins": "Bolt:com.arcadedb.bolt.BoltProtocolPlugin",
            "server_defaultDatabases": f"{DATABASE}[{USER}]",
        },
        jvm_kwargs={
            "heap_size": HEAP,
            "jvm_args": [
                *JVM_ARGUMENTS,
                *class_cache.jvm_arguments(),
                *(f"-Darcadedb.{name}={value}" for name, value in SETTINGS.items()),
            ],
        },
    )
    server.start()
    # A transaction sees what was there when it first looked, and who writes what another has written meanwhile is
    # refused: the nearest that ArcadeDB has to Memgraph's snapshot isolation. Its Bolt has no word for it.
    levels = jpype.JClass("com.arcadedb.database.Database$TRANSACTION_ISOLATION_LEVEL")
    server._java_server.getDatabase(DATABASE).setTransactionIsolationLevel(levels.REPEATABLE_READ)
    return server


def _bolt_port(server: Any) -> int:
    """Where Bolt listens. Port 0 gives a free one, which only the listener itself knows."""
    for plugin in server._java_server.getPlugins():
        if plugin.getClass().getName() == "com.arcadedb.bolt.BoltProtocolPlugin":
            field = plugin.getClass().getDeclaredField("listener")
            field.setAccessible(True)
            return int(str(field.get(plugin).toString()).rpartition(":")[2])
    raise RuntimeError("ArcadeDB did not start its Bolt plugin")


if __name__ == "__main__":
    main()
