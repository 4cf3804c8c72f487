"""The last word: the graph against Kafka, message by message."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from tests.faults.content import GOOD, Place, checksum
from tests.faults.plan import Layout
from tests.hosts import ServerHost
from tests.kafka.topics import log

PAGE = 20_000  # vertices that one query fetches
READ_TIMEOUT = 20.0  # seconds without a message


class Entry(NamedTuple):
    """A message, as Kafka has it or as a vertex tells of it."""

    sequence: int
    checksum: str


class Move(NamedTuple):
    """A partition's part of a SEEK: the offset that would have been read next, and the one that is."""

    before: int
    after: int


@dataclass
class Comparison:
    """What the graph has that it should not have, and the reverse; all zero if a stream keeps its promise."""

    messages: int = 0
    "That Kafka has and that should have taken effect."
    failed: int = 0
    "That Kafka has and that should not."
    lost: int = 0
    twice: int = 0
    strange: int = 0
    "Vertices of no message, or of a message with another checksum, or of one that was to fail."
    misordered: int = 0
    "Partitions whose messages took effect in another order than Kafka's."
    doubled: int = 0
    "Vertices, and relationships, that were merged and are there besides the one of their key."
    examples: list[str] = field(default_factory=list)
    "The first of each."

    @property
    def right(self) -> bool:
        """Whether the graph is what it should be."""
        return not (self.lost or self.twice or self.strange or self.misordered or self.doubled)

    def __iadd__(self, other: Comparison) -> Comparison:
        """The sum of two."""
        for name in ("messages", "failed", "lost", "twice", "strange", "misordered", "doubled"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.examples += other.examples
        return self

    def add(self, place: str, expected: list[Entry], found: list[Entry]) -> None:
        """
        Compare a partition.

        Args:
            expected: in Kafka's order; those that a SEEK had applied again are there again.
            found: in the order in which they took effect.
        """
        self.messages += len(expected)
        if found == expected:
            return
        wanted, got = Counter(expected), Counter(found)
        missing = wanted - got
        surplus = got - wanted
        self.lost += missing.total()
        twice = Counter({entry: count for entry, count in surplus.items() if entry in wanted})
        self.twice += twice.total()
        self.strange += surplus.total() - twice.total()
        for what, entries in (("lost", missing), ("twice", twice), ("strange", surplus - twice)):
            if entries:
                some = ", ".join(str(entry.sequence) for entry in sorted(entries)[:10])
                self.examples.append(f"{place}, {what}: {entries.total()}, the first: {some}")
        first_ones = list(dict.fromkeys(entry for entry in found if entry in wanted))
        is_whole = not (missing or surplus)
        if is_whole or first_ones != [entry for entry in dict.fromkeys(expected) if entry in got]:
            self.misordered += 1
            self.examples.append(f"{place}: not in order")


def compare(
    host: ServerHost,
    bootstrap: str,
    layout: Layout,
    *,
    label: str = "Message",
    poison_stays: bool,
    late: Collection[Place] = (),
    gone: Mapping[int, Sequence[bytes]] | None = None,
    moves: Mapping[int, Sequence[Move]] | None = None,
) -> Comparison:
    """
    Args:
        label: of the vertices.
        poison_stays: poisoned messages were to fail; else their gates were opened.
        late: messages that were to take effect, in order, after all others of their partitions.
        gone: partition -> messages that took effect before Kafka lost them.
        moves: partition -> what SEEK did to the stream there, in order.
    """
    comparison = Comparison()
    for partition in layout.numbers:
        expected = []
        topic, number = layout.place(partition)
        there = [*(gone or {}).get(partition, ()), *stored(bootstrap, topic, number)]
        for message in read(there, (moves or {}).get(partition, ())):
            _, sequence, mark, _ = message.split(b" ", 3)
            if poison_stays and mark != GOOD.encode():
                comparison.failed += 1
            else:
                expected.append(Entry(int(sequence), checksum(message)))
        expected.sort(key=lambda entry: (partition, entry.sequence) in late)
        found, gaps = _vertices(host, label, partition)
        before = comparison.lost
        comparison.add(f"topic {topic}, partition {number}", expected, found)
        if comparison.lost > before:
            comparison.examples += _looked_for(host, label, partition, gaps)
    return comparison


def read(there: Sequence[bytes], moves: Sequence[Move]) -> Iterator[bytes]:
    """What a stream that is moved reads of the messages of a partition, whose offsets are their places."""
    at = 0
    for move in moves:
        yield from there[at : move.before]
        at = move.after
    yield from there[at:]


def _looked_for(host: ServerHost, label: str, partition: int, gaps: list[int]) -> list[str]:
    """What there is to know of vertices that are missing: whether a second look finds them, and their counter."""
    again, _ = _vertices(host, label, partition)
    counter = label.replace("Message", "Counter")
    (row,) = host.run(f"MATCH (c:{counter} {{partition: $p}}) RETURN c.n AS n", p=partition)
    return [f"... {label}: {len(again)} on a second look, counted {row['n']}, nothing made at {gaps[:5]}"]


def _vertices(host: ServerHost, label: str, partition: int) -> tuple[list[Entry], list[int]]:
    """The partition's vertices in the order in which they were made, and the places in that order that are empty."""
    with host.driver().session(fetch_size=PAGE) as session:
        result = session.run(f"MATCH (m:{label}) WHERE m.p = $p RETURN m.at AS at, m.s AS s, m.h AS h", p=partition)
        rows = sorted((record["at"], record["s"], record["h"]) for record in result)
    places = {at for at, _, _ in rows}
    gaps = [at for at in range(1, max(places, default=0)) if at not in places]
    return [Entry(sequence, digest) for _, sequence, digest in rows], gaps


def broken_chain(host: ServerHost, partitions: int) -> list[str]:
    """Where the chains of the partitions are not what their counters say."""
    query = "MATCH (a)-[:NEXT]->(b) RETURN b.p AS p, b.at AS at, coalesce(a.at, 0) AS before, "
    rows = host.run(query + "coalesce(a.p, a.partition) AS from")  # the first link is from the counter
    links = Counter(row["p"] for row in rows)
    wrong = [f"a link from {row['from']}/{row['before']} to {row['p']}/{row['at']}" for row in rows if not _fits(row)]
    for partition in range(partitions):
        (row,) = host.run("MATCH (c:Counter {partition: $p}) RETURN c.n AS n", p=partition)
        if row["n"] != links[partition]:
            wrong.append(f"partition {partition} has {links[partition]} links and counts {row['n']}")
    return wrong


def doubled(host: ServerHost) -> Comparison:
    """What streams and lanes have merged together and is there more than once for its key."""
    (found,) = host.run("MATCH (n:Shared) RETURN count(n) AS nodes, count(DISTINCT n.id) AS keys")
    (links,) = host.run(
        "MATCH (a:Shared)-[r:TWIN]->(b:Shared) WITH a.id AS a, b.id AS b, count(r) AS links "
        "RETURN sum(links) AS links, count(a) AS pairs"
    )
    vertices, relationships = found["nodes"] - found["keys"], links["links"] - links["pairs"]
    if not vertices and not relationships:
        return Comparison()
    text = f"merged together: {vertices} vertices and {relationships} relationships besides those of their keys"
    return Comparison(doubled=vertices + relationships, examples=[text])


def _fits(row: dict[str, int]) -> bool:
    return row["from"] == row["p"] and row["before"] + 1 == row["at"]


def stored(bootstrap: str, topic: str, partition: int) -> Iterable[bytes]:
    """The values that a partition has, in order; those of aborted transactions are not among them."""
    settings = {"bootstrap.servers": bootstrap, "group.id": "faults", "enable.auto.commit": False, "logger": log}
    deadline = time.monotonic() + READ_TIMEOUT
    with closing(Consumer({**settings, "fetch.wait.max.ms": 10, "enable.partition.eof": True})) as consumer:
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
        while True:
            assert time.monotonic() < deadline, f"{topic} gave nothing for {READ_TIMEOUT:g} s"
            for message in consumer.consume(5000, 0.1):
                error = message.error()
                if error is None:
                    yield message.value()
                    deadline = time.monotonic() + READ_TIMEOUT
                elif error.code() == KafkaError._PARTITION_EOF:
                    return
                else:
                    raise KafkaException(error)
