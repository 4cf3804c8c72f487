"""Waiting for something without sleeping for a guessed time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")


class _Anything:
    """The default of `equals`: whatever is true will do."""


ANYTHING: Final = _Anything()


MOST_SLACK = 8.0


def slack() -> float:
    """
    How many times as long as on an idle machine things may take: how many processes want each processor, by the load
    average of the last minute, from 1 to MOST_SLACK.
    """
    return min(MOST_SLACK, max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)))


def within(seconds: float, began: float) -> bool:
    """Whether no more than so many seconds of an idle machine have passed since `began` (`time.monotonic`)."""
    return time.monotonic() - began < seconds * slack()


def eventually(
    check: Callable[[], T], *, timeout: float = 10.0, interval: float = 0.05, equals: T | _Anything = ANYTHING
) -> T:
    """
    Call `check` until it gives something true, or what `equals` says, and return that.

    An exception means "not yet". So does None, and every other value that is not true: a check made of asserts has
    to return something, or forgetting a `return` would pass.

    Args:
        timeout: seconds of an idle machine from now (`slack`); the last call may end later.
        interval: seconds between two calls.
        equals: wait for this value instead, false ones included; the failure then shows both.

    Raises:
        AssertionError: the time is over; carries the last value or the last exception.
    """
    began = time.monotonic()
    while True:
        error: Exception | AssertionError | None = None
        try:
            value = check()
        except Exception as caught:
            error, seen = caught, f"{type(caught).__name__}: {caught}"
        else:
            if bool(value) if isinstance(equals, _Anything) else value == equals:
                return value
            seen = repr(value)
        if not within(timeout, began):
            wanted = "something true" if isinstance(equals, _Anything) else repr(equals)
            raise AssertionError(f"not within {timeout:g} s: expected {wanted}, last seen {seen}") from error
        time.sleep(interval)
