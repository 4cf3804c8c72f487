"""What the benchmarks say beside an earlier run: only figures whose rounds do not overlap are better or worse."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from tests.bench.comparison import changes, figures, table
from tests.bench.report import Results

CASE = {"workload": "edges", "batch": 10, "messages": 100, "partitions": 8, "streams": 1}


def ingest(rates: list[float], cpu: list[float]) -> Results:
    return {"ingest": [{**CASE, "rates": {"sluice": rates}, "cpu": {"sluice": cpu}}]}


@pytest.mark.parametrize(
    ("before", "now", "ratio", "verdict"),
    [
        ([100, 110, 120], [200, 220, 240], 2.0, "better"),
        ([200, 220, 240], [100, 110, 120], 0.5, "worse"),
        ([100, 110, 120], [119, 121, 300], 1.1, "within the noise"),
        ([100, 110], [200, 220], 2.0, "fewer than 3 rounds"),
    ],
)
def test_rates_and_processor_time(before: list[float], now: list[float], ratio: float, verdict: str) -> None:
    faster, leaner = changes(ingest(now, before), ingest(before, now))
    for change in (faster, leaner):  # more messages, and less time for each
        assert (round(change.ratio, 1), change.verdict) == (ratio, verdict)


def test_cases_that_only_one_side_has_are_left_out() -> None:
    other: Results = {"ingest": [{**CASE, "batch": 1000, "rates": {"sluice": [1]}, "cpu": {"sluice": [1]}}]}
    assert changes(ingest([1], [1]), other) == []


def test_all_kinds_of_results_after_a_file_has_held_them() -> None:
    taken = [{"rate": 9.0, "cpu": 2.0, "idle_kb": 1, "peak_kb": 2, "transform_kb": 3}] * 3
    results: Results = {
        "own": [{**CASE, "own": taken, "plain": taken}],
        **ingest([1, 2, 3], [1, 2, 3]),
        "lanes": [{"workload": "busy", "messages": 9, "lanes": {1: taken, 2: taken}}],
        "memory": [{**CASE, "own": taken}],
        "recovery": [{"contender": "native", "streams": 20, "first_message": [0.5], "boot": [1.0]}],
        "latency": [{"contender": "sluice", "batch": 10, "visible_p50": 101.5, "queries_p999": 3.0}],
    }
    found = changes(results, json.loads(json.dumps(results)))
    assert len(found) == len(figures(results)) == 4 + 2 + 4 + 3 + 1 + 2
    assert {round(change.ratio, 3) for change in found} == {1.0}
    shown = io.StringIO()
    Console(file=shown, width=160).print(table(found, "abc1234, Linux, memgraph"))
    assert "ingest: edges by 10 8 partitions" in shown.getvalue()
    assert "9.00" in shown.getvalue()
