"""What keeps all streams from running is told, and they run as soon as it is over."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sluice.engine.host_state import HostState
from sluice.engine.run import Run
from sluice.folding import REASONS, Need
from sluice.host.attempts import Attempts
from sluice.host.installation import Installation
from sluice.host.settings import Settings
from sluice.persistence.probe import Findings
from sluice.persistence.stream_row import RUN_COLUMNS, StreamRow
from sluice.supervising import server_watch, supervisor
from sluice.supervising.server_watch import NO_EDGES, NO_TRANSACTIONS, ON_REPLICA
from sluice.supervising.shared_state import SharedState
from sluice.supervising.supervisor import Supervisor
from sluice.values.merge_keys import Constraint, MergeKeys, MergeShape
from sluice.values.model import CheckpointId, Desired, StreamSpec, Transform, VertexId
from tests.eventually import eventually

CATALOG = VertexId(1)
SPEC = StreamSpec("1", "s", "localhost:9092", "t", Transform("/t.py", "", ""))
ROW = StreamRow(
    VertexId(2), CheckpointId(VertexId(3), "1"), True, False, {**dict.fromkeys(RUN_COLUMNS, 1), "installation": None}
)


class Server:
    """What the supervisor asks of a server with one stream; a test changes what it is."""

    def __init__(self) -> None:
        self.main = True
        self.mode = "IN_MEMORY_TRANSACTIONAL"
        self.survives = True
        self.searches = 0
        self.catalogs = {CATALOG}
        self.looks = 0
        self.unique = False
        self.streams = [ROW]
        self.names: dict[VertexId, str] = {}
        self.findings = Findings({}, None, 0.0)
        self.probes = 0
        self.has_edge_index = False

    def __call__(self, _: Settings) -> Server:
        return self

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    @property
    def server(self) -> Server:
        return self

    def is_main(self) -> bool:
        return self.main

    def storage_mode(self) -> str:
        return self.mode

    def survives_violations(self) -> bool:
        return self.survives

    def uniqueness_constraints(self) -> frozenset[Constraint]:
        self.looks += 1
        return frozenset({("P", frozenset({"id"}))}) if self.unique else frozenset()

    def find_catalogs(self) -> set[VertexId]:
        return set(self.catalogs)

    def find_dropped(self) -> set[VertexId]:
        self.searches += 1
        return set()

    def list_streams(self, catalog: VertexId) -> list[StreamRow] | None:
        return self.streams if catalog in self.catalogs else None

    def open_creations(self) -> frozenset[str]:
        return frozenset()

    def probe(self) -> Findings:
        self.probes += 1
        return self.findings

    def may_index_relationships(self) -> bool:
        return self.has_edge_index

    def rename(self, stream: VertexId, _: str, name: str) -> None:
        self.names[stream] = name

    def desired(self, row: StreamRow) -> Desired:
        return Desired(row.stream_id, row.checkpoint_id, SPEC, generation=1, limit_batches=None)


class Idle:
    """A worker that does nothing."""

    def __init__(self, desired: Desired) -> None:
        self.desired = desired
        self.alive = True
        self.stopping = False
        self.unlabelled = False

    def start(self) -> None:
        """Nothing to start."""

    def stop(self) -> None:
        self.alive, self.stopping = False, True

    def unlabel(self) -> None:
        self.unlabelled = True

    def join(self, _: float) -> bool:
        return True


@contextmanager
def running(
    server: Server, monkeypatch: pytest.MonkeyPatch, host: HostState | None = None
) -> Iterator[tuple[SharedState, list[Idle]]]:
    """A supervisor with that server; the workers it has made."""
    shared, workers = SharedState(1, host), []

    def new_worker(run: Run) -> Idle:
        assert not run.only_retries
        workers.append(Idle(run.desired))
        return workers[-1]

    monkeypatch.setattr(supervisor, "open_loopback", server)
    monkeypatch.setattr(server_watch, "MODE_INTERVAL", 0.02)
    monkeypatch.setattr(server_watch, "CONSTRAINT_INTERVAL", 0.02)
    monkeypatch.setattr(supervisor, "Worker", new_worker)
    supervised = Supervisor(Settings(poll_interval=0.01), shared)
    thread = threading.Thread(target=supervised.run)
    thread.start()
    try:
        yield shared, workers
    finally:
        supervised.stop(hurry=True)
        thread.join()


@pytest.mark.parametrize(
    ("fact", "value", "trouble"),
    [
        ("mode", "IN_MEMORY_ANALYTICAL", NO_TRANSACTIONS),
        ("mode", "ON_DISK_TRANSACTIONAL", NO_EDGES),
        ("main", False, ON_REPLICA),
    ],
    ids=["analytical", "on disk", "replica"],
)
def test_streams_wait_where_they_cannot_run_and_say_why(
    monkeypatch: pytest.MonkeyPatch, fact: str, value: object, trouble: str | None
) -> None:
    server = Server()
    right = getattr(server, fact)
    setattr(server, fact, value)
    with running(server, monkeypatch) as (shared, workers):
        eventually(lambda: shared.trouble, equals=trouble)
        assert not workers
        setattr(server, fact, right)
        eventually(lambda: len(workers), equals=1)
        eventually(lambda: shared.trouble is None)
        setattr(server, fact, value)
        eventually(lambda: shared.trouble, equals=trouble)
        eventually(lambda: not workers[0].alive)
        setattr(server, fact, right)
        eventually(lambda: len(workers), equals=2)
    # What was dropped while somebody else ruled is looked for each time.
    assert server.searches == 2


def test_a_catalog_is_looked_for_and_never_made(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    server.catalogs.clear()
    with running(server, monkeypatch) as (shared, workers):
        # An instance that has written by itself could not become a replica.
        eventually(lambda: shared.no_catalog)
        assert not server.catalogs
        server.catalogs.add(CATALOG)  # by hand, or from a dump
        shared.want_catalog()
        eventually(lambda: len(workers), equals=1)
        assert not shared.no_catalog


def test_a_catalog_that_takes_the_place_of_another_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    with running(server, monkeypatch) as (shared, workers):
        eventually(lambda: len(workers), equals=1)
        server.catalogs = {VertexId(99)}  # as RECOVER SNAPSHOT does
        eventually(shared.catalogs, equals=[VertexId(99)])
        server.catalogs.clear()
        eventually(lambda: shared.no_catalog)
        assert shared.catalogs() == []


def test_a_server_that_the_fence_does_not_hold_on_runs_no_stream_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    server.findings = Findings({}, "the streams cannot run on this server: no assert()", 0.001)
    with running(server, monkeypatch) as (shared, workers):
        eventually(lambda: shared.trouble, equals=server.findings.refusal)
        assert not workers
        assert shared.host.summary() == server.findings.refusal
    assert server.probes == 1


def test_a_server_that_the_fence_does_not_hold_on_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_watch, "PROBE_INTERVAL", 0.02)
    server = Server()
    server.findings = Findings({}, "the streams cannot run on this server: it was busy", 0.001)
    with running(server, monkeypatch) as (shared, workers):
        eventually(lambda: shared.trouble, equals=server.findings.refusal)
        server.findings = Findings({}, None, 0.001)
        eventually(lambda: len(workers), equals=1)


def test_what_folding_may_do_follows_what_the_server_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_watch, "INDEX_INTERVAL", 0.02)
    server = Server()
    server.findings = Findings({Need.MERGE: "found 2"}, None, 0.001)
    with running(server, monkeypatch) as (shared, workers):
        eventually(lambda: len(workers), equals=1)
        assert shared.host.lacks() == {Need.MERGE}
        server.has_edge_index = True
        eventually(shared.host.lacks, equals=frozenset([Need.MERGE, Need.RELATIONSHIPS]))
        assert shared.host.limits()[0] == f"{REASONS[Need.MERGE]} (found 2)"
        server.has_edge_index = False
        eventually(shared.host.lacks, equals=frozenset([Need.MERGE]))
    assert server.probes == 1


def test_of_two_streams_of_one_name_the_newer_gets_another(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    rows = [row(number, name) for number, name in ((7, "s"), (5, "s"), (6, "s_2"))]
    server.streams = rows
    with running(server, monkeypatch):
        eventually(lambda: server.names, equals={VertexId(7): "s_3"})


def row(number: int, name: str) -> StreamRow:
    return StreamRow(
        VertexId(number), CheckpointId(VertexId(3), f"{number}"), False, False, {"uid": f"{number}", "name": name}
    )


def test_workers_are_told_of_a_uniqueness_constraint_that_is_made_while_they_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server()
    with running(server, monkeypatch) as (_, workers):
        eventually(lambda: len(workers), equals=1)
        looks = server.looks
        eventually(lambda: server.looks > looks + 10)
        assert not workers[0].unlabelled
        server.unique = True
        eventually(lambda: workers[0].unlabelled)


@pytest.mark.parametrize("survives", [True, False])
def test_constraints_are_learnt_and_relied_on_where_they_do_the_server_no_harm(
    monkeypatch: pytest.MonkeyPatch, survives: bool
) -> None:
    server = Server()
    server.survives, server.unique = survives, True
    shape = MergeShape(False, frozenset({"P"}), frozenset({"id"}), frozenset({"id"}), None, frozenset({"P"}))
    keys = MergeKeys({shape: frozenset({1})})
    with running(server, monkeypatch) as (shared, _):
        shared.announce_catalog(CATALOG)
        eventually(lambda: len(shared.guard.constraints), equals=1)
        assert isinstance(shared.guard.try_acquire((1, 1), keys), int)
        assert isinstance(shared.guard.try_acquire((2, 2), keys), int) is survives


def test_a_stream_that_another_server_started_is_left_to_it_unless_this_was_its_replica(monkeypatch, tmp_path):
    server = Server()
    server.streams = [ROW._replace(properties={**ROW.properties, "installation": "another"})]
    host = HostState(Attempts(None), Installation(tmp_path / "here.json"))
    with running(server, monkeypatch, host) as (shared, workers):
        eventually(lambda: shared.seen == frozenset({ROW.uid}))
        assert workers == []
        server.main = False
        shared.ring()
        eventually(lambda: shared.trouble == ON_REPLICA)
        server.main = True
        shared.ring()
        eventually(lambda: len(workers), equals=1)
