"""What a CREATE found out is there for the next try of it, once, and not for long."""

from __future__ import annotations

import pytest

from sluice.supervising import remembered
from sluice.supervising.remembered import MAX_ITEMS, SECONDS, Remembered


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, as its only item."""
    now = [1000.0]
    monkeypatch.setattr("sluice.supervising.remembered.time.monotonic", lambda: now[0])
    return now


def test_a_value_is_given_once(clock: list[float]) -> None:
    kept: Remembered[str] = Remembered()
    kept.keep(("a", 1), "x")
    assert kept.take(("a", 1)) == (clock[0] + SECONDS, "x")
    assert kept.take(("a", 1)) is None
    assert kept.take("b") is None


def test_it_does_not_live_longer_by_being_kept_again(clock: list[float]) -> None:
    kept: Remembered[str] = Remembered()
    kept.keep("a", "x")
    clock[0] += SECONDS - 1
    until, value = kept.take("a") or (0.0, "")
    kept.keep("a", value, until)
    clock[0] += 1
    assert kept.take("a") is None


def test_only_so_much_is_kept(clock: list[float]) -> None:
    kept: Remembered[int] = Remembered()
    for number in range(remembered.MAX_ITEMS + 1):
        kept.keep(number, number)
    assert kept.take(0) is None
    assert kept.take(MAX_ITEMS) is not None
