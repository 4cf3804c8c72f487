"""
What the shim costs: the same loads sent straight to a server, through socat, and through the shim.

    python -m tests.bench.relay --upstream 127.0.0.1:7687 [--paths direct,socat,shim] [--rounds 5] [--json FILE]

socat is a relay in C that looks at nothing: no relay of two connections does much better, so it is the measure. All
paths take turns in each round, so that whatever else the machine does hits them alike; figures are medians of the
rounds. The other paths are what the shim's I/O was chosen from: bare relays, which look at nothing either.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.bench.relay_load import loads, medians_of
from tests.bench.relay_paths import PATHS, open_path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upstream", default="127.0.0.1:7687", help="a Memgraph without passwords, on this machine")
    parser.add_argument("--paths", default="direct,socat,shim,shim-asyncio", help=f"some of {','.join(PATHS)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each load of small queries")
    parser.add_argument("--loads", default="", help="only loads whose name contains this")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    words = parser.parse_args()
    paths = PATHS if words.paths == "all" else words.paths.split(",")
    chosen = {name: load for name, load in loads(words.seconds).items() if words.loads in name}
    upstream = int(words.upstream.rpartition(":")[2])
    measured: dict[str, dict[str, list[Mapping[str, float]]]] = {load: {path: [] for path in paths} for load in chosen}
    for number in range(words.rounds):
        for load, measure in chosen.items():
            # In another order each time: the first after a pause is not always the same.
            for path in [*paths[number % len(paths) :], *paths[: number % len(paths)]]:
                print(f"round {number + 1}, {load}, {path}", file=sys.stderr)
                with open_path(path, upstream) as (port, pid):
                    before = cpu_seconds(pid)
                    figures = {**measure(port)}
                    if pid is not None and path != "socat":  # which has a child for every connection
                        figures["cpu_s"] = cpu_seconds(pid) - before
                        figures["peak_mib"] = peak_memory(pid)
                measured[load][path].append(figures)
    medians = {
        load: {path: medians_of(rounds) for path, rounds in by_path.items()} for load, by_path in measured.items()
    }
    print(table(medians))
    if words.json is not None:
        machine = {"machine": platform.platform(), "cpus": os.cpu_count(), "python": platform.python_version()}
        everything = {**machine, "rounds": words.rounds, "median": medians, "measured": measured}
        words.json.write_text(json.dumps(everything, indent=1))


def table(medians: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """One line per path and load; `added` is what the path adds to the direct p50, in µs and as a part of socat's."""
    lines = []
    for load, by_path in medians.items():
        lines += ["", load]
        bulk = "mb_per_s" in next(iter(by_path.values()))
        columns = (
            ["MB/s", "of socat"] if bulk else ["p50 µs", "p99 µs", "added µs", "of socat", "queries/s", "of socat"]
        )
        lines.append("  ".join(["path".ljust(24), *(column.rjust(9) for column in columns), "cpu µs/q", "peak MiB"]))
        direct, socat = by_path.get("direct"), by_path.get("socat")
        for path, figures in by_path.items():
            lines.append("  ".join([path.ljust(24), *cells(figures, direct, socat)]))
    return "\n".join(lines)


def cells(
    figures: Mapping[str, float], direct: Mapping[str, float] | None, socat: Mapping[str, float] | None
) -> list[str]:
    def against_socat(key: str) -> str:
        return f"{figures[key] / socat[key]:.2f}".rjust(9) if socat else "-".rjust(9)

    cpu = figures["cpu_s"] / figures["queries"] * 1e6 if "cpu_s" in figures and "queries" in figures else None
    last = [f"{cpu:.0f}".rjust(8) if cpu else "-".rjust(8), f"{figures.get('peak_mib', 0):.0f}".rjust(8)]
    if "mb_per_s" in figures:
        return [f"{figures['mb_per_s']:.0f}".rjust(9), against_socat("mb_per_s"), *last]
    added = figures["p50_us"] - direct["p50_us"] if direct else 0.0
    of_socat = added / (socat["p50_us"] - direct["p50_us"]) if direct and socat and socat is not figures else 1.0
    return [
        f"{figures['p50_us']:.0f}".rjust(9),
        f"{figures['p99_us']:.0f}".rjust(9),
        f"{added:.0f}".rjust(9),
        f"{of_socat:.2f}".rjust(9),
        f"{figures['queries_per_s']:.0f}".rjust(9),
        against_socat("queries_per_s"),
        *last,
    ]


def cpu_seconds(pid: int | None) -> float:
    """CPU time of a process so far."""
    if pid is None:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_memory(pid: int) -> float:
    """The most memory that a process ever had, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    main()
