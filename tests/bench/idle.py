"""
What many streams cost while nothing happens.

    python -m tests.bench.idle --memgraph-bin PATH           200 streams, 50 of them started
    python -m tests.bench.idle                               against the sandbox
    python -m tests.bench.idle --streams 20 --running 5      with other numbers

It measures the server and all the processes that it has started: without a stream, with streams that were made, with
some of them started, which have each read a message and rest until the next, and while somebody looks at these, in
`sluice top` and on the shim's page. Processor time is in percent of one core. PSS is what a process would free if it
ended, plus its share of what others use as well. Needs Java and Maven for the broker (`make kafka`).
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import requests
from confluent_kafka import Producer
from rich.console import Console
from rich.table import Table

from sluice.host.settings import Settings
from tests.bench.alone import parser_of, started
from tests.bench.ingest import cpu_seconds
from tests.eventually import eventually
from tests.hosts import ServerHost
from tests.integration.shim_server import ShimServer
from tests.kafka import KafkaBroker
from tests.ports import free_port

TOPICS = 4

SETTLE = 15.0
"Seconds after the last sign of life; longer than what follows a START in a hurry."

LOOK = 1.5
"Seconds between two questions of the page (`page.js`)."

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
    viewer: float | None
    "Percent of a core that `sluice top`, or the shim, takes."


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
    with _top(host) as viewer:
        costs.append(_cost(host, "... in `sluice top`", seconds, viewer=viewer))
    with _page(host, folder) as viewer:
        costs.append(_cost(host, "... on the page", seconds, viewer=viewer))
    return costs


@contextmanager
def _top(host: ServerHost) -> Iterator[int]:
    """`sluice top` on a terminal of 50 lines; its process id."""
    screen, terminal = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "160", "LINES": "50"}
    command = [sys.executable, "-m", "sluice_tools.cli", "top", "--uri", f"bolt://127.0.0.1:{host.port}"]
    process = subprocess.Popen(command, stdin=terminal, stdout=terminal, env=environment, start_new_session=True)
    os.close(terminal)
    reading = threading.Thread(target=_read, args=(screen,))
    reading.start()
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()
        reading.join()
        os.close(screen)


def _read(screen: int) -> None:
    try:
        while os.read(screen, 65536):
            pass
    except OSError:  # nobody has the other side any more
        return


@contextmanager
def _page(host: ServerHost, folder: Path) -> Iterator[int]:
    """The shim, whose page somebody looks at; its process id."""
    port, closed = free_port(), threading.Event()
    shim = ShimServer(folder, host.port, f"--metrics=127.0.0.1:{port}", "--page")

    def look() -> None:
        while not closed.wait(LOOK):
            requests.get(f"http://127.0.0.1:{port}/streams.json", timeout=10).raise_for_status()

    shim.start()
    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield shim.pid
        assert looking.is_alive(), "the page was not answered"
    finally:
        closed.set()
        looking.join()
        shim.kill()


def _quiet(host: ServerHost, running: int) -> bool:
    """Whether all streams that run have read what there is, and nothing is wrong with them."""
    rows = host.run(
        "CALL streams.info() YIELD status, reason, total_lag, messages "
        "WITH * WHERE status = 'running' AND reason IS NULL AND total_lag = 0 AND messages = 1 RETURN count(*) AS n"
    )
    return bool(rows[0]["n"] == running)


def _cost(host: ServerHost, what: str, seconds: float, settle: float = SETTLE, *, viewer: int | None = None) -> Cost:
    time.sleep(settle)
    pids = [host.pid] if viewer is None else [host.pid, viewer]
    before, began = [cpu_seconds(pid) for pid in pids], time.monotonic()
    time.sleep(seconds)
    cpus = [cpu_seconds(pid) - was for pid, was in zip(pids, before, strict=True)]
    percent = [100 * cpu / (time.monotonic() - began) for cpu in cpus]
    server = Path(f"/proc/{host.pid}")
    transforms = _children(host.pid)
    return Cost(
        what,
        percent[0],
        _mebibytes(server / "status", "VmRSS"),
        _mebibytes(server / "smaps_rollup", "Pss"),
        len(list((server / "task").iterdir())),
        len(list((server / "fd").iterdir())),
        len(transforms),
        sum(_mebibytes(child / "smaps_rollup", "Pss") for child in transforms),
        None if viewer is None else percent[1],
    )


def _children(pid: int) -> list[Path]:
    found = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [Path(f"/proc/{child}") for children in found for child in children]


def _mebibytes(file: Path, name: str) -> float:
    return int(file.read_text().partition(f"\n{name}:")[2].split()[0]) / 1024


def table(costs: Sequence[Cost]) -> Table:
    """A row for each."""
    columns = ("CPU %", "RSS MiB", "PSS MiB", "threads", "files", "transforms", "their PSS MiB", "viewer CPU %")
    drawn = Table("", *columns, title="while nothing happens")
    for cost in costs:
        memory = (f"{cost.rss:.0f}", f"{cost.pss:.0f}", str(cost.threads), str(cost.files), str(cost.transforms))
        viewer = "" if cost.viewer is None else f"{cost.viewer:.2f}"
        drawn.add_row(cost.what, f"{cost.cpu:.2f}", *memory, f"{cost.transforms_pss:.0f}", viewer)
    return drawn


def main() -> None:
    """Measures and prints."""
    parser = parser_of(__doc__)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--running", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    options = parser.parse_args()
    with started(options) as (host, broker, folder):
        costs = measure(host, broker, folder, options.streams, options.running, options.seconds)
    Console(width=120).print(table(costs))


if __name__ == "__main__":
    main()
