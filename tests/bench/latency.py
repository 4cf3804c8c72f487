"""
How long a message takes from the producer into the graph at a steady rate, and how long other queries take meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from tests.bench.background import in_background
from tests.bench.contenders import CONTENDERS, Job
from tests.bench.ingest import prepare
from tests.bench.topics import Broker, new_topic
from tests.hosts import ServerHost

RATE = 1000
"Messages a second."

WARM = 5
"Seconds that are not measured: a broker whose Java has just started is slow."

NEW = "MATCH (n:Node) WHERE n.id >= $first RETURN count(n) AS n"
"Ids are texts of equal length here, so that their order is that of their numbers."

SHARES = {"p50": 0.50, "p99": 0.99, "p999": 0.999}
"Name of a percentile -> what share of all is below it."


def measure(host: ServerHost, broker: Broker, folder: Path, contender: str, batch: int, seconds: int) -> dict[str, Any]:
    """Milliseconds."""
    prepare(host, "vertices", 0)
    topic = new_topic(broker)
    job = Job(host, broker.bootstrap, folder, "vertices", batch, [topic])
    total = RATE * (WARM + seconds)
    sent: list[float] = []
    with CONTENDERS[contender](job), _other_queries(host) as others:
        _produce_one(broker, topic)
        with host.new_driver() as driver, driver.session() as session:
            _await(lambda: session.run(NEW, first="").single(strict=True)["n"] == 1)
            producing = threading.Thread(target=_produce, args=(broker, topic, total, sent))
            producing.start()
            delays: list[float] = []
            while len(delays) < total:
                found = session.run(NEW, first=f"{len(delays):09}").single(strict=True)["n"]
                now = time.monotonic()
                delays += [now - sent[len(delays) + number] for number in range(found)]
                time.sleep(0.002)
            producing.join()
    with _other_queries(host) as idle:
        time.sleep(min(seconds, 5))
    return {
        "contender": contender, "batch": batch, "rate": RATE, "messages": total,
        **_percentiles("visible", delays[RATE * WARM :]), **_percentiles("queries", others),
        **_percentiles("queries_idle", idle),
    }  # fmt: skip


def _produce_one(broker: Broker, topic: str) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    producer.produce(topic, b"!")
    producer.flush()


def _produce(broker: Broker, topic: str, total: int, sent: list[float]) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 0})
    began = time.monotonic()
    for number in range(total):
        wait = began + number / RATE - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        sent.append(time.monotonic())
        producer.produce(topic, b"%09d" % number)
        producer.poll(0)
    producer.flush()


@contextmanager
def _other_queries(host: ServerHost) -> Iterator[list[float]]:
    """How long a point look-up takes, over and over."""
    taken = list[float]()

    def run(stop: threading.Event) -> None:
        with host.new_driver() as driver, driver.session() as session:
            while not stop.wait(0.01):
                began = time.monotonic()
                session.run("MATCH (n:Node {id: '!'}) RETURN n.id AS id").consume()
                taken.append(time.monotonic() - began)

    with in_background(run):
        yield taken


def _await(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the first message did not arrive")
        time.sleep(0.01)


def _percentiles(name: str, seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        f"{name}_{label}": round(1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2)
        for label, share in SHARES.items()
    }
