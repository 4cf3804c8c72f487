"""
What texts find and write; and that transactions of lanes whose footprints do not meet do what they do one by one.

Memgraph in miniature commits them as the server does: each sees what was committed when it began, and fails at COMMIT
if it has changed what another has changed since.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from random import Random
from typing import Any, NamedTuple

import pytest

from sluice.folding.footprint import footprint_of
from sluice.folding.merge_reader import MergeReader
from sluice.values.merge_keys import ANYTHING, EVERYTHING, MergeKeys, decode, encode
from tests.unit.folding.batches import Query
from tests.unit.folding.graphs import form
from tests.unit.folding.model import Refused, State, execute
from tests.unit.folding.themes import Case, case

EXAMPLES = int(os.environ.get("LANES_EXAMPLES", "300"))

MOST = 300
"Examples within which a wrong rule has to show."

Work = list[Query]
"The queries of a transaction."


class Change(NamedTuple):
    """What a transaction has written."""

    vertices: dict[int, tuple[set[str], dict[str, object]] | None]
    "By id; None: deleted."
    edges: dict[int, tuple[int, int, str, dict[str, object]] | None]
    new: set[int]
    "Those of them that were not there."

    @classmethod
    def between(cls, before: State, after: State) -> Change:
        def changes(old: dict[int, Any], new: dict[int, Any]) -> dict[int, Any]:
            return {key: new.get(key) for key in old.keys() | new.keys() if old.get(key) != new.get(key)}

        vertices, edges = changes(before.vertices, after.vertices), changes(before.edges, after.edges)
        new = {key for key in vertices.keys() | edges.keys() if key not in before.vertices and key not in before.edges}
        return cls(vertices, edges, new)

    @property
    def written(self) -> set[int]:
        """What was there, and is another or gone."""
        return (self.vertices.keys() | self.edges.keys()) - self.new

    def conflicts(self, other: Change) -> bool:
        """As on a server where two transactions may add relationships to one vertex."""
        return bool(self.written & other.written or self._gone & other._ends or other._gone & self._ends)

    @property
    def _gone(self) -> set[int]:
        return {key for key, vertex in self.vertices.items() if vertex is None}

    @property
    def _ends(self) -> set[int]:
        return {end for edge in self.edges.values() if edge is not None for end in edge[:2]}

    def apply(self, state: State) -> None:
        changed: tuple[tuple[dict[int, Any], Mapping[int, Any]], ...] = (
            (state.vertices, self.vertices),
            (state.edges, self.edges),
        )
        for there, changes in changed:
            for key, value in changes.items():
                there.pop(key, None)
                if value is not None:
                    there[key] = copy.deepcopy(value)


class Server:
    """A graph, and the transactions that run on it."""

    def __init__(self, setup: Work, random: Random, *, takes_turns: bool) -> None:
        self.state = State()
        run(self.state, setup)
        self.order: list[Work] = []
        "In which they were committed."
        self._random = random
        self._takes_turns = takes_turns
        self._running: dict[int, tuple[Work, MergeKeys, Change]] = {}
        self._later: dict[int, list[Change]] = {}
        "What was committed since each began."
        self._begun = 0

    def run(self, lanes: list[list[Work]]) -> None:
        """All transactions, those of each lane in their order."""
        readers = [MergeReader() for _ in lanes]
        while any(lanes) or self._running:
            lane = self._random.randrange(len(lanes))
            if lane in self._running:
                if self._random.random() < 0.5:
                    self._commit(lane, lanes[lane])
            elif lanes[lane]:
                keys = decode(encode(readers[lane].keys(lanes[lane][0], in_stream=True)))
                others = [theirs for _, theirs, _ in self._running.values()]
                if not self._takes_turns or all(keys.meets(theirs, in_stream=True) is None for theirs in others):
                    self._begin(lane, lanes[lane].pop(0), keys)

    def _begin(self, lane: int, work: Work, keys: MergeKeys) -> None:
        self._begun += 1
        after = copy.deepcopy(self.state)
        after.next = 1000 * self._begun
        run(after, work)
        self._running[lane] = work, keys, Change.between(self.state, after)
        self._later[lane] = []

    def _commit(self, lane: int, queue: list[Work]) -> None:
        work, _, change = self._running.pop(lane)
        if any(change.conflicts(other) for other in self._later[lane]):
            queue.insert(0, work)
            return
        change.apply(self.state)
        self.order.append(work)
        for later in self._later.values():
            later.append(change)


def run(state: State, work: Work) -> None:
    for text, parameters in work:
        execute(state, text, copy.deepcopy(parameters))


def differs(case: Case, random: Random, *, takes_turns: bool = True) -> bool:
    """Whether lanes make another graph of a batch than its transactions one by one, in the order of their commits."""
    setup, batch = case
    lanes: list[list[Work]] = [[] for _ in range(random.randint(2, 3))]
    while batch:
        size = random.randint(1, 2)
        lanes[random.randrange(len(lanes))].append(batch[:size])
        batch = batch[size:]
    try:
        server = Server(setup, random, takes_turns=takes_turns)
        server.run(lanes)
        alone = State()
        run(alone, setup)
        for work in server.order:
            run(alone, work)
    except Refused:
        return False
    return form(server.state.graph()) != form(alone.graph())


def difference(examples: int, seed: str, *, takes_turns: bool = True) -> Case | None:
    for number in range(examples):
        random = Random(f"{seed} {number}")
        found = case(random)
        if differs(found, random, takes_turns=takes_turns):
            return found
    return None


def test_lanes_make_the_graph_that_their_transactions_make_one_by_one() -> None:
    assert difference(EXAMPLES, seed=os.environ.get("LANES_SEED", "0")) is None


def test_without_turns_they_would_not() -> None:
    assert difference(MOST, seed="0", takes_turns=False) is not None


EDGE = "MATCH (a:P {id: $a}), (b:P {id: $b}) CREATE (a)-[:R]->(b)"
MADE = "CREATE (:P {id: $id, name: 'n'})"
COUNTED = "MATCH (n:P {id: $id}) SET n.count = n.count + 1"


@pytest.mark.parametrize(
    ("one", "other", "met"),
    [
        pytest.param((EDGE, {"a": 1, "b": 2}), (EDGE, {"a": 1, "b": 2}), None, id="edges that nobody looks for"),
        pytest.param((EDGE, {"a": 1, "b": 2}), (MADE, {"id": 3}), None, id="another vertex is made"),
        pytest.param((EDGE, {"a": 1, "b": 2}), (MADE, {"id": 2}), "(:P)", id="a vertex is made that is looked for"),
        pytest.param((EDGE, {"a": 1, "b": 2}), ("MERGE (:P {id: $id})", {"id": 2}), "(:P)", id="or merged"),
        pytest.param((EDGE, {"a": 1, "b": 2}), ("MERGE (:Q {id: $id})", {"id": 2}), None, id="one of another label"),
        pytest.param((EDGE, {"a": 1, "b": 2}), (COUNTED, {"id": 2}), None, id="what changes is not looked for"),
        pytest.param((COUNTED, {"id": 1}), (COUNTED, {"id": 2}), None, id="each its own"),
        pytest.param((COUNTED, {"id": 1}), (COUNTED, {"id": 1}), "(:P)", id="both the same"),
        pytest.param(
            (EDGE, {"a": 1, "b": 2}), ("MATCH (n:P {id: $id}) DETACH DELETE n", {"id": 2}), "(:P)", id="deleted"
        ),
        pytest.param(
            (EDGE, {"a": 1, "b": 2}), ("MATCH (:P)-[r:R]->(:P) SET r.x = 1", {}), "[:R]", id="edges that are looked for"
        ),
        pytest.param((MADE, {"id": 1}), (MADE, {"id": 1}), None, id="two new ones"),
        pytest.param((MADE, {"id": 1}), ("MATCH (n) RETURN count(n)", {}), "everything", id="not understood"),
        pytest.param(
            ("UNWIND $rows AS row CREATE (n:P) SET n = row", {"rows": [{"id": 1}, {"id": 2}]}),
            (EDGE, {"a": 2, "b": 3}),
            "(:P)",
            id="made of a map",
        ),
    ],
)
def test_transactions_of_lanes_wait_only_for_what_they_find(one: Query, other: Query, met: str | None) -> None:
    reader = MergeReader()
    for query in (one, other):
        reader.keys([query], in_stream=True)  # so that it knows by what is looked for
    keys, theirs = (decode(encode(reader.keys([query], in_stream=True))) for query in (one, other))
    found = keys.meets(theirs, in_stream=True)
    assert (found is None) is (met is None)
    assert (theirs.meets(keys, in_stream=True) is None) is (met is None)
    if met is not None:
        assert found == met


def test_other_streams_are_kept_waiting_by_what_is_merged_alone() -> None:
    reader = MergeReader()
    found = reader.keys([(EDGE, {"a": 1, "b": 2})], in_stream=True)
    merged = reader.keys([("MERGE (:P {id: $id})", {"id": 2})], in_stream=True)
    assert found.meets(merged) is None
    assert found.meets(merged, in_stream=True) == "(:P)"
    assert found.meets(EVERYTHING) is None
    assert found.meets(EVERYTHING, in_stream=True) is not None


def test_a_text_that_is_not_understood_finds_anything() -> None:
    assert footprint_of("CALL my.procedure($x)") is None
    ordered = "MATCH (n:P) WITH n ORDER BY n.id LIMIT 1 SET n.first = true"
    assert footprint_of(ordered) is None
    assert ANYTHING in MergeReader().keys([(ordered, {})], in_stream=True).keys
