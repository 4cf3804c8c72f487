"""
What to do so that what runs is what is wanted. Pure: all policy of the supervisor is here, where it is a table test.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Stop:
    """Ask the worker of this stream's lane to end."""

    key: str


@dataclass(frozen=True)
class Start:
    """Start a worker for this stream's lane."""

    key: str


Action = Stop | Start


class Running(NamedTuple):
    """A worker that has not ended."""

    run: Hashable
    "The run it was started for."
    stopping: bool
    "It was asked to end."


def plan(desired: Mapping[str, Hashable], running: Mapping[str, Running]) -> list[Action]:
    """
    The actions, stops first. A changed stream is stopped, and started once its worker is gone: never two workers for
    one stream.

    Args:
        desired: the runs that there should be, by the keys of the streams' lanes (`key_of`).
        running: the workers that there are, by the same.
    """
    stops = [Stop(key) for key, worker in running.items() if not worker.stopping and desired.get(key) != worker.run]
    starts = [Start(key) for key in desired if key not in running]
    return [*stops, *starts]
