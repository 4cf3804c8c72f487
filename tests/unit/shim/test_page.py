"""The page beside the metrics: what it is told, to whom, and that it loads nothing from elsewhere."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from sluice.errors import ConnectionLost, QueryRefused
from sluice_tools.shim.metrics import exposition, recorder
from sluice_tools.shim.metrics.exposition import exposed
from sluice_tools.shim.metrics.http_server import PooledServer
from sluice_tools.shim.metrics.pages import FILES, FOLDER, is_here
from sluice_tools.shim.metrics.recorder import ERRORS, FOLDING, PARKED, PROGRESS
from sluice_tools.shim.metrics.stream_reader import ServerQueries
from sluice_tools.shim.settings import Address, MetricsSettings, ShimSettings
from sluice_tools.shim.statistics import Statistics
from tests.eventually import eventually
from tests.unit.shim.test_metrics import ROW as WHOLE

ROW = {**WHOLE, "queries": 28, "sent": 4}
NEW = {**ROW, "name": "new", "status": "stopped"}
FOLDED = {"folding": WHOLE["folding"]}

FAILURES = [{"time": "2026-11-29T10:00:00.000Z", "action": "park", "partition": 0, "offset": 7, "error": "no <number>"}]
WAITING = [{"partition": 0, "offset": 7, "attempts": 1, "error": "no <number>"}]
Answer = tuple[int, dict[str, str], bytes]


class Server:
    """What the server behind the shim answers."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = [ROW, NEW]
        self.fault: Exception | None = None
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def fetch(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        self.asked.append((query, parameters))
        if self.fault:
            raise self.fault
        return {PROGRESS: self.rows, FOLDING: [FOLDED], ERRORS: FAILURES, PARKED: WAITING}[query]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    found = Server()
    monkeypatch.setattr(ServerQueries, "fetch", lambda _, query, **parameters: found.fetch(query, **parameters))
    return found


@pytest.fixture
def get(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Answer]]:
    """Serves the page, and asks for what is at a path."""
    servers: list[PooledServer] = []

    def start(*words: Any) -> PooledServer:
        servers.append(PooledServer(*words))
        return servers[-1]

    monkeypatch.setattr(exposition, "PooledServer", start)
    monkeypatch.setattr(recorder, "FRESH", 0.02)
    monkeypatch.setattr(recorder, "INTERVAL", 0.05)
    here = Address("127.0.0.1", 0)
    with ExitStack() as ending:
        ending.enter_context(exposed(ShimSettings(here, (here,)), MetricsSettings(here, page=True), Statistics()))

        def ask(path: str, method: str = "GET", **headers: str) -> Answer:
            connection = http.client.HTTPConnection("127.0.0.1", servers[0].server_port, timeout=10)
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            told = answer.status, dict(answer.getheaders()), answer.read()
            connection.close()
            return told

        yield ask


def test_streams_now(get: Callable[..., Answer], server: Server) -> None:
    told = eventually(lambda: json.loads(get("/streams.json")[2])["streams"])
    # Once they are read again, nothing has changed since.
    assert (told[0].pop("rate"), told[0].pop("catch_up")) in [(4.5, ""), (0.0, "falls behind")]
    assert told[0] == {
        "name": "people",
        "topic": "persons",
        "status": "running",
        "reason": None,
        "messages": 28,
        "failed": 2,
        "retries": 7,
        "retrying": False,
        "lag": 5,
        "last_error": None,
        "queries": 28,
        "sent": 4,
    }
    error = {"time": "2026-11-29T10:00:00.000Z", "error": "<b>refused"}
    server.rows = [{**ROW, "status": "error", "reason": "query refused", "last_error": error}]
    told = eventually(lambda: [row for row in json.loads(get("/streams.json")[2])["streams"] if row["reason"]])
    assert [row["name"] for row in told] == ["people"]  # the other one was dropped
    assert told[0]["last_error"] == "2026-11-29T10:00:00.000Z <b>refused"


def test_the_last_hour(get: Callable[..., Answer], server: Server) -> None:
    told = eventually(lambda: json.loads(get("/history.json")[2]), timeout=10)
    eventually(lambda: len(json.loads(get("/history.json")[2])["people"]) > 3)
    assert set(told) == {"people", "new"}
    moment, rate, lag = told["people"][0]
    assert (rate, lag, told["new"][0][2]) == (4.5, 5, 5)
    assert 1.7e9 < moment < 1e11


