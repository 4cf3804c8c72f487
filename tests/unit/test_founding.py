"""One transaction at a time makes the catalog, and none is waited for longer than it is open."""

from __future__ import annotations

from typing import cast

import pytest

from sluice.persistence.loopback import Loopback
from sluice.persistence.names import distinct_names
from sluice.supervising.founding import BLIND_GRACE, GRACE, Founding
from sluice.supervising.shared_state import MAX_FOUNDING, SharedState
from sluice.values.model import VertexId

FIRST, SECOND = VertexId(1), VertexId(2)


class Server:
    """Which transactions a server says are open."""

    def __init__(self, *creating: str, blind: bool = False) -> None:
        self.creating = frozenset(creating)
        self.blind = blind

    @property
    def server(self) -> Server:
        return self

    def open_creations(self) -> frozenset[str] | None:
        return None if self.blind else self.creating


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, as its only item."""
    now = [1000.0]
    monkeypatch.setattr("sluice.supervising.founding.time.monotonic", lambda: now[0])
    return now


def has_failed(looking: Founding, server: Server, begun: float | None) -> bool:
    return looking.has_failed(cast(Loopback, server), begun)


def test_a_second_catalog_is_not_begun_beside_one_that_is_there_or_may_come() -> None:
    shared = SharedState(history=1)
    assert shared.begin_catalog(FIRST)
    assert not shared.begin_catalog(SECOND)
    shared.announce_catalog(FIRST)
    assert shared.catalog_begun(FIRST) is None
    assert not shared.begin_catalog(SECOND)
    shared.forget_catalog(FIRST)
    assert shared.begin_catalog(SECOND)
    assert shared.catalogs() == [SECOND]


def test_a_catalog_that_nobody_finds_out_about_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("sluice.supervising.shared_state.time.monotonic", lambda: now[0])
    shared = SharedState(history=1)
    shared.begin_catalog(FIRST)
    now[0] += MAX_FOUNDING - 1
    assert not shared.begin_catalog(SECOND)
    now[0] += 1
    assert shared.begin_catalog(SECOND)


def test_a_reload_takes_over_what_is_open(clock: list[float]) -> None:
    before, after = SharedState(history=1), SharedState(history=1)
    before.begin_catalog(FIRST)
    clock[0] += 1
    after.adopt(before)
    assert not after.begin_catalog(SECOND)
    assert after.catalog_begun(FIRST) == clock[0]


def test_a_catalog_that_was_committed_and_is_not_there_was_deleted(clock: list[float]) -> None:
    assert has_failed(Founding(), Server(blind=True), None)


def test_a_catalog_is_waited_for_while_its_transaction_is_open_and_a_little_longer(clock: list[float]) -> None:
    looking, server, begun = Founding(), Server("7"), clock[0]
    for _ in range(100):
        assert not has_failed(looking, server, begun)
        clock[0] += GRACE / 2
    server.creating = frozenset()
    assert not has_failed(looking, server, begun)
    clock[0] += GRACE / 2
    assert has_failed(looking, server, begun)


def test_those_who_try_again_and_again_do_not_keep_it_from_being_known(clock: list[float]) -> None:
    looking, server, begun = Founding(), Server("7", "8"), clock[0]
    assert not has_failed(looking, server, begun)
    failed = False
    for number in range(9, 30):
        clock[0] += GRACE / 4
        server.creating = frozenset({str(number)})
        failed = failed or has_failed(looking, server, begun)
    assert failed


def test_another_catalog_is_waited_for_anew(clock: list[float]) -> None:
    looking, server = Founding(), Server("7")
    assert not has_failed(looking, server, clock[0])
    clock[0] += 10 * GRACE
    server.creating = frozenset({"9"})
    for _ in range(10):
        assert not has_failed(looking, server, 1005.0)
        clock[0] += GRACE / 2


def test_a_server_that_does_not_tell_is_given_more_time(clock: list[float]) -> None:
    looking, server, begun = Founding(), Server(blind=True), clock[0]
    clock[0] += BLIND_GRACE - 0.1
    assert not has_failed(looking, server, begun)
    clock[0] += 0.1
    assert has_failed(looking, server, begun)


@pytest.mark.parametrize(
    ("names", "distinct"),
    [
        ([], []),
        (["a", "b"], ["a", "b"]),
        (["a", "a"], ["a", "a_2"]),
        (["a", "a", "a_2", "a"], ["a", "a_3", "a_2", "a_4"]),
        (["a_2", "a", "a", "a_2"], ["a_2", "a", "a_3", "a_2_2"]),
    ],
)
def test_streams_of_one_name_are_told_apart(names: list[str], distinct: list[str]) -> None:
    given = {VertexId(number): name for number, name in reversed(list(enumerate(names)))}
    assert distinct_names(given) == {VertexId(number): name for number, name in enumerate(distinct)}
