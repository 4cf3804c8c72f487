"""Many connections through the shim, dropped at random by both sides."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.bolt import messages
from sluice.bolt.client import Connection
from sluice.bolt.framing import frame
from sluice.bolt.messages import Proposal
from sluice.errors import ConnectionLost, GraphError, ProtocolError, QueryRefused
from tests.eventually import eventually
from tests.hosts.host import REPOSITORY
from tests.integration.shim_server import ShimServer
from tests.ports import free_port

SECONDS = float(os.environ.get("SHIM_STRESS_SECONDS", "15"))
"600 for the long run: `SHIM_STRESS_SECONDS=600 pytest --timeout 900 tests/integration/test_shim_stress.py`."

IDLE = 1000
BUSY = 100


@pytest.fixture
def upstream() -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "tests.integration.shim_upstream", str(port), "0.002"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(REPOSITORY / "query_modules"), str(REPOSITORY)))}
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment) as process:
        eventually(lambda: answers(port))
        yield port
        process.terminate()


def answers(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port)):
        return True


@pytest.fixture
def shim(upstream: int, tmp_path: Path) -> Iterator[ShimServer]:
    shim = ShimServer(tmp_path, upstream, "--log-level=warning")
    shim.start()
    yield shim
    shim.kill()


@pytest.fixture(autouse=True)
def _enough_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 4 * IDLE:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4 * IDLE, hard), hard))


@pytest.mark.soak
@pytest.mark.faults
def test_idle_and_busy_connections_dropped_at_random(shim: ShimServer) -> None:
    files = shim.descriptors
    stop = threading.Event()
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    clients = [threading.Thread(target=be_busy, args=(shim.port, stop, counts, wrong)) for _ in range(BUSY)]
    idle = [open_idle(shim.port) for _ in range(IDLE)]
    for client in clients:
        client.start()
    memory: list[float] = []
    deadline = time.monotonic() + SECONDS
    chance = random.Random(2)
    while time.monotonic() < deadline:
        time.sleep(SECONDS / 60)
        memory.append(shim.memory)
        # Some of the idle ones go without a word, and others come.
        for number in chance.sample(range(IDLE), 20):
            drop(idle[number])
            idle[number] = open_idle(shim.port)
    stop.set()
    for client in clients:
        client.join(30)
    for plain in idle:
        plain.close()
    print(f"{dict(counts)}; MiB {memory[0]:.0f}, {memory[len(memory) // 3]:.0f}, {memory[-1]:.0f}")
    assert not wrong
    assert counts["answered"] > 100 * SECONDS
    assert counts["lost"] > SECONDS
    assert counts["clauses"] > SECONDS
    eventually(lambda: shim.descriptors <= files, timeout=40)
    # What it has when all connections have come and gone a few times over is all that it ever needs.
    assert memory[-1] < memory[len(memory) // 3] * 1.1 + 5
    shim.stop()
    assert "Traceback" not in shim.log_text()
    assert "fault" not in shim.log_text()


def be_busy(port: int, stop: threading.Event, counts: Counter[str], wrong: list[str]) -> None:
    """Ask, compare, and now and then go in the middle of a question."""
    chance = random.Random()
    while not stop.is_set():
        try:
            with Connection.open("127.0.0.1", port, timeout=20) as connection:
                for _ in range(chance.randrange(1, 200)):
                    ask(connection, chance, counts, wrong)
        except (ConnectionLost, ProtocolError):
            counts["lost"] += 1
        except GraphError as error:
            wrong.append(repr(error))


def ask(connection: Connection, chance: random.Random, counts: Counter[str], wrong: list[str]) -> None:
    what = chance.random()
    if what < 0.01:
        # With questions under way, one of them half asked.
        connection.send((frame(messages.run("RETURN $x AS x", {"x": 1})) + frame(messages.pull())) * 20 + b"\0")
        raise ConnectionLost("on purpose")
    if what < 0.05:
        try:
            connection.fetch("DROP STREAM s" if what < 0.03 else "DROP STREAM 's'", timeout=20)
        except QueryRefused as error:
            counts["clauses"] += 1
            expected = "none" if what < 0.03 else "Syntax error"
            if not str(error).startswith(expected):
                wrong.append(str(error))
        return
    x = chance.choice([chance.random(), "y" * chance.randrange(50_000), list(range(chance.randrange(100)))])
    if connection.fetch("RETURN $x AS x", {"x": x}, timeout=20) != [{"x": x}]:
        wrong.append("another answer")
    counts["answered"] += 1


def open_idle(port: int) -> socket.socket:
    plain = socket.create_connection(("127.0.0.1", port), timeout=20)
    plain.sendall(messages.handshake([Proposal(4, 3)]))
    return plain


def drop(plain: socket.socket) -> None:
    """Without a word, as a machine that goes."""
    with contextlib.suppress(OSError):
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    plain.close()
