"""What procedures and the supervisor tell each other."""

from __future__ import annotations

import pytest

from sluice.supervising import shared_state
from sluice.supervising.shared_state import SharedState


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, as its only item."""
    now = [1000.0]
    monkeypatch.setattr("sluice.supervising.shared_state.time.monotonic", lambda: now[0])
    return now


def test_a_stream_is_overlooked_if_the_supervisor_looks_and_does_not_see_it(clock: list[float]) -> None:
    told = SharedState(history=10)
    clock[0] += 60
    assert not told.overlooked("a"), "nobody has looked yet"
    told.seen = frozenset({"b"})
    assert told.overlooked("a")
    assert not told.overlooked("b")
    told.announce_start("a")
    assert not told.overlooked("a"), "it may be committed in a moment"
    clock[0] += shared_state.TIME_TO_SEE + 0.1
    assert told.overlooked("a")
    told.forget_start("a")
    told.seen = frozenset({"a"})
    assert not told.overlooked("a")
