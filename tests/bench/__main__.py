"""
How fast it is, beside what there is otherwise. `make bench ARGS='--memgraph-bin PATH'`.

    own       our cost alone: beside a server that accepts everything at once, and a loop that consumes and transforms
    ingest    messages a second into the graph: Sluice, Memgraph's own streams, Sluice unfolded, a client of one's own
    latency   from the producer until it is visible, at 1,000 messages a second; how long other queries take meanwhile
    memory    with a million messages waiting
    lanes     a transform of 100 us a message, or those of `--cases`, by several lanes, beside a server that accepts
              everything at once
    recovery  from the first answer of a server that was killed to the first new message, by number of streams

With `--against FILE`, the `results.json` of an earlier run, it also says what is better or worse than that by more than
the rounds of either side differ.

The server has the settings of Memgraph's package. All read from the broker that librdkafka carries, which keeps 5 MB of
each partition, or, with `--broker kafka`, from an Apache Kafka.

Without a binary the sandbox is the host, which has no streams of its own and another idea of speed. What is compared
takes turns; on a machine that has other things to do only the ratios mean something. Needs Java and Maven for the
broker (`make kafka`).
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from sandbox.mock_broker import MockBroker
from tests.bench import comparison, ingest, latency, own, recovery, report
from tests.bench.alone import PACKAGED
from tests.bench.contenders import CONTENDERS, USUAL, native_module
from tests.bench.ingest import Case
from tests.bench.topics import Broker
from tests.bench.workloads import WORKLOADS
from tests.hosts import MemgraphHost, SandboxHost, ServerHost
from tests.hosts.host import QUERY_MODULES, HostOptions
from tests.hosts.options import setting
from tests.kafka import KafkaBroker

ROOT = Path(__file__).resolve().parents[2]

MOCK_KEEPS = 5_000_000
"Bytes of a partition that librdkafka's broker keeps (`rdkafka_mock.c`)."

FRAME = 12
"Bytes of a record that are not its value, at most."

ALONE = ("own", "memory", "lanes")
KINDS = ("own", "ingest", "latency", "memory", "lanes", "recovery")

CASES = [
    *(Case(workload, batch) for workload in WORKLOADS if workload not in ("busy", "slow") for batch in (1000, 10)),
    Case("vertices", 10, partitions=8),
    Case("edges", 1000, partitions=8),
    Case("inserts", 1000, streams=2),
    Case("vertices", 10, streams=10),
    Case("edges", 1000, streams=10),
]


def main() -> None:
    """Measures, prints, and writes `results.json` and `results.svg`."""
    options = _options()
    console = Console(width=200)
    before = None if options.against is None else json.loads(options.against.read_text())
    results: report.Results = {}
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as name:
        folder = Path(name)
        for kind in options.kinds:
            results[kind] = _alone(kind, folder, options) if kind in ALONE else _on_a_host(kind, folder, options)
            report.show({kind: results[kind]}, console)
    output = Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    machine = {
        "commit": _commit(), "machine": platform.platform(), "memgraph": str(options.memgraph_bin or "none: sandbox")
    }  # fmt: skip
    (output / "results.json").write_text(json.dumps({"on": machine, **results}, indent=2))
    if before is not None:
        console.print(comparison.table(comparison.changes(results, before), ", ".join(before["on"].values())))
    if results.get("ingest"):
        report.picture(results, output / "results.svg")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How fast it is.", epilog=__doc__)
    parser.add_argument("kinds", nargs="*", default=list(KINDS), choices=KINDS)
    parser.add_argument("--memgraph-bin", type=Path)
    parser.add_argument("--memgraph-pythonpath", type=Path)
    parser.add_argument("--setting", type=setting, action="append", default=[], metavar="SLUICE_X=VALUE")
    parser.add_argument("--messages", type=int, default=40_000, help="in a measurement; half by BATCH_SIZE 10")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", default="", help="workload:batch[:partitions[:streams]],...")
    parser.add_argument(
        "--contenders",
        default="",
        help="of sluice,native,unfolded,client,lanes",
    )
    parser.add_argument("--streams", default="1,20,200", help="for recovery")
    parser.add_argument("--lanes", default="1,2", help="for lanes; each is compared with the first")
    parser.add_argument("--broker", choices=("mock", "kafka"), default="mock", help="default: mock; not for latency")
    parser.add_argument("--seconds", type=int, default=20, help="of each measurement of latency")
    parser.add_argument("--against", type=Path, metavar="FILE", help="a results.json, to compare with")
    parser.add_argument("--output", default="bench-results", help="a folder")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _commit() -> str:
    """Which commit this is, and whether something is changed."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "no commit"


