"""
Seconds from the first answer over Bolt of a server that was killed to the first new message in its graph.

Messages come in all the time, spread over the streams' topics. Consumers have the settings that each contender gives
them by itself: a native stream's old member of the consumer group has to expire first.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from tests.bench.background import in_background
from tests.bench.contenders import CONTENDERS, Job
from tests.bench.ingest import prepare
from tests.bench.topics import Broker, new_topic
from tests.hosts import ServerHost

RATE = 400
"Messages a second, in all topics together."

BATCH_SIZE = 100

PATIENCE = 240.0
"Seconds until the first message, before and after the kill."

COUNT = "MATCH (n:Node) RETURN count(n) AS n"


def measure(
    host: ServerHost, broker: Broker, folder: Path, contender: str, streams: int, rounds: int
) -> dict[str, Any]:
    """Seconds of each round, each on streams of its own, and seconds from the kill to the server's first answer."""
    result: dict[str, Any] = {"contender": contender, "streams": streams, "first_message": [], "boot": []}
    for _ in range(rounds):
        prepare(host, "vertices", 0)
        topics = [new_topic(broker) for _ in range(streams)]
        with (
            _load(broker, topics),
            CONTENDERS[contender](Job(host, broker.bootstrap, folder, "vertices", BATCH_SIZE, topics)),
        ):
            _seconds_until_more(host, streams)  # as many as there are streams: most of them have come to run
            killed = time.monotonic()
            host.kill()
            host.start()
            result["boot"].append(time.monotonic() - killed)
            result["first_message"].append(_seconds_until_more(host, 0))
    return result


def _seconds_until_more(host: ServerHost, messages: int) -> float:
    """Until there are that many more vertices than at first, and another one."""
    began, before = time.monotonic(), _vertices(host)
    while _vertices(host) <= before + messages:
        if time.monotonic() - began > PATIENCE:
            raise TimeoutError(f"no new message in {PATIENCE:g} s")
        time.sleep(0.01)
    return time.monotonic() - began


def _vertices(host: ServerHost) -> int:
    return int(host.run(COUNT)[0]["n"])


@contextmanager
def _load(broker: Broker, topics: Sequence[str]) -> Iterator[None]:
    def run(stop: threading.Event) -> None:
        producer = Producer({"bootstrap.servers": broker.bootstrap})
        for number in count():
            if stop.wait(1 / RATE):
                break
            producer.produce(topics[number % len(topics)], b"%09d" % number)
            producer.poll(0)
        producer.flush(10)

    with in_background(run):
        yield
