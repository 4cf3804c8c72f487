"""
Whether a stream stays as quick, and as small, as it was.

    python -m tests.bench.endurance --memgraph-bin PATH           20,000,000 messages
    python -m tests.bench.endurance --messages 2000000            against the sandbox
    python -m tests.bench.endurance --lanes 4 --plot FILE         by four lanes; rate and memory over time as a picture

All messages are in Kafka before the stream starts. Each adds one to the count of one of 10,000 vertices, so that the
graph does not grow, and its memory is no part of what grows. In the end each count has to be right. Needs Java and
Maven for the broker (`make kafka`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Producer

from tests.bench.alone import PACKAGED, parser_of, started
from tests.bench.ingest import cpu_seconds
from tests.bench.workloads import COUNTER_SOURCE
from tests.hosts import ServerHost
from tests.kafka import KafkaBroker

KEYS = 10_000
PARTITIONS = 8
PART = 1_000_000
"Messages whose rate is compared: the first so many, and the last."

SETTLED = 2 * PART
"Messages after which memory is looked at: by then all buffers have been full."

LOOK = 0.2
"Seconds between two looks."


class Look(NamedTuple):
    """How a stream stood at a moment."""

    at: float
    messages: int
    server: float
    "MiB that the server has."
    transform: float
    "... and the transform's processes."


def measure(host: ServerHost, broker: KafkaBroker, folder: Path, messages: int, lanes: int) -> list[Look]:
    """From the start to the last message."""
    topic = broker.topics.create(partitions=PARTITIONS)
    _fill(broker, topic, messages)
    host.run("CREATE INDEX ON :Node(id)")
    host.run("UNWIND range(0, $n - 1) AS i CREATE (:Node {id: toString(i), count: 0})", n=KEYS)
    script = folder / "counter.py"
    script.write_text(COUNTER_SOURCE)
    create = "CALL streams.create('endurance', $uri, $topic, $transform, 100, 1000, {lanes: $lanes})"
    host.run(create, uri=broker.bootstrap, topic=topic, transform=str(script), lanes=lanes)
    host.run("CALL streams.start('endurance')")
    looks: list[Look] = []
    while not looks or looks[-1].messages < messages:
        time.sleep(LOOK)
        [row] = host.run("CALL streams.info('endurance') YIELD messages, status, reason")
        if row["status"] != "running":
            sys.exit(f"the stream has stopped: {row['reason']}")
        if row["messages"]:
            looks.append(Look(time.monotonic(), row["messages"], *_mebibytes(host.pid)))
    wrong = host.run("MATCH (n:Node) WHERE n.count <> $right RETURN count(n) AS n", right=messages // KEYS)
    if wrong != [{"n": 0}]:
        sys.exit(f"{wrong[0]['n']} of {KEYS:,} counts are wrong")
    return looks


def _fill(broker: KafkaBroker, topic: str, messages: int) -> None:
    settings = {"bootstrap.servers": broker.bootstrap, "queue.buffering.max.messages": 1 << 20, "linger.ms": 50}
    producer = Producer({**settings, "enable.idempotence": True})
    keys = [str(key).encode() for key in range(KEYS)]
    for number in range(messages):
        while True:
            try:
                producer.produce(topic, keys[number % KEYS], partition=number % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.1)
        if number % 1000 == 0:
            producer.poll(0)
    producer.flush()


def _mebibytes(pid: int) -> tuple[float, float]:
    """Resident memory of a server, and of the processes that it has started."""
    children = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return _resident(str(pid)), sum(_resident(child) for found in children for child in found)


def _resident(pid: str) -> float:
    return int(Path(f"/proc/{pid}/status").read_text().partition("\nVmRSS:")[2].split()[0]) / 1024


def rate(looks: Sequence[Look], begin: int, end: int) -> float:
    """Messages a second between two numbers of messages."""
    inside = [look for look in looks if begin <= look.messages <= end]
    first, last = inside[0], inside[-1]
    return (last.messages - first.messages) / (last.at - first.at)


def picture(looks: Sequence[Look], path: Path) -> None:
    """Messages a second, and memory, over time; needs matplotlib (`pip install '.[bench]'`)."""
    import matplotlib as mpl  # noqa: PLC0415 - for who wants the picture only

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    every = looks[:: max(1, len(looks) // 100)]
    times = [look.at - looks[0].at for look in every]
    pairs = list(zip(every, every[1:], strict=False))
    figure, (above, below) = plt.subplots(2, sharex=True, figsize=(8, 5), layout="constrained")
    above.plot(times[1:], [(b.messages - a.messages) / (b.at - a.at) for a, b in pairs])
    above.set_ylabel("messages/s")
    for what in ("server", "transform"):
        below.plot(times, [getattr(look, what) for look in every], label=what)
    below.set_ylabel("MiB")
    below.set_xlabel("s")
    below.legend()
    for axes in (above, below):
        axes.set_ylim(bottom=0)
    figure.savefig(path)


def main() -> None:
    """Measures and prints."""
    parser = parser_of(__doc__)
    parser.add_argument("--messages", type=int, default=20_000_000, help=f"a multiple of {KEYS * PARTITIONS}")
    parser.add_argument("--lanes", type=int, default=1)
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a picture: svg, png")
    options = parser.parse_args()
    with started(options, PACKAGED) as (host, broker, folder):
        before = cpu_seconds(host.pid)
        looks = measure(host, broker, folder, options.messages, options.lanes)
        cpu = (cpu_seconds(host.pid) - before) / options.messages * 1e6
    first, last = rate(looks, 0, PART), rate(looks, options.messages - PART, options.messages)
    print(f"{options.messages:,} messages in {looks[-1].at - looks[0].at:.0f} s, each count right; {cpu:.1f} µs of CPU")
    print(f"messages/s: the first {PART:,} {first:,.0f}, the last {last:,.0f} ({last / first:.2f})")
    settled = [look for look in looks if look.messages >= SETTLED] or looks[-1:]
    for what in ("server", "transform"):
        sizes = [getattr(look, what) for look in settled]
        print(f"MiB, {what}: {sizes[0]:.0f} after {settled[0].messages:,}, then {min(sizes):.0f} to {max(sizes):.0f}")
    if options.plot is not None:
        picture(looks, options.plot)


if __name__ == "__main__":
    main()
