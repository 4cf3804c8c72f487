"""What a CREATE found out is there for the next try of it, once, and not for long."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sluice.brokers.topic import Topics
from sluice.procedures import define
from sluice.supervising import remembered
from sluice.supervising.remembered import MAX_ITEMS, SECONDS, Remembered
from sluice.values.model import StreamSpec, Transform


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


def test_creates_that_differ_in_the_name_only_have_one_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several that met a conflict, each is quick when it is tried again."""
    fetched: list[str] = []

    def pin(uri: str, _: object, **options: object) -> Transform:
        fetched.append(uri)
        return Transform(uri, "", "")

    monkeypatch.setattr(define, "pin", pin)
    monkeypatch.setattr(define, "check_topics", lambda *_: Topics({}, frozenset()))
    process = SimpleNamespace(remembered=Remembered())
    streams: Any = SimpleNamespace(process=process, settings=None)
    specs = [StreamSpec(name, name, "k:9092", "t", Transform("/t.py", "", "")) for name in ("a", "b", "c")]
    for spec in specs:
        checked = define._checked(spec, streams)
        process.remembered.keep(checked.key, checked)
    assert len(fetched) == 3
    for spec in specs:
        define._checked(spec, streams)
    assert len(fetched) == 3