def test_failed_and_parked_messages_are_read_when_they_are_others(get: Callable[..., Answer], server: Server) -> None:
    def details() -> Any:
        return json.loads(get("/stream.json?name=people")[2])

    eventually(lambda: details()["errors"] == FAILURES)
    assert details() == {
        "errors": FAILURES,
        "parked": WAITING,
        "texts": {"MERGE (n)": "no key"},
    }

    def readings() -> int:
        return sum(query == PROGRESS for query, _ in server.asked)

    seen = readings()
    eventually(lambda: readings() > seen + 3)
    # One query for all; those of a stream only once, while nothing about its failures changes.
    assert [words for query, words in server.asked if query == ERRORS] == [{"name": "people"}, {"name": "new"}]
    server.rows = [{**ROW, "failed": 3}, NEW]
    eventually(lambda: [words["name"] for query, words in server.asked if query == PARKED][2:], equals=["people"])
    assert json.loads(get("/stream.json?name=nobody")[2]) is None


@pytest.mark.parametrize("fault", [ConnectionLost("127.0.0.1:1: Connection refused"), QueryRefused("no", code="x")])
def test_a_server_that_cannot_be_read_is_told(get: Callable[..., Answer], server: Server, fault: Exception) -> None:
    eventually(lambda: json.loads(get("/streams.json")[2])["streams"])
    server.fault = fault
    told = eventually(lambda: (found := json.loads(get("/streams.json")[2]))["fault"] and found)
    assert told["fault"] == str(fault)
    assert len(told["streams"]) == 2  # as they were
    server.fault = None
    eventually(lambda: json.loads(get("/streams.json")[2])["fault"] is None)


def test_who_looks_sees_what_is_now_at_one_query_a_second_at_most(
    get: Callable[..., Answer], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    eventually(lambda: len(server.asked) > 2)
    monkeypatch.setattr(recorder, "INTERVAL", 60.0)
    monkeypatch.setattr(recorder, "WAIT", 10.0)

    def shown() -> Any:
        return json.loads(get("/streams.json")[2])["streams"][0]["messages"]

    for messages in range(100, 103):
        server.rows = [{**ROW, "messages": messages}]
        eventually(shown, equals=messages)
    monkeypatch.setattr(recorder, "FRESH", 60.0)
    asked = len(server.asked)
    for _ in range(3):
        assert shown() == 102
    assert len(server.asked) == asked


def test_the_page_loads_nothing_from_elsewhere(get: Callable[..., Answer]) -> None:
    for path, name in FILES.items():
        status, headers, content = get(path)
        assert (status, content) == (200, (FOLDER / name).read_bytes())
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert headers["X-Content-Type-Options"] == "nosniff"
        addresses = set(re.findall(rb"\w+://[^\s'\"]+", content))
        assert addresses <= {b"http://www.w3.org/2000/svg"}, addresses
        assert not re.search(rb"innerHTML|outerHTML|insertAdjacent|document\.write|style=|onclick=", content)
    page = (FOLDER / "page.html").read_text("utf-8")
    script = (FOLDER / "page.js").read_text("utf-8")
    assert set(re.findall(r"\bat\('([\w-]+)'\)", script)) <= set(re.findall(r'id="([\w-]+)"', page))


def test_it_is_read_only_and_for_those_who_name_this_machine(get: Callable[..., Answer]) -> None:
    assert get("/streams.json", "POST")[0] == 405
    for path in ("/", "/streams.json", "/history.json", "/stream.json?name=people"):
        assert get(path, Host="rebound.example.org")[0] == 403
        assert get(path, Host="localhost:9688")[0] == 200
    # Prometheus asks by whatever name, and gets numbers only.
    status, _, content = get("/metrics", Host="shim.example.org")
    assert status == 200
    assert b"sluice_stream_lag_messages" in content


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True),
        ("localhost:9688", True),
        ("127.0.0.1:9688", True),
        ("[::1]:9688", True),
        ("10.0.0.7", True),
        ("", False),
        ("example.org:9688", False),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org", False),
        ("[::1", False),
    ],
)
def test_hosts(host: str, here: bool) -> None:
    assert is_here(host) is here
