"""Who brings messages into the graph: Sluice, Sluice with each query as it is, Memgraph's own streams, a client."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from tests.bench.background import in_background
from tests.bench.workloads import WORKLOADS
from tests.hosts import ServerHost

Contender = Callable[["Job"], Any]
"A context manager; runs from when it is entered until it is left."

NATIVE_MODULE = """
import mgp

SOURCES = {sources!r}
STREAMS = {{}}
for name, source in SOURCES.items():
    namespace = {{}}
    exec(source, namespace)
    STREAMS[name] = namespace["stream"]

def records(name, messages):
    batch = [messages.message_at(i).payload() for i in range(messages.total_messages())]
    return [mgp.Record(query=query, parameters=parameters) for query, parameters in STREAMS[name](batch)]
"""

NATIVE_TRANSFORMATION = """
@mgp.transformation
def {name}(messages: mgp.Messages) -> mgp.Record(query=str, parameters=mgp.Nullable[mgp.Map]):
    return records({name!r}, messages)
"""


class Job:
    """Topics that are to be brought into a host."""

    def __init__(
        self, host: ServerHost, bootstrap: str, folder: Path, workload: str, batch: int, topics: Sequence[str]
    ) -> None:
        self.host = host
        self.bootstrap = bootstrap
        self.workload = workload
        self.batch = batch
        self.topics = topics
        self.partitions = 1
        self.script = folder / f"{workload}.py"
        self.script.write_text(WORKLOADS[workload].source)


def native_module() -> str:
    """The query module whose transformations are those of the workloads."""
    sources = {name: workload.source for name, workload in WORKLOADS.items()}
    return NATIVE_MODULE.format(sources=sources) + "".join(
        NATIVE_TRANSFORMATION.format(name=name) for name in WORKLOADS
    )


@contextmanager
def sluice(job: Job, config: dict[str, Any] | None = None) -> Iterator[None]:
    """A stream of ours for each topic."""
    names = [f"ours_{topic}".replace("-", "_") for topic in job.topics]
    for name, topic in zip(names, job.topics, strict=True):
        job.host.run(
            "CALL streams.create($name, $uri, $topic, $transform, 100, $batch, $config)",
            name=name, uri=job.bootstrap, topic=topic, transform=str(job.script), batch=job.batch, config=config,
        )  # fmt: skip
    for name in names:
        job.host.run("CALL streams.start($name)", name=name)
    try:
        yield
    finally:
        for name in names:
            job.host.run("CALL streams.drop($name)", name=name)


def unfolded(job: Job) -> Any:
    """A stream of ours, with each query as it is."""
    return sluice(job, {"fold": False})


def lanes(job: Job) -> Any:
    """A stream of ours, by two lanes: for a case with several partitions."""
    return sluice(job, {"lanes": 2})


@contextmanager
def native(job: Job) -> Iterator[None]:
    """A stream of Memgraph's own for each topic."""
    names = [f"native_{topic}".replace("-", "_") for topic in job.topics]
    for name, topic in zip(names, job.topics, strict=True):
        job.host.run(
            f"CREATE KAFKA STREAM {name} TOPICS '{topic}' TRANSFORM native_transforms.{job.workload} "
            f"CONSUMER_GROUP {name} BATCH_INTERVAL 100 BATCH_SIZE {job.batch} "
            f"BOOTSTRAP_SERVERS '{job.bootstrap}' CONFIGS {{'auto.offset.reset': 'earliest'}}"
        )
    for name in names:
        job.host.run(f"START STREAM {name}")
    try:
        yield
    finally:
        for name in names:
            job.host.run(f"DROP STREAM {name}")


@contextmanager
def client(job: Job) -> Iterator[None]:
    """What one writes by hand: a consumer, the neo4j driver, a transaction for each batch, `run` for each query."""
    namespace: dict[str, Any] = {}
    exec(WORKLOADS[job.workload].source, namespace)

    def run(stop: threading.Event) -> None:
        settings = {"bootstrap.servers": job.bootstrap, "group.id": "client", "auto.offset.reset": "earliest"}
        consumer = Consumer({**settings, "enable.auto.commit": False})
        consumer.assign([TopicPartition(topic, n, 0) for topic in job.topics for n in range(job.partitions)])
        with job.host.new_driver() as driver, driver.session() as session:
            while not stop.is_set():
                queries = namespace["stream"]([message.value() for message in consumer.consume(job.batch, 0.1)])
                with session.begin_transaction() as transaction:
                    for query, parameters in queries:
                        transaction.run(query, parameters)
                    transaction.commit()
        consumer.close()

    with in_background(run):
        yield


CONTENDERS: dict[str, Contender] = {
    "sluice": sluice,
    "native": native,
    "unfolded": unfolded,
    "client": client,
    "lanes": lanes,
}

USUAL = [name for name in CONTENDERS if name != "lanes"]
"Those that can do every case."
