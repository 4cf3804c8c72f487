"""The log stays readable where message after message is refused, and keeps none of them to itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sluice.engine.log_throttle import INTERVAL, MAX_REASONS, LogThrottle


class Log:
    """What was logged of a stream, by a clock of its own."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.now = 1000.0
        self.repeats = LogThrottle("orders", lambda: self.now)
        self._caplog = caplog

    @property
    def lines(self) -> list[str]:
        return [record.getMessage().removeprefix("stream orders: ") for record in self._caplog.records]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    return Log(caplog)


def test_the_first_of_each_reason_is_told_in_full_and_the_rest_as_a_number(log: Log):
    log.repeats.say("offset 1: bad; skip", "bad", 1)
    log.repeats.say("offset 2: bad; skip", "bad", 1)
    log.repeats.say("offset 3: worse; skip", "worse", 1)
    log.repeats.say("offsets 4 to 8: bad; skip", "bad", 5)
    assert log.lines == ["offset 1: bad; skip", "offset 3: worse; skip"]
    log.now += INTERVAL
    log.repeats.pulse()
    assert log.lines[2:] == ["6 more messages in the last 60 s, the latest: offsets 4 to 8: bad; skip"]


def test_reasons_that_are_all_different_are_bounded_too(log: Log):
    for number in range(10 * MAX_REASONS):
        log.repeats.say(f"offset {number}: reason {number}", f"reason {number}", 1)
    assert len(log.lines) == MAX_REASONS
    log.now += 30
    log.repeats.end()
    assert log.lines[MAX_REASONS:] == ["90 more messages in the last 30 s, the latest: offset 99: reason 99"]


def test_what_only_announces_something_is_not_counted(log: Log):
    for _ in range(3):
        log.repeats.say("bad; looking for the message", "bad", 0)
        log.repeats.say("offset 1: bad", "bad", 1)
    assert log.lines == ["bad; looking for the message", "offset 1: bad"]
    log.repeats.end()
    assert log.lines[2:] == ["2 more messages in the last 0 s, the latest: offset 1: bad"]


@pytest.mark.parametrize("ends", [LogThrottle.end, lambda repeats: repeats.say("offset 9: bad", "bad", 1)])
def test_after_that_it_is_told_in_full_again(log: Log, ends: Callable[[LogThrottle], object]):
    log.repeats.say("offset 1: bad", "bad", 1)
    log.now += INTERVAL
    ends(log.repeats)
    log.repeats.say("offset 10: bad", "bad", 1)
    assert log.lines[-1] == ("offset 10: bad" if ends is LogThrottle.end else "offset 9: bad")


def test_nothing_is_said_where_nothing_was_held_back(log: Log):
    log.repeats.say("offset 1: bad", "bad", 1)
    log.now += INTERVAL - 1
    log.repeats.pulse()
    log.repeats.end()
    log.repeats.end()
    assert log.lines == ["offset 1: bad"]
