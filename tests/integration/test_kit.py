"""
What the integration tests share: a stream with its topic and its vertices, transforms, looks at errors and processes.

Holds no test.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import neo4j
import pytest

from sluice.persistence import nodes
from tests.eventually import eventually
from tests.hosts import ServerHost
from tests.hosts.host import REPOSITORY
from tests.kafka import KafkaBroker

Row = dict[str, Any]
Run = Callable[..., list[Row]]
"Runs a statement with parameters, as `Host.run` does."

NewStream = Callable[..., "Stream"]
OwnHost = Callable[..., ServerHost]

AnyStream = TypeVar("AnyStream", bound="Stream")

SHOW = "CALL streams.show() YIELD name, uri, topic, transform, status"

EXAMPLE = (REPOSITORY / "transforms" / "edges.py").read_text("utf-8")
"The specification's transform."

VALUES = """
def stream(batch):
    return [("CREATE (:LABEL {value: $value})", {"value": message.decode()}) for message in batch]
"""

BATCHES = """
import time


def stream(batch):
    seen = time.time()
    return [
        ("CREATE (:LABEL {value: $value, seen: $seen, size: $size})",
         {"value": message.decode(), "seen": seen, "size": len(batch)})
        for message in batch
    ]
"""
"With the size of the message's batch, and when the transform got it: seconds since the epoch."

LONG = 600_000
"A batch interval that no test waits for, in milliseconds."


class Stream:
    """
    A stream, its topic, and the vertices that its transform makes: one for each message, with the message as `value`.

    The topic is there from the beginning; the stream from `create`.
    """

    def __init__(
        self, run: Run, kafka: KafkaBroker, folder: Path, name: str, *, topic: str = "", partitions: int = 1
    ) -> None:
        """
        Args:
            folder: for its transform.
            topic: one that there is; a new one by default.
        """
        self.name = name
        self.label = f"Of_{name}"
        self.topic = topic or kafka.topics.create(partitions=partitions)
        self.run = run
        self.kafka = kafka
        self._folder = folder

    def within(self: AnyStream, transaction: neo4j.Transaction) -> AnyStream:
        """The same, in an explicit transaction."""

        def run(query: str, /, **parameters: Any) -> list[Row]:
            return transaction.run(query, parameters).data()

        return type(self)(run, self.kafka, self._folder, self.name, topic=self.topic)

    def create(
        self, transform: str = VALUES, *, interval: int = 100, size: int = 10, uri: str = "", transform_uri: str = ""
    ) -> None:
        """
        Args:
            transform: the script's text; LABEL stands for the vertices' label.
            interval: in milliseconds.
            transform_uri: where the script is, if it is not to be made of `transform`.
        """
        self.run(
            "CALL streams.create($name, $uri, $topic, $transform, $interval, $size)",
            name=self.name,
            uri=uri or self.kafka.bootstrap,
            topic=self.topic,
            transform=transform_uri or self.script(transform),
            interval=interval,
            size=size,
        )

    def script(self, text: str) -> str:
        """The path of a new file with that text, LABEL replaced."""
        path = self._folder / f"transform_{uuid.uuid4().hex[:8]}.py"
        path.write_text(text.replace("LABEL", self.label), encoding="utf-8")
        return str(path)

    def start(self, limit: int | None = None) -> None:
        self.run("CALL streams.start($name, $limit)", name=self.name, limit=limit)

    def stop(self) -> None:
        self.run("CALL streams.`stop`($name)", name=self.name)

    def drop(self) -> None:
        self.run("CALL streams.drop($name)", name=self.name)

    def test(self, limit: int = 1) -> list[Row]:
        return self.run("CALL streams.test($name, $limit) YIELD query, params", name=self.name, limit=limit)

    @property
    def status(self) -> str | None:
        """What SHOW says; None if it does not list the stream."""
        statuses = {row["name"]: row["status"] for row in self.run(SHOW)}
        return statuses.get(self.name)

    def await_status(self, status: str, timeout: float = 20.0) -> None:
        """Wait until SHOW says so."""
        wanted: str | None = status
        eventually(lambda: self.status, equals=wanted, timeout=timeout)

    @property
    def error(self) -> str | None:
        """What the checkpoint says about how the stream ended; None if nothing."""
        (row,) = self.run(
            f"MATCH (:{nodes.CATALOG})-[:{nodes.HAS_STREAM}]->(s:{nodes.STREAM})-[:{nodes.HAS_CHECKPOINT}]->(k) "
            "WHERE s.name = $name RETURN k.error AS error",
            name=self.name,
        )
        error: str | None = row["error"]
        return error

    def send(self, values: Iterable[str | bytes | None], partition: int | None = None) -> None:
        """Put messages into the topic."""
        self.kafka.topics.produce(self.topic, values, partition=partition)

    @property
    def values(self) -> list[str]:
        """What came into the graph, sorted."""
        return sorted(row["value"] for row in self.run(f"MATCH (n:{self.label}) RETURN n.value AS value"))

    @property
    def count(self) -> int:
        """How many vertices there are."""
        return count(self.run, self.label)

    def await_values(self, values: list[str], timeout: float = 20.0) -> None:
        """Wait until exactly these came into the graph, each once."""
        self.await_count(len(values), timeout)
        assert self.values == sorted(values)

    def await_count(self, count: int, timeout: float = 20.0) -> None:
        """Wait until there are exactly so many vertices."""
        eventually(lambda: self.count, equals=count, timeout=timeout)

    def await_at_least(self, count: int, timeout: float = 20.0) -> int:
        """Wait until there are so many vertices or more; how many there were, a moment ago."""
        return eventually(lambda: self._enough(count), timeout=timeout, interval=0.02)

    def _enough(self, least: int) -> int:
        there = self.count
        return there if there >= least else 0


def created(stream: Stream) -> bool:
    """CREATE; False: it conflicts with another transaction, and is to be tried again."""
    try:
        stream.create()
    except neo4j.exceptions.Neo4jError as error:
        if "try again" not in str(error):
            raise
        return False
    return True


def numbers(start: int, end: int) -> list[str]:
    """Messages to tell one from another: the numbers from `start` up to, and without, `end`."""
    return [f"{number:06}" for number in range(start, end)]


def refusal(call: Callable[..., object], *args: Any, **kwargs: Any) -> str:
    """The last line of the error that the client gets: the error's class and its text."""
    with pytest.raises(neo4j.exceptions.Neo4jError) as caught:
        call(*args, **kwargs)
    return str(caught.value.message).rstrip("\n").rpartition("\n")[2]


def count(run: Run, label: str) -> int:
    """How many vertices of a label there are."""
    (row,) = run(f"MATCH (n:{label}) RETURN count(n) AS count")
    return int(row["count"])


def metadata(run: Run) -> dict[str, int]:
    """How many metadata nodes there are of each label, when those of dropped streams are gone."""
    dropped = f"MATCH (s:{nodes.STREAM}) WHERE s.dropped RETURN count(s) AS count"
    eventually(lambda: run(dropped), equals=[{"count": 0}], timeout=20)
    return {label: count(run, label) for label in (nodes.CATALOG, nodes.STREAM, nodes.CHECKPOINT)}


def transforms_running(host: ServerHost) -> int:
    """How many transform processes the host has."""
    return sum("scripting/child.py" in command for command in _commands(session=host.pid))


def _commands(session: int) -> list[str]:
    """The command lines of the processes of a session; a host leads one, and its children stay in it."""
    commands = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            command = (entry / "cmdline").read_text("utf-8", "replace").replace("\0", " ")
        except OSError:  # it has just ended
            continue
        if int(fields[3]) == session:
            commands.append(command)
    return commands
