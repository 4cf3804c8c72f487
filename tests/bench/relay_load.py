"""The loads of `relay.py`: requests made beforehand, answers only counted, so that the client costs little."""

from __future__ import annotations

import selectors
import socket
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

from sluice.bolt import messages
from sluice.bolt.framing import frame
from sluice.bolt.messages import Proposal
from tests.bench.relay_paths import HOST, READ_SIZE

SMALL = frame(messages.run("RETURN $x AS x", {"x": 1})) + frame(messages.pull())
SMALL_ANSWERS = 3
BULK = 100_000_000
"Bytes of text in the big results and the big parameters."


class Session:
    """A raw connection that counts the messages it gets."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""
        self.socket.sendall(messages.handshake([Proposal(4, 3)]))
        assert self.socket.recv(4) == bytes.fromhex("00000304")
        self.socket.sendall(frame(messages.hello({"user_agent": "bench", "scheme": "none"})))
        self.await_messages(1)

    def await_messages(self, count: int) -> None:
        while count > 0:
            count -= self.receive()

    def receive(self) -> int:
        """Read once; how many messages that completes."""
        data = self.socket.recv(READ_SIZE)
        assert data, "the server closed the connection"
        if self._rest:
            data = self._rest + data
        position, count, end = 0, 0, len(data)
        while position + 2 <= end:
            size = data[position] << 8 | data[position + 1]
            if position + 2 + size > end:
                break
            position += 2 + size
            count += not size
        self._rest = data[position:]
        return count

    def await_bytes(self, end: bytes) -> int:
        """Read until what arrives ends in `end`; how many bytes that was. For results too big to be counted."""
        total, tail = 0, b""
        view = memoryview(bytearray(READ_SIZE))
        while not tail.endswith(end):
            size = self.socket.recv_into(view)
            assert size, "the server closed the connection"
            total += size
            tail = (tail + view[max(0, size - 64) : size].tobytes())[-64:]
        return total


def latency(port: int, seconds: float) -> Mapping[str, float]:
    """Small queries, one after the other, on one connection."""
    session = Session(port)
    times: list[float] = []
    deadline = time.perf_counter() + seconds
    with session.socket:
        while (began := time.perf_counter()) < deadline:
            session.socket.sendall(SMALL)
            session.await_messages(SMALL_ANSWERS)
            times.append(time.perf_counter() - began)
    times.sort()
    return {
        "queries": len(times),
        "queries_per_s": len(times) / sum(times),
        "p50_us": statistics.median(times) * 1e6,
        "p99_us": times[len(times) * 99 // 100] * 1e6,
    }


def sixteen(port: int, seconds: float) -> Mapping[str, float]:
    """Small queries on 16 connections at once, each with one under way."""
    sessions = [Session(port) for _ in range(16)]
    selector = selectors.DefaultSelector()
    asked: dict[Session, tuple[float, int]] = {}
    times: list[float] = []
    for session in sessions:
        selector.register(session.socket, selectors.EVENT_READ, session)
        asked[session] = (time.perf_counter(), SMALL_ANSWERS)
        session.socket.sendall(SMALL)
    began = time.perf_counter()
    while time.perf_counter() < began + seconds:
        for key, _ in selector.select():
            session = key.data
            at, left = asked[session]
            left -= session.receive()
            if left <= 0:
                now = time.perf_counter()
                times.append(now - at)
                at, left = now, SMALL_ANSWERS
                session.socket.sendall(SMALL)
            asked[session] = (at, left)
    elapsed = time.perf_counter() - began
    selector.close()
    for session in sessions:
        session.socket.close()
    times.sort()
    return {
        "queries": len(times),
        "queries_per_s": len(times) / elapsed,
        "p50_us": statistics.median(times) * 1e6,
        "p99_us": times[len(times) * 99 // 100] * 1e6,
    }


def big_result(port: int, size: int) -> Mapping[str, float]:
    """100 MB in records of `size` bytes."""
    count = BULK // size
    run = messages.run("UNWIND range(1, $count) AS i RETURN $text AS text", {"count": count, "text": "x" * size})
    session = Session(port)
    with session.socket:
        # Another one after it tells the end: an answer of known bytes.
        session.socket.sendall(frame(run) + frame(messages.pull()) + frame(messages.reset()))
        began = time.perf_counter()
        total = session.await_bytes(frame(messages.success()))
        return {"mb_per_s": total / (time.perf_counter() - began) / 1e6}


def big_parameters(port: int, size: int) -> Mapping[str, float]:
    """100 MB of parameters, texts of `size` bytes."""
    rows = ["x" * size] * (BULK // size)
    request = frame(messages.run("RETURN size($rows) AS n", {"rows": rows})) + frame(messages.pull())
    session = Session(port)
    with session.socket:
        began = time.perf_counter()
        session.socket.sendall(request)
        session.await_messages(SMALL_ANSWERS)
        return {"mb_per_s": len(request) / (time.perf_counter() - began) / 1e6}


def loads(seconds: float) -> Mapping[str, Callable[[int], Mapping[str, float]]]:
    """Name -> the load, given a port."""
    return {
        "1 connection": lambda port: latency(port, seconds),
        "16 connections": lambda port: sixteen(port, seconds),
        "100 MB result, records of 1000 B": lambda port: big_result(port, 1000),
        "100 MB result, records of 50 B": lambda port: big_result(port, 50),
        "100 MB parameters": lambda port: big_parameters(port, 1000),
    }


def medians_of(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each figure over the rounds."""
    return {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
