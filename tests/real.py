"""
`make real MEMGRAPH=path`: everything that a real Memgraph can show of Sluice, in steps, and one table at the end.

    integration   the integration tests
    folding       random batches, folded against one by one
    faults        the fault harness: messages lost and imported twice, under kills of the host and the broker
    ingest        messages per second beside Memgraph's own streams

A step that fails does not keep the next from running. The table is Markdown, for docs/compatibility.md. Each step's
output is in a file of the folder that `--output` names.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.hosts.options import setting

ROOT = Path(__file__).resolve().parent.parent

MAX_NAMES = 10
"Failed tests that the table names."

GRACE = 60.0
"Seconds that a step which is told to end has to stop its servers."

TOTAL = re.compile(r"^total: (\d+) messages, (\d+) host kills, ((?:\d+ [a-z ]+(?:, )?)+); (.+)$", re.MULTILINE)

CASES = "vertices:1000,edges:1000,mixed:1000"


class Outcome(NamedTuple):
    """What became of a step."""

    passed: bool
    text: str
    "What there is to say in the table."


@dataclass(frozen=True)
class Step:
    """A command, and what is to be read from what it leaves behind."""

    name: str
    command: Sequence[str]
    read: Callable[[str], Outcome]
    "From its output, or whatever files it writes; raises ValueError, OSError or KeyError if they do not say."
    environment: Mapping[str, str] = field(default_factory=dict)


class Row(NamedTuple):
    """A line of the table."""

    name: str
    outcome: Outcome
    minutes: float


def junit_outcome(text: str) -> Outcome:
    """
    Counts of passed, failed and skipped tests, and which failed.

    Raises:
        ValueError: it is not what pytest writes with `--junitxml`.
    """
    try:
        suites = list(ET.fromstring(text).iter("testsuite"))
    except ET.ParseError as error:
        raise ValueError(f"no report of tests: {error}") from None
    cases = [case for suite in suites for case in suite.iter("testcase")]
    if not cases:
        raise ValueError("no test was run")
    failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = sum(case.find("skipped") is not None for case in cases)
    names = sorted({f"{str(case.get('classname')).rpartition('.')[2]}::{case.get('name')}" for case in failed})
    said = f"{len(cases) - len(failed) - skipped} passed, {len(names)} failed, {skipped} skipped"
    if names:
        more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
        said += f": {', '.join(f'`{name}`' for name in names[:MAX_NAMES])}{more}"
    return Outcome(not failed, said)


def faults_outcome(output: str) -> Outcome:
    """What the fault harness says in its last line. Raises ValueError if it has not come that far."""
    found = TOTAL.search(output)
    if found is None:
        raise ValueError("it did not come to its end")
    messages, kills, wrong, ending = found.groups()
    kept = ending == "every promise kept"
    said = f"{int(messages):,} messages, {kills} host kills, {wrong}"
    return Outcome(kept and not re.search(r"[1-9]", wrong), said if kept else f"{said}; {ending}")


def ingest_outcome(results: Mapping[str, Any]) -> Outcome:
    """
    Messages per second, native and ours, the median of the rounds' ratios, and microseconds of processor time for each
    message, of the server and its transform processes, for each case.

    Raises:
        ValueError, KeyError: a case was not measured.
    """
    cases = results["ingest"]
    if not cases:
        raise ValueError("nothing was measured")
    said = []
    for case in cases:
        ours, native = case["rates"]["sluice"], case["rates"]["native"]
        ratio = statistics.median(a / b for a, b in zip(ours, native, strict=True))
        rates = f"{statistics.median(native):,.0f} → {statistics.median(ours):,.0f}"
        cpu = " → ".join(f"{statistics.median(case['cpu'][name]):.1f}" for name in ("native", "sluice"))
        said.append(f"{case['workload']} {rates} messages/s ({ratio:.1f}), {cpu} µs CPU")
    return Outcome(True, "; ".join(said))


def table(rows: Sequence[Row], *, version: str, date: datetime.date, machine: str) -> str:
    """The table, as Markdown."""
    lines = [
        f"{date.isoformat()}, Memgraph {version}, {machine}:",
        "",
        "| step | result | what | minutes |",
        "|---|---|---|---|",
    ]
    for name, outcome, minutes in rows:
        verdict = "passed" if outcome.passed else "**failed**"
        lines.append(f"| {name} | {verdict} | {outcome.text.replace('|', '/')} | {minutes:.0f} |")
    return "\n".join(lines)


def run_step(step: Step, folder: Path, limit: float) -> Row:
    """
    Runs a step to its end, or, after `limit` seconds, tells it to end. Its output goes to `NAME.log` in the folder.
    """
    began = time.monotonic()
    log = folder / f"{step.name}.log"
    ended = ""
    with log.open("wb") as output:
        process = subprocess.Popen(
            step.command,
            cwd=ROOT,
            env={**os.environ, **step.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_heed_interrupts,  # noqa: PLW1509 - there are no threads here
        )
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            ended = f"it did not end within {limit / 60:.0f} minutes"
            status = end(process)
        except BaseException:
            end(process)
            raise
    try:
        outcome = step.read(log.read_text("utf-8", "replace"))
    except (ValueError, OSError, KeyError) as error:
        outcome = Outcome(False, f"exit status {status}, {str(error) or type(error).__name__}: see {log.name}")
    if ended:
        outcome = Outcome(False, f"{ended}; {outcome.text}")
    elif status != 0 and outcome.passed:
        outcome = Outcome(False, f"exit status {status}; {outcome.text}")
    return Row(step.name, outcome, (time.monotonic() - began) / 60)


def _heed_interrupts() -> None:
    # A shell starts what it runs in the background with the signal ignored, and that is inherited.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def end(process: subprocess.Popen[bytes]) -> int:
    """Ends a step: by SIGINT, so that it stops the servers that it has started, and by force after `GRACE` seconds."""
    process.send_signal(signal.SIGINT)
    try:
        return process.wait(GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


def version_of(binary: Path) -> str:
    """What the binary calls itself."""
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False, timeout=60).stdout
    found = re.search(r"\d+\.\d+\.\d+\S*", said)
    return found[0] if found else "of unknown version"


def steps(options: argparse.Namespace) -> list[Step]:
    """What is to be run, in this order."""
    memgraph = [f"--memgraph-bin={options.memgraph_bin.resolve()}"]
    if options.memgraph_pythonpath is not None:
        memgraph.append(f"--memgraph-pythonpath={options.memgraph_pythonpath.resolve()}")
    memgraph += [f"--setting={name}={value}" for name, value in options.setting]
    host = ["--host=memgraph", *memgraph]
    python = [sys.executable, "-m"]
    output: Path = options.output.resolve()

    def tests(name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Step:
        report = output / f"{name}.xml"
        command = [*python, "pytest", *host, "-q", f"--junitxml={report}", *arguments]
        return Step(name, command, lambda _: junit_outcome(report.read_text("utf-8")), environment or {})

    all_steps = [
        tests("integration", "tests/integration"),
        tests(
            "folding",
            "--timeout=0",
            "tests/integration/test_folding.py",
            environment={"FOLDING_EXAMPLES": str(options.examples)},
        ),
        Step(
            "faults",
            [
                *python, "tests.faults", *host, f"--messages={options.messages}", f"--kills={options.kills}",
                f"--strikes={options.strikes}", f"--seed={options.seed}",
            ],
            faults_outcome,
        ),
        Step(
            "ingest",
            [
                *python, "tests.bench", "ingest", *memgraph, f"--cases={options.cases}", "--contenders=sluice,native",
                "--broker=kafka", f"--messages={options.ingest_messages}", f"--rounds={options.rounds}",
                f"--output={output / 'bench'}",
            ],
            lambda _: ingest_outcome(json.loads((output / "bench" / "results.json").read_text("utf-8"))),
        ),
    ]  # fmt: skip
    return [step for step in all_steps if not options.only or step.name in options.only]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.real", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--memgraph-bin", type=Path, required=True, metavar="PATH", help="the server's program")
    parser.add_argument("--memgraph-pythonpath", type=Path, metavar="DIR", help="where its Python has confluent_kafka")
    parser.add_argument("--setting", type=setting, action="append", default=[], metavar="SLUICE_X=VALUE")
    names = ("integration", "folding", "faults", "ingest")
    parser.add_argument("--only", action="append", choices=names, help="this step; may be given more than once")
    parser.add_argument("--output", type=Path, default=Path("real-results"), metavar="DIR")
    parser.add_argument("--limit", type=float, default=180.0, metavar="MINUTES", help="for each step (default: 180)")
    parser.add_argument("--examples", type=int, default=20_000, metavar="N", help="batches of the folding property")
    parser.add_argument("--messages", type=int, default=20_000, metavar="N", help="of each fault round")
    parser.add_argument("--kills", type=int, default=12, metavar="N", help="host kills of each round that has them")
    parser.add_argument("--strikes", type=int, default=10, metavar="N", help="faults of each sort in a round")
    parser.add_argument("--seed", type=int, default=1, help="of the fault rounds")
    parser.add_argument("--cases", default=CASES, help=f"of the ingest benchmark (default: {CASES})")
    parser.add_argument("--ingest-messages", type=int, default=250_000, metavar="N")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="of the ingest benchmark")
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """0 if every step passed."""
    options = parser().parse_args(words)
    if not options.memgraph_bin.is_file():
        sys.exit(f"{options.memgraph_bin} is no file")
    options.output.mkdir(parents=True, exist_ok=True)
    for old in (*options.output.glob("*.xml"), *options.output.glob("bench/results.json")):
        old.unlink()
    version, machine = version_of(options.memgraph_bin), f"{os.cpu_count()} cores, {platform.machine()}"
    rows = []
    for step in steps(options):
        print(f"{step.name}: output in {options.output / step.name}.log", flush=True)
        row = run_step(step, options.output, options.limit * 60)
        print(f"{'ok  ' if row.outcome.passed else 'FAIL'} {step.name}: {row.outcome.text}", flush=True)
        rows.append(row)
    summary = table(rows, version=version, date=datetime.datetime.now(datetime.timezone.utc).date(), machine=machine)
    (options.output / "summary.md").write_text(summary + "\n", encoding="utf-8")
    print(f"\n{summary}")
    return 0 if rows and all(row.outcome.passed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
