"""What the lanes of a stream report, as one report of the stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sluice.engine.status import WorkerState
from sluice.values.lane import Lane
from sluice.values.model import Folding


def joined_state(states: Mapping[int, WorkerState | None], lanes: int) -> WorkerState | None:
    """
    How the workers of a stream stand together: it reads if all read; a trouble is that of the first that has one.

    Args:
        states: those of the lanes that are to have a worker, by their numbers.
        lanes: how many the stream has.
    """
    known = {lane: state for lane, state in states.items() if state is not None}
    if lanes == 1 or not known:
        return next(iter(known.values()), None)
    lane, first = next(((lane, one) for lane, one in known.items() if one.trouble is not None), (0, WorkerState()))
    watermarks = [state.watermarks for state in known.values()]
    return WorkerState(
        assigned=len(known) == len(states) and all(state.assigned for state in known.values()),
        trouble=first.trouble and f"{Lane(lane, lanes)}: {first.trouble}",
        since=first.since,
        next_try=first.next_try,
        watermarks=None if None in watermarks else {p: ends for one in watermarks for p, ends in (one or {}).items()},
        only_retries=any(state.only_retries for state in known.values()),
    )


def joined_folding(lanes: Sequence[Folding]) -> Folding:
    """What became of the queries of all lanes."""
    texts = {text: how for one in lanes for text, how in one.texts.items()}
    return Folding(sum(one.given for one in lanes), sum(one.sent for one in lanes), texts)


def joined_waits(lanes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """As `Waits.as_map`, of all lanes."""
    return {
        "count": sum(one["count"] for one in lanes),
        "ms": round(sum(one["ms"] for one in lanes), 3),
        "for": dict(sum((Counter(one["for"]) for one in lanes), Counter())),
        "waiting": next((one["waiting"] for one in lanes if one["waiting"]), None),
    }


def joined_counts(lanes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """As `Monitor.counts`, of all lanes."""
    if len(lanes) == 1:
        return {name: lanes[0][name] for name in ("rates", "retries", "last_error")}
    return {
        "rates": _summed(lanes, "rates"),
        "retries": sum(one["retries"] for one in lanes),
        "last_error": _latest(lanes, "last_error"),
    }


def joined_figures(lanes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """As `Monitor.figures`, of all lanes."""
    return {
        **joined_counts(lanes),
        "times_ms": _summed(lanes, "times_ms"),
        "last_batch": _latest(lanes, "last_batch"),
    }


def _summed(lanes: Sequence[Mapping[str, Any]], name: str) -> dict[str, float]:
    return {key: round(sum(one[name][key] for one in lanes), 3) for key in lanes[0][name]}


def _latest(lanes: Sequence[Mapping[str, Any]], name: str) -> Any:
    return max((one[name] for one in lanes if one[name] is not None), key=lambda one: str(one["time"]), default=None)
