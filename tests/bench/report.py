"""What the benchmarks found, as tables and as a picture."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.latency import SHARES

Results = dict[str, list[dict[str, Any]]]


def tables(results: Results) -> list[Table]:
    """One for each kind of result that there is."""
    makers: dict[str, Callable[[list[dict[str, Any]]], Table]] = {
        "own": _own, "ingest": _ingest, "latency": _latency, "memory": _memory,
        "lanes": _lanes,
        "recovery": _recovery,
    }  # fmt: skip
    return [make(results[kind]) for kind, make in makers.items() if results.get(kind)]


def show(results: Results, console: Console) -> None:
    """Prints the tables."""
    for table in tables(results):
        console.print(table)


def picture(results: Results, path: Path) -> None:
    """Messages a second, a group of bars for each case; needs matplotlib (`pip install '.[bench]'`)."""
    import matplotlib as mpl  # noqa: PLC0415 - for who wants the picture only

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    cases = results.get("ingest", [])
    names = list(dict.fromkeys(name for case in cases for name in case["rates"]))
    figure, axes = plt.subplots(figsize=(max(6, 1.1 * len(cases)), 4.5), layout="constrained")
    width = 0.8 / max(1, len(names))
    for number, name in enumerate(names):
        heights = [_median(case["rates"].get(name, [])) for case in cases]
        axes.bar([place + number * width for place in range(len(cases))], heights, width, label=name)
    axes.set_xticks([place + 0.4 - width / 2 for place in range(len(cases))], [label(case) for case in cases])
    axes.set_ylabel("messages/s")
    axes.legend()
    figure.savefig(path)


def label(case: dict[str, Any]) -> str:
    """A case in a few lines."""
    extra = [f"{case[key]} {key}" for key in ("partitions", "streams") if case.get(key, 1) > 1]
    return "\n".join([case["workload"], f"by {case['batch']}", *extra])


def _own(results: list[dict[str, Any]]) -> Table:
    columns = ("messages/s", "plain loop", "share", "µs CPU/message", "plain loop", "share")
    table = _table("beside a server that accepts everything at once", *columns)
    for case in results:
        own, plain = case["own"], case["plain"]
        pairs = list(zip(own, plain, strict=True))
        table.add_row(
            *_case(case),
            _spread([one["rate"] for one in own]), _spread([one["rate"] for one in plain]),
            f"{_median(one['rate'] / other['rate'] for one, other in pairs):.2f}",
            f"{_median(one['cpu'] for one in own):.1f}", f"{_median(one['cpu'] for one in plain):.1f}",
            f"{_median(other['cpu'] / one['cpu'] for one, other in pairs):.2f}",
        )  # fmt: skip
    return table


def _ingest(results: list[dict[str, Any]]) -> Table:
    names = list(dict.fromkeys(name for case in results for name in case["rates"]))
    others = [name for name in names if name != "sluice"]
    columns = (*names, *(f"sluice : {name}" for name in others), *(f"µs CPU/message, {name}" for name in names))
    table = _table("messages/s into the graph", *columns)
    for case in results:
        rates = case["rates"]
        ratios = [_median(a / b for a, b in zip(rates["sluice"], rates.get(name, []), strict=False)) for name in others]
        table.add_row(
            *_case(case), *(_spread(rates.get(name, [])) for name in names), *(f"{x:.1f}" if x else "" for x in ratios),
            *(f"{_median(case['cpu'].get(name, [])):.1f}" for name in names),
        )  # fmt: skip
    return table


def _latency(results: list[dict[str, Any]]) -> Table:
    kinds = {"visible": "visible after", "queries": "other queries", "queries_idle": "without it"}
    columns = ("messages/s", *(f"{what}, {share}" for what in kinds.values() for share in SHARES))
    table = Table("contender", "batch", *columns, title="milliseconds at a steady rate")
    for case in results:
        figures = [f"{case[f'{kind}_{share}']:.1f}" for kind in kinds for share in SHARES]
        table.add_row(case["contender"], str(case["batch"]), str(case["rate"]), *figures)
    return table


def _memory(results: list[dict[str, Any]]) -> Table:
    table = _table("MiB of memory while messages wait", "idle", "at most", "transform at most")
    for case in results:
        for taken in case["own"]:
            sizes = (taken["idle_kb"], taken["peak_kb"], taken["transform_kb"])
            table.add_row(*_case(case), *(f"{size / 1024:.0f}" for size in sizes))
    return table


def _lanes(results: list[dict[str, Any]]) -> Table:
    table = Table("workload", "messages", "lanes", "messages/s", "times the first", "µs CPU/message", title="lanes")
    for case in results:
        first, *_ = case["lanes"].values()
        for lanes, taken in case["lanes"].items():
            ratio = _median(one["rate"] / other["rate"] for one, other in zip(taken, first, strict=True))
            cpu = _median(one["cpu"] for one in taken)
            rates = _spread([one["rate"] for one in taken])
            table.add_row(case["workload"], str(case["messages"]), str(lanes), rates, f"{ratio:.2f}", f"{cpu:.1f}")
    return table


def _recovery(results: list[dict[str, Any]]) -> Table:
    columns = ("streams", "first new message", "first answer after the kill")
    table = Table("contender", *columns, title="seconds after kill -9, under load")
    for case in results:
        table.add_row(
            case["contender"], str(case["streams"]),
            *(", ".join(f"{seconds:.1f}" for seconds in case[kind]) for kind in ("first_message", "boot")),
        )  # fmt: skip
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table("workload", "batch", "partitions", "streams", "messages", title=title)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _case(case: dict[str, Any]) -> list[str]:
    return [str(case[name]) for name in ("workload", "batch", "partitions", "streams", "messages")]


def _median(values: Iterable[float]) -> float:
    found = list(values)
    return statistics.median(found) if found else 0.0


def _spread(rates: Sequence[float]) -> str:
    return f"{_median(rates):,.0f} ({min(rates):,.0f}..{max(rates):,.0f})" if rates else ""
