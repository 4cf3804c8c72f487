"""What Prometheus gets of the shim, and what it gets when Memgraph does not answer: never nothing, never late."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sluice.bolt import messages
from sluice.bolt.messages import Tag
from sluice_tools.shim.metrics import exposition, http_server, stream_reader
from sluice_tools.shim.metrics.exposition import exposed
from sluice_tools.shim.metrics.http_server import MAX_CLIENTS, MAX_THREADS, PooledServer
from sluice_tools.shim.metrics.stream_reader import COLUMNS, INFO
from sluice_tools.shim.settings import Address, MetricsSettings, ShimSettings
from sluice_tools.shim.statistics import Statistics
from tests.ports import free_port
from tests.unit.bolt.fake_server import FakeServer, Session

Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]
Scrape = Callable[..., Samples]

ROW: dict[str, Any] = {
    "name": "people",
    "topic": "persons",
    "status": "running",
    "reason": None,
    "retrying": None,
    "lag": {"0": 5, "1": 0},
    "total_lag": 5,
    "batches": 3,
    "messages": 28,
    "failed": 2,
    "rates": {"messages_per_s": 4.5, "batches_per_s": 0.5},
    "times_ms": {"poll": 1500.0, "transform": 20.0, "write": 1.0, "commit": 40.0},
    "retries": 7,
    "last_batch": {"time": "2024-11-22T22:21:05.500Z"},
    "last_error": None,
    "folding": {"queries": 28, "sent": 4, "texts": {"MERGE (n)": "no key"}},
}
NEW = {**ROW, "name": "new", "status": "stopped", "lag": None, "last_batch": None}
IN_TROUBLE = {**ROW, "name": "poor", "retrying": {"why": "no broker", "since": "...", "next_try": None}}


def answering(*rows: dict[str, Any]) -> Callable[[Session], None]:
    """A server with these streams."""

    def script(session: Session) -> None:
        session.log_in()
        run = session.expect(Tag.RUN)
        assert run.fields[0] == INFO
        session.expect(Tag.PULL)
        names = COLUMNS.split(", ")
        records = [messages.record([row[name] for name in names]) for row in rows]
        session.say(messages.success({"fields": names}), *records, messages.success({"type": "r"}))

    return script


@pytest.fixture
def statistics() -> Statistics:
    return Statistics()


@pytest.fixture
def scrape(statistics: Statistics, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scrape]:
    """Exposes metrics in front of an upstream port, and reads them once."""
    servers: list[PooledServer] = []

    def start(*words: Any) -> PooledServer:
        servers.append(PooledServer(*words))
        return servers[-1]

    monkeypatch.setattr(exposition, "PooledServer", start)
    with ExitStack() as ending:

        def read(upstream: int, **metrics: Any) -> Samples:
            shim = ShimSettings(Address("127.0.0.1", 0), (Address("127.0.0.1", upstream),))
            if not servers:
                ending.enter_context(exposed(shim, MetricsSettings(Address("127.0.0.1", 0), **metrics), statistics))
            port = servers[0].server_port
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=15) as answer:
                return samples_of(answer.read().decode())

        yield read


def samples_of(text: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def one(samples: Samples, name: str, **labels: str) -> float:
    return samples[name][tuple(sorted(labels.items()))]


def test_the_lag_of_several_topics_is_that_of_each(scrape: Scrape):
    with FakeServer(answering({**ROW, "topic": "a,b", "lag": {"a": {"0": 5}, "b": {"0": 7}}})) as server:
        told = scrape(server.port)
    assert one(told, "sluice_stream_lag_messages", stream="people", topic="a", partition="0") == 5
    assert one(told, "sluice_stream_lag_messages", stream="people", topic="b", partition="0") == 7


def test_the_streams_are_told_as_the_server_tells_them(scrape: Scrape):
    with FakeServer(answering(ROW, NEW, IN_TROUBLE)) as server:
        told = scrape(server.port)
    assert one(told, "sluice_up") == 1
    statuses = {key: value for key, value in told["sluice_stream_status"].items() if ("stream", "people") in key}
    assert sum(statuses.values()) == one(told, "sluice_stream_status", stream="people", status="running") == 1
    assert one(told, "sluice_stream_status", stream="new", status="stopped") == 1
    assert one(told, "sluice_stream_retrying", stream="people") == 0
    assert one(told, "sluice_stream_retrying", stream="poor") == 1
    assert one(told, "sluice_stream_lag_messages", stream="people", topic="persons", partition="0") == 5
    assert not any(("stream", "new") in key for key in told["sluice_stream_lag_messages"])
    assert one(told, "sluice_stream_messages_total", stream="people") == 28
    assert one(told, "sluice_stream_batches_total", stream="people") == 3
    assert one(told, "sluice_stream_failed_messages_total", stream="people") == 2
    assert one(told, "sluice_stream_retries_total", stream="people") == 7
    assert one(told, "sluice_stream_messages_per_second", stream="people") == 4.5
    assert one(told, "sluice_stream_stage_seconds_total", stream="people", stage="poll") == 1.5
    assert one(told, "sluice_stream_last_batch_timestamp_seconds", stream="people") == 1732314065.5


def test_the_shim_is_told_without_any_server(scrape: Scrape, statistics: Statistics):
    statistics.open, statistics.accepted, statistics.refused_for_limit = 2, 9, 3
    statistics.from_clients.bytes, statistics.from_server.bytes = 1000, 2000
    statistics.clauses["START STREAM"] += 4
    statistics.failed_clauses["START STREAM"] += 1
    told = scrape(free_port())
    assert one(told, "sluice_up") == 0
    assert one(told, "sluice_shim_open_connections") == 2
    assert one(told, "sluice_shim_accepted_connections_total") == 9
    assert one(told, "sluice_shim_refused_connections_total", reason="limit") == 3
    assert one(told, "sluice_shim_refused_connections_total", reason="upstream") == 0
    assert one(told, "sluice_shim_received_bytes_total", origin="client") == 1000
    assert one(told, "sluice_shim_received_bytes_total", origin="server") == 2000
    assert one(told, "sluice_shim_clauses_total", clause="START STREAM") == 4
    assert one(told, "sluice_shim_failed_clauses_total", clause="START STREAM") == 1


def test_it_signs_in_as_it_is_told(scrape: Scrape):
    def script(session: Session) -> None:
        session.shake_hands()
        session.expect(Tag.HELLO)
        session.say(messages.success())
        assert session.expect(Tag.LOGON).fields[0] == {
            "scheme": "basic",
            "principal": "prometheus",
            "credentials": "s3cret",
        }
        session.say(messages.failure("Memgraph.ClientError.Security.Unauthenticated", "Authentication failure"))

    with FakeServer(script) as server:
        assert one(scrape(server.port, user="prometheus", password="s3cret"), "sluice_up") == 0


def test_a_server_without_the_procedure_is_not_up(scrape: Scrape):
    def script(session: Session) -> None:
        session.log_in()
        session.expect_all(Tag.RUN, Tag.PULL)
        session.say(messages.failure("Memgraph.ClientError.MemgraphError.MemgraphError", "no such procedure"))
        session.say(messages.ignored())
        session.expect(Tag.RESET)
        session.say(messages.success())

    with FakeServer(script) as server:
        assert one(scrape(server.port), "sluice_up") == 0


def test_a_server_that_says_nothing_holds_nobody_up(
    scrape: Scrape, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(stream_reader, "STEP", 0.4)

    def script(session: Session) -> None:
        session.log_in()
        session.expect_all(Tag.RUN, Tag.PULL)
        with pytest.raises((EOFError, ConnectionError)):  # until the client has given up
            session.next()

    with FakeServer(script, answering(ROW)) as server, caplog.at_level("INFO", "sluice_tools.shim.metrics"):
        began = time.monotonic()
        assert one(scrape(server.port), "sluice_up") == 0
        assert time.monotonic() - began < 5
        assert one(scrape(server.port), "sluice_up") == 1
    told = [record.getMessage() for record in caplog.records if "metrics: the" in record.getMessage()]
    assert len(told) == 2
    assert re.fullmatch(r"metrics: the streams cannot be read: 127\.0\.0\.1:\d+: no answer in time", told[0])
    assert told[1] == "metrics: the streams can be read again"


def test_a_server_that_is_never_done_is_given_up(scrape: Scrape, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stream_reader, "PATIENCE", 0.2)
    monkeypatch.setattr(stream_reader, "STEP", 1.0)

    def script(session: Session) -> None:
        session.log_in()
        session.expect_all(Tag.RUN, Tag.PULL)
        with pytest.raises((EOFError, ConnectionError)):
            session.next()

    with FakeServer(script) as server:
        began = time.monotonic()
        assert one(scrape(server.port), "sluice_up") == 0
        assert time.monotonic() - began < 1


def test_clients_that_say_nothing_cost_few_threads(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http_server._Handler, "timeout", 0.2)
    before = threading.active_count()
    server = PooledServer("127.0.0.1", 0, lambda _, start: (start("200 OK", []), [b"x"])[1])
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        silent = [socket.create_connection(("127.0.0.1", server.server_port)) for _ in range(MAX_CLIENTS + 20)]
        # Those too many are closed at once, the others once they have been silent for too long.
        for client in silent:
            client.settimeout(60)
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(1) == b""
        assert threading.active_count() <= before + 1 + MAX_THREADS
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/", timeout=15) as answer:
            assert answer.read() == b"x"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        for client in silent:
            client.close()
