"""What goes through the stream: messages that can be told from one another, and a transform that leaves traces."""

from __future__ import annotations

import enum
import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

Place = tuple[int, int]
"Partition and sequence number, which is the offset as long as the producer's messages are the topic's only ones."


class Poison(enum.Enum):
    """Why a message cannot be applied, until its gate is opened."""

    QUERY = "q"
    "Its query is refused."
    COMMIT = "c"
    "It violates a constraint, which shows at COMMIT. One of existence: of uniqueness Memgraph 2.14.1 may end (`ends`)."
    TRANSFORM = "t"
    "The transform raises."


GOOD = "-"  # the mark of a message that is not poisoned

# One vertex per message. The counter of its partition gives the order in which messages took effect; in a chain, so
# does the graph. Counters are found by a property that no message's vertex has: where they share it, Memgraph 2.14.1
# does not always find a vertex by an index (`misses`).
SCRIPT = '''
import hashlib
import os

FOLDER = {folder!r}
GATE = """
OPTIONAL MATCH (g:Gate {{key: $key}})
WITH g, assert(coalesce(g.open, false), 'the gate is shut') AS held
SET g.passed = true
"""
REQUIRED = "MATCH (g:Gate {{key: $key}}) CREATE (:Required {{value: g.open}})"
MESSAGE = """{message}"""
SHARED = """{shared}"""


def stream(batch):
    queries = []
    for message in batch:
        partition, sequence, mark, _ = message.split(b" ", 3)
        if {harmless}:
            mark = b"-"
        key = f"{{int(partition)}}-{{int(sequence)}}"
        if mark == b"q":
            queries.append((GATE, {{"key": key}}))
        elif mark == b"c":
            queries.append((REQUIRED, {{"key": key}}))
        elif mark == b"t" and not os.path.exists(os.path.join(FOLDER, key)):
            raise RuntimeError(f"the gate {{key}} is shut")
        digest = hashlib.blake2b(message, digest_size=8).hexdigest()
        queries.append((MESSAGE, {{"p": int(partition), "s": int(sequence), "h": digest}}))
        if SHARED and int(sequence) // {stretch} % 4:
            queries.append((SHARED, {{"a": int(sequence) // {same}, "b": int(sequence) // {same} + 1}}))
    return queries
'''

ALONE = """
MATCH (c:Counter {partition: $p})
SET c.n = c.n + 1
CREATE (:Message {p: $p, s: $s, h: $h, at: c.n})
"""

CHAINED = """
MATCH (c:Counter {partition: $p})-[last:LAST]->(before)
DELETE last
SET c.n = c.n + 1
CREATE (before)-[:NEXT]->(m:Message {p: $p, s: $s, h: $h, at: c.n}), (c)-[:LAST]->(m)
"""


SHARED = "MERGE (a:Shared {id: $a}) MERGE (b:Shared {id: $b}) MERGE (a)-[:TWIN]->(b)"

SAME = 4
"""
Messages of each partition that merge the same two vertices and their relationship. All partitions are read side by
side, so there are always some that nobody has made yet and that several streams and lanes merge at the same time.
"""

STRETCH = 200
"Messages of a partition; after three stretches that merge these comes one that does not, which can go side by side."


def script(folder: Path, *, chained: bool = False, shares: bool = False) -> str:
    """
    The transform.

    Args:
        folder: files in it are the gates that it looks at itself.
        shares: it merges what the riders merge.
    """
    return _script(str(folder), CHAINED if chained else ALONE, harmless=False, shares=shares)


def riders_script(number: int, *, shares: bool = False) -> str:
    """The transform of a rider: for it no message is poisoned, and what it makes has labels of its own."""
    message = ALONE.replace(":Counter", f":Counter{number}").replace(":Message", f":Message{number}")
    return _script("", message, harmless=True, shares=shares)


def _script(folder: str, message: str, *, harmless: bool, shares: bool) -> str:
    shared = SHARED if shares else ""
    shape = {"same": SAME, "stretch": STRETCH}
    return SCRIPT.format(folder=folder, message=message, harmless=harmless, shared=shared, **shape)


def checksum(message: bytes) -> str:
    """As the transform makes it."""
    return hashlib.blake2b(message, digest_size=8).hexdigest()


@dataclass(frozen=True)
class Content:
    """
    The messages of a round's topics: a function of the seed.

    Every message is different, of 40 to some 300 bytes.
    """

    seed: int
    partitions: int
    per_partition: int
    poisons: Mapping[Place, Poison] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many messages."""
        return self.partitions * self.per_partition

    @cached_property
    def runs(self) -> list[tuple[int, range]]:
        """The order in which to produce: runs of sequence numbers of one partition, at random."""
        rng = random.Random(f"{self.seed} runs")
        left = [0] * self.partitions
        runs = []
        while open_ones := [number for number, at in enumerate(left) if at < self.per_partition]:
            number = rng.choice(open_ones)
            end = min(left[number] + rng.randint(1, 100), self.per_partition)
            runs.append((number, range(left[number], end)))
            left[number] = end
        return runs

    def message(self, partition: int, sequence: int) -> bytes:
        """The payload; its mark says how it is poisoned."""
        poison = self.poisons.get((partition, sequence))
        mark = GOOD if poison is None else poison.value
        digest = hashlib.blake2b(f"{self.seed} {partition} {sequence}".encode(), digest_size=16)
        body = digest.hexdigest() * (1 + digest.digest()[0] % 8)
        return f"{partition} {sequence} {mark} {body}".encode()


def key_of(place: Place) -> str:
    """What the gate of a poisoned message is called."""
    return f"{place[0]}-{place[1]}"
