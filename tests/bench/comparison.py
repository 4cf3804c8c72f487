"""What the benchmarks found, beside what they found before: on another commit, another server, another machine."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from rich.table import Table

from tests.bench.latency import SHARES
from tests.bench.report import Results, label

ENOUGH = 3
"Rounds of each side. By chance alone, one figure of 10 is beyond the noise with 3 rounds, and one of 126 with 5."

RATE, CPU = "messages/s", "µs CPU/message"


class Figure(NamedTuple):
    """One figure of one case."""

    case: str
    name: str
    rounds: Sequence[float]

    @property
    def key(self) -> tuple[str, str]:
        """What is compared with what."""
        return self.case, self.name


class Change(NamedTuple):
    """A figure, and what it was."""

    now: Figure
    before: Figure

    @property
    def ratio(self) -> float:
        """Median by median: above 1 is better, whatever the figure is."""
        new, old = (statistics.median(one.rounds) for one in self)
        better, worse = (new, old) if self.now.name.endswith(RATE) else (old, new)
        return better / worse if worse else float("inf") if better else 1.0

    @property
    def verdict(self) -> str:
        """Whether all rounds of one side are better than all of the other."""
        if min(len(one.rounds) for one in self) < ENOUGH:
            return f"fewer than {ENOUGH} rounds"
        new, old = self.now.rounds, self.before.rounds
        if min(new) > max(old) or max(new) < min(old):
            return "better" if self.ratio > 1 else "worse"
        return "within the noise"


def changes(now: Results, before: Results) -> list[Change]:
    """Every figure that both have."""
    known = {figure.key: figure for figure in figures(before)}
    return [Change(figure, known[figure.key]) for figure in figures(now) if figure.key in known]


def table(found: Sequence[Change], before: str) -> Table:
    """A row for each; `before`: on what the other side was measured."""
    drawn = Table("case", "figure", title=f"beside {before}")
    for column in ("before", "now", "better by", ""):
        drawn.add_column(column, justify="right")
    for change in found:
        spreads = (_spread(one.rounds) for one in (change.before, change.now))
        drawn.add_row(change.now.case, change.now.name, *spreads, f"{change.ratio:.2f}", change.verdict)
    return drawn


def figures(results: Results) -> list[Figure]:
    """What can be compared of results, each with one value for each round."""
    makers = {
        "own": _own, "ingest": _ingest, "lanes": _lanes, "memory": _memory, "recovery": _recovery, "latency": _latency
    }  # fmt: skip
    return [figure for kind, make in makers.items() for case in results.get(kind, []) for figure in make(case)]


def _own(case: dict[str, Any]) -> Iterator[Figure]:
    for who in ("own", "plain"):
        yield from _taken(f"own: {_case(case)}", who, case[who])


def _ingest(case: dict[str, Any]) -> Iterator[Figure]:
    for who, rates in case["rates"].items():
        yield Figure(f"ingest: {_case(case)}", f"{who}, {RATE}", rates)
        yield Figure(f"ingest: {_case(case)}", f"{who}, {CPU}", case["cpu"][who])


def _lanes(case: dict[str, Any]) -> Iterator[Figure]:
    for lanes, rounds in case["lanes"].items():
        yield from _taken(f"lanes: {case['workload']}", f"lanes: {lanes}", rounds)


def _memory(case: dict[str, Any]) -> Iterator[Figure]:
    for size in ("idle_kb", "peak_kb", "transform_kb"):
        yield Figure(f"memory: {_case(case)}", size, [one[size] for one in case["own"]])


def _recovery(case: dict[str, Any]) -> Iterator[Figure]:
    yield Figure(f"recovery: streams: {case['streams']}", f"{case['contender']}, s", case["first_message"])


def _latency(case: dict[str, Any]) -> Iterator[Figure]:
    for what in (f"{kind}_{share}" for kind in ("visible", "queries") for share in SHARES):
        if what in case:
            yield Figure(f"latency: by {case['batch']}", f"{case['contender']}, {what}, ms", [case[what]])


def _taken(case: str, who: str, rounds: Sequence[dict[str, Any]]) -> Iterator[Figure]:
    yield Figure(case, f"{who}, {RATE}", [one["rate"] for one in rounds])
    yield Figure(case, f"{who}, {CPU}", [one["cpu"] for one in rounds])


def _case(case: dict[str, Any]) -> str:
    return label(case).replace("\n", " ")


def _spread(rounds: Sequence[float]) -> str:
    digits = 0 if min(rounds) >= 100 else 2
    ends = f" ({min(rounds):,.{digits}f}..{max(rounds):,.{digits}f})" if len(rounds) > 1 else ""
    return f"{statistics.median(rounds):,.{digits}f}{ends}"