def _alone(kind: str, folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    broker = KafkaBroker(folder / kind)
    broker.start()
    try:
        if kind == "memory":
            return [own.measure(broker, "vertices", 1000, 1_000_000, rounds=1)]
        if kind == "lanes":
            lanes = _numbers(options.lanes)
            return [
                own.measure_lanes(broker, case, _messages(case, options), lanes, options.rounds)
                for case in (_cases(options) if options.cases else [Case("busy", 1000)])
            ]
        return [
            own.measure(
                broker, case.workload, case.batch, 5 * _messages(case, options),
                partitions=case.partitions, streams=case.streams, rounds=options.rounds,
            )
            for case in _cases(options)
        ]  # fmt: skip
    finally:
        broker.kill()


def _on_a_host(kind: str, folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    names = [name for name in options.contenders.split(",") if name in CONTENDERS] or USUAL
    host = _host(kind, folder / kind, options)
    if not host.is_memgraph:
        names = [name for name in names if name != "native"]
    with ExitStack() as stack:
        stack.callback(host.kill)
        host.start()
        if kind == "latency":
            # librdkafka's broker holds a request for messages for its whole time if there are none yet.
            kafka = KafkaBroker(folder / "kafka")
            stack.callback(kafka.kill)
            kafka.start()
            broker = stack.enter_context(MockBroker())
            brokers: dict[str, Broker] = {"sluice": kafka, "native": broker}
            return [
                latency.measure(host, brokers[name], folder, name, batch, options.seconds)
                for batch in (10, 1000)
                for name in names
                if name in brokers
            ]
        if kind == "recovery":
            from_where = _broker(folder, [], options.broker, stack)
            return [
                recovery.measure(host, from_where, folder, name, streams, options.rounds)
                for streams in _numbers(options.streams)
                for name in names
                if name in ("sluice", "native")
            ]
        cases = [(case, _messages(case, options)) for case in _cases(options)]
        from_where = _broker(folder, cases, options.broker, stack)
        return [
            ingest.measure(host, from_where, folder, case, messages, names, options.rounds) for case, messages in cases
        ]


def _broker(folder: Path, cases: Sequence[tuple[Case, int]], kind: str, stack: ExitStack) -> Broker:
    """The broker to measure with, started."""
    if kind == "kafka":
        kafka = KafkaBroker(folder / "kafka")
        stack.callback(kafka.kill)
        kafka.start()
        return kafka
    for case, count in cases:
        messages = WORKLOADS[case.workload].messages(count)
        size = sum(map(len, messages)) + FRAME * count
        if size > MOCK_KEEPS * case.partitions * case.streams:
            sys.exit(f"{case.workload}: librdkafka's broker does not keep {count:,} such messages; take --broker kafka")
    return stack.enter_context(MockBroker())


def _cases(options: argparse.Namespace) -> list[Case]:
    return [_case(text) for text in options.cases.split(",") if text] or CASES


def _case(text: str) -> Case:
    workload, batch, *more = text.split(":")
    return Case(workload, int(batch), *map(int, more))


def _messages(case: Case, options: argparse.Namespace) -> int:
    fewer = {"wide": 4, "slow": 25}.get(case.workload, 1)
    return int(options.messages) // (2 if case.batch < 100 else 1) // fewer


def _host(kind: str, folder: Path, options: argparse.Namespace) -> ServerHost:
    folder.mkdir(parents=True)
    modules = folder / "modules"
    shutil.copytree(QUERY_MODULES, modules, ignore=shutil.ignore_patterns("__pycache__"))
    # What was not flushed is lost if the server is killed, its streams too.
    arguments = () if options.memgraph_bin is None or kind == "recovery" else PACKAGED
    host_options = HostOptions(dict(options.setting), arguments, modules)
    if options.memgraph_bin is None:
        return SandboxHost(folder / "host", host_options)
    (modules / "native_transforms.py").write_text(native_module())
    return MemgraphHost(folder / "host", options.memgraph_bin, options.memgraph_pythonpath, host_options)


if __name__ == "__main__":
    main()
