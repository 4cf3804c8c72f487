"""
What many streams cost while nothing happens.

    python -m tests.bench.idle --memgraph-bin PATH           200 streams, 50 of them started
    python -m tests.bench.idle                               against the sandbox
    python -m tests.bench.idle --streams 20 --running 5      with other numbers

Three times it measures the server and all the processes that it has started: without a stream, with streams that were
made, and with some of them started, which have each read a message and rest until the next. Processor time is in
percent of one core. PSS is what a process would free if it ended, plus its share of what others use as well. Needs Java
and Maven for the broker (`make kafka`).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Producer
from rich.console import Console
from rich.table import Table

from sluice.host.settings import Settings
from tests.bench.ingest import cpu_seconds
from tests.eventually import eventually
from tests.hosts import MemgraphHost, SandboxHost, ServerHost
from tests.hosts.host import HostOptions
from tests.kafka import KafkaBroker

TOPICS = 4

SETTLE = 15.0
"Seconds after the last sign of life; longer than what follows a START in a hurry."

REST = Settings().rest_after + 2 * SETTLE
"... where streams run: by then they rest."

TRANSFORM = """
def stream(batch):
    return [("CREATE (:Arrived {payload: $payload})", {"payload": message.decode()}) for message in batch]
"""


class Cost(NamedTuple):
    """What the server and its transforms' processes took."""

    what: str
    cpu: float
    "Percent of a core."
    rss: float
    "MiB of the server."
    pss: float
    "MiB of the server."
    threads: int
    "Of the server."
    files: int
    "Descriptors that the server has open."
    transforms: int
    "How many processes the server has."
    transforms_pss: float
    "MiB of all of them together."


def measure(
    host: ServerHost, broker: KafkaBroker, folder: Path, streams: int, running: int, seconds: float
) -> list[Cost]:
    """Without streams, with streams that were made, with some that run."""
    costs = [_cost(host, "no streams", seconds)]
    script = folder / "arrived.py"
    script.write_text(TRANSFORM)
    topics = [broker.topics.create() for _ in range(TOPICS)]
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for topic in topics:
        producer.produce(topic, b"!")
    producer.flush()
    names = [f"idle{number}" for number in range(streams)]
    for number, name in enumerate(names):
        host.run(
            "CALL streams.create($name, $uri, $topic, $transform, 100, 1000)",
            name=name, uri=broker.bootstrap, topic=topics[number % TOPICS], transform=str(script),
        )  # fmt: skip
    costs.append(_cost(host, f"{streams} made", seconds))
    for name in names[:running]:
        host.run("CALL streams.start($name)", name=name)
    eventually(lambda: _quiet(host, running), timeout=120, interval=1)
    costs.append(_cost(host, f"{running} of them running", seconds, REST))
    assert _quiet(host, running), "something happened meanwhile"
    return costs


def _quiet(host: ServerHost, running: int) -> bool:
    """Whether all streams that run have read what there is, and nothing is wrong with them."""
    rows = host.run(
        "CALL streams.info() YIELD status, reason, total_lag, messages "
        "WITH * WHERE status = 'running' AND reason IS NULL AND total_lag = 0 AND messages = 1 RETURN count(*) AS n"
    )
    return bool(rows[0]["n"] == running)


def _cost(host: ServerHost, what: str, seconds: float, settle: float = SETTLE) -> Cost:
    time.sleep(settle)
    before, began = cpu_seconds(host.pid), time.monotonic()
    time.sleep(seconds)
    cpu = 100 * (cpu_seconds(host.pid) - before) / (time.monotonic() - began)
    server = Path(f"/proc/{host.pid}")
    transforms = _children(host.pid)
    return Cost(
        what,
        cpu,
        _mebibytes(server / "status", "VmRSS"),
        _mebibytes(server / "smaps_rollup", "Pss"),
        len(list((server / "task").iterdir())),
        len(list((server / "fd").iterdir())),
        len(transforms),
        sum(_mebibytes(child / "smaps_rollup", "Pss") for child in transforms),
    )


def _children(pid: int) -> list[Path]:
    found = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [Path(f"/proc/{child}") for children in found for child in children]


def _mebibytes(file: Path, name: str) -> float:
    return int(file.read_text().partition(f"\n{name}:")[2].split()[0]) / 1024


def table(costs: Sequence[Cost]) -> Table:
    """A row for each."""
    columns = ("CPU %", "RSS MiB", "PSS MiB", "threads", "files", "transforms", "their PSS MiB")
    drawn = Table("", *columns, title="while nothing happens")
    for cost in costs:
        memory = (f"{cost.rss:.0f}", f"{cost.pss:.0f}", str(cost.threads), str(cost.files), str(cost.transforms))
        drawn.add_row(cost.what, f"{cost.cpu:.2f}", *memory, f"{cost.transforms_pss:.0f}")
    return drawn


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memgraph-bin", type=Path)
    parser.add_argument("--memgraph-pythonpath", type=Path)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--running", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sluice-idle-") as name:
        folder = Path(name)
        host = _host(folder / "host", options)
        broker = KafkaBroker(folder / "broker")
        broker.start()
        try:
            host.start()
            costs = measure(host, broker, folder, options.streams, options.running, options.seconds)
        finally:
            host.kill()
            broker.kill()
    Console(width=120).print(table(costs))


def _host(folder: Path, options: argparse.Namespace) -> ServerHost:
    if options.memgraph_bin is None:
        return SandboxHost(folder)
    return MemgraphHost(folder, options.memgraph_bin, options.memgraph_pythonpath, HostOptions())


if __name__ == "__main__":
    main()
