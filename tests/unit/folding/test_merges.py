"""What texts merge, and that two batches of which both create the same are found out."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sluice.folding.merge_reader import MAX_TEXTS, MergeReader
from sluice.folding.merges import merges_of
from sluice.values.merge_keys import EVERYTHING, NOTHING, Analysis, MergeKeys, analysis_of

QUERY_MODULES = Path(__file__).parents[3] / "query_modules"


def _described(text: str) -> list[str]:
    """Each of the shapes: what it is, properties with those of known value in brackets, `+` and what it may gain."""
    merges = merges_of(text)
    if merges.everything:
        return ["everything"]
    found = []
    for shape in (merged.shape for merged in merges.merged):
        labels = "|".join(sorted(label or "*" for label in shape.labels))
        names = ",".join(f"[{name}]" if name in shape.known else name for name in sorted(shape.names))
        gains = "" if shape.is_edge else "+any" if shape.gains is None else "+" + ",".join(sorted(shape.gains))
        found.append(" ".join(filter(None, (f"{'-' * shape.is_edge}{labels}", names, gains))))
    return found


@pytest.mark.parametrize(
    ("text", "merged"),
    [
        ("CREATE (n:P {id: $id})", []),
        ("MATCH (n:P {id: $id}) SET n.x = 1", []),
        ("MATCH (a:P {id: $a}), (b:P {id: $b}) CREATE (a)-[:R]->(b)", []),
        ("MATCH (n:P {id: $id}) RETURN n", []),
        ("MERGE (n:P {id: $id})", ["P [id] +"]),
        ("MERGE (n:P {id: $row.id}) SET n += $row", ["P [id] +any"]),
        ("MERGE (n:P {id: 1, day: date()}) ON CREATE SET n.x = 1", ["P day,[id] +x"]),
        ("MERGE (n:P {id: $id}) SET n.id = $id", ["P [id] +id"]),
        ("MERGE (n:P {id: $id}) SET n.id = $other", ["P id +id"]),
        ("MERGE (n:P:Q {id: $id}) SET n:Z", ["P|Q|Z [id] +"]),
        ("MERGE (n {id: $id})", ["* [id] +"]),
        ("MERGE (n:P) SET n.x = $x", ["P +x"]),
        ("MERGE (n:P {id: toInteger($id)})", ["P id +"]),
        ("MERGE (n:P {id: $id}) WITH n MATCH (m:Q) WHERE n.flag = 1 SET m.x = 1", ["P [id] +"]),
        ("UNWIND $rows AS row MERGE (n:P {id: row.id})", ["P [id] +"]),
        ("UNWIND $ids AS id MERGE (n:P {id: id})", ["P [id] +"]),
        ("FOREACH (row IN $rows | MERGE (n:P {id: row.id}))", ["P [id] +"]),
        ("WITH $id AS key MERGE (n:P {id: key})", ["P [id] +"]),
        ("UNWIND $a AS one UNWIND $b AS other MERGE (n:P {x: one.x, y: other.y})", ["P [x],y +"]),
        ("MATCH (a:A {id: $a}), (b:B {id: $b}) MERGE (a)-[r:R {k: 1}]->(b)", ["-R [<id],[>id],[k]"]),
        ("MATCH (a:A), (b:B) WHERE a.id = $a AND b.id = $b MERGE (a)<-[:R]-(b)", ["-R [<id],[>id]"]),
        ("MATCH (a:A {id: $a})-[:S]->(b) MERGE (a)-[:R]->(b)", ["-R [<id]"]),
        ("MATCH (a:A {id: $a}) CREATE (b:B) MERGE (a)-[:R]->(b)", []),
        ("MATCH (a:A {id: $a}) MERGE (a)-[:R]->(b:B {id: $b})", ["-R [<id],[>id]"]),
        ("MATCH (a:A {id: $a}), (b:A {no: $b}) MERGE (a)-[:R]-(b)", ["-R [<id],[>no]", "-R [<no],[>id]"]),
        (
            "MERGE (a:A {id: $a}) MERGE (b:B {id: $b}) MERGE (a)-[:R]->(b)",
            ["A [id] +", "B [id] +", "-R [<id],[>id]"],
        ),
        ("OPTIONAL MATCH (n:P {id: $id}) WITH n WHERE n IS NULL CREATE (:P {id: $id})", ["P [id] +any"]),
        (
            "MATCH (a:A {id: $a}) OPTIONAL MATCH (a)-[r:R]->(b:B {id: $b}) WITH a, r WHERE r IS NULL "
            "CREATE (a)-[:R]->(:B {id: $b})",
            ["-R [<id],[>id]"],
        ),
        ("OPTIONAL MATCH (n:P {id: $id}) SET n.x = 1", []),
        # Understood in part, or not at all.
        ("MERGE (n:P {id: $id}) WITH collect(n) AS all SET n.x = 1", ["*|P +any", "-P"]),
        ("MATCH (n:P) WHERE NOT (n)-[:R]->() CREATE (n)-[:R]->(:X)", ["*|P|R|X +any", "-P|R|X"]),
        ("UNWIND [1] AS x CREATE (n:P {id: last(labels(x))})", []),
        ("MERGE (n:$label {id: 1})", ["everything"]),
        ("CALL merge.node(['P'], {id: $id}, {}, {}) YIELD node SET node.x = 1", ["everything"]),
        ("CALL { MERGE (n:P {id: 1}) RETURN n } SET n.x = 1", ["everything"]),
        ("MERGE (n:P {id: '", ["everything"]),
        ("CREATE (n:P {id: '", []),
    ],
)
def test_what_a_text_merges(text: str, merged: list[str]) -> None:
    assert _described(text) == merged


def _keys(*queries: tuple[str, dict[str, Any]]) -> MergeKeys:
    return MergeReader().keys(queries)


ONE = "MERGE (n:P {id: $id})"
MANY = "UNWIND $rows AS row MERGE (n:P {id: row.id})"


@pytest.mark.parametrize(
    ("first", "second", "meet"),
    [
        ((ONE, {"id": 1}), (ONE, {"id": 1}), True),
        ((ONE, {"id": 1}), (ONE, {"id": 2}), False),
        ((ONE, {"id": 1}), (ONE, {"id": 1.0}), True),
        ((ONE, {"id": 2**53 + 1}), (ONE, {"id": float(2**53)}), True),
        ((ONE, {"id": "1"}), (ONE, {"id": "1"}), True),
        ((ONE, {"id": "1"}), (ONE, {"id": "2"}), False),
        ((ONE, {"id": [1, "a"]}), (ONE, {"id": [1.0, "a"]}), True),
        ((ONE, {"id": "é\ud800"}), (ONE, {"id": "é\ud800"}), True),
        ((ONE, {"id": 1}), ("MERGE (n:P {id: 1})", {}), True),
        ((ONE, {"id": 1}), ("MERGE (n:Q {id: $id})", {"id": 1}), False),
        ((ONE, {"id": 1}), ("CREATE (n:P {id: $id})", {"id": 1}), False),
        ((ONE, {"id": 1}), ("MERGE (n:P:Q {id: $id})", {"id": 1}), True),
        ((ONE, {"id": 3}), (MANY, {"rows": [{"id": 1}, {"id": 3}]}), True),
        ((ONE, {"id": 2}), (MANY, {"rows": [{"id": 1}, {"id": 3}]}), False),
        ((ONE, {"id": 2}), (MANY, {"rows": []}), False),
        ((ONE, {"id": 2}), (MANY, {}), False),
        ((ONE, {"id": 1}), ("MERGE (n:P {id: toInteger($id)})", {"id": "7"}), True),
        ((ONE, {"id": 1}), ("MERGE (n:P) SET n.id = 1", {}), True),
        ((ONE, {"id": 1}), ("MERGE (n:P {mail: $mail}) SET n.x = 1", {"mail": "m"}), False),
        ((ONE, {"id": 1}), ("MERGE (n:P {mail: $mail}) SET n.id = 1", {"mail": "m"}), False),
        (
            ("MERGE (n:P {id: $id}) SET n.mail = $mail", {"id": 1, "mail": "m"}),
            ("MERGE (n:P {mail: $mail}) SET n.id = $id", {"id": 1, "mail": "m"}),
            True,
        ),
        (
            ("MATCH (a:A {id: $a}), (b:B {id: $b}) MERGE (a)-[:R]->(b)", {"a": 1, "b": 2}),
            ("MERGE (a:A {id: $a}) MERGE (b:B {id: $b}) MERGE (b)<-[:R]-(a)", {"a": 1, "b": 2}),
            True,
        ),
        (
            ("MATCH (a:A {id: $a}), (b:B {id: $b}) MERGE (a)-[:R]->(b)", {"a": 1, "b": 2}),
            ("MATCH (a:A {id: $a}), (b:B {id: $b}) MERGE (a)-[:R]->(b)", {"a": 2, "b": 1}),
            False,
        ),
        (
            ("MATCH (a:A {id: $a}), (b:B {id: $b}) MERGE (a)-[:R]-(b)", {"a": 1, "b": 2}),
            ("MATCH (a:A {id: $a}), (b:B {id: $b}) MERGE (a)-[:R]->(b)", {"a": 2, "b": 1}),
            True,
        ),
        (
            ("MATCH (a:A {id: 1}), (b:B {id: 2}) MERGE (a)-[:R]->(b)", {}),
            ("MATCH (a:A {name: 'x'}), (b:B {id: 2}) MERGE (a)-[:R]->(b)", {}),
            True,  # may be the same vertices
        ),
        ((ONE, {"id": 1}), ("CALL some.thing() YIELD x SET x.y = 1", {}), True),
        (("CREATE (:P)", {}), ("CALL some.thing() YIELD x SET x.y = 1", {}), False),
    ],
)
def test_two_batches_that_may_create_the_same_meet(
    first: tuple[str, dict], second: tuple[str, dict], meet: bool
) -> None:
    one, other = _keys(first), _keys(second)
    assert (one.meets(other) is not None) is meet
    assert (other.meets(one) is not None) is meet


class _Template(NamedTuple):
    """A text, and what it merges if its values are these, as one who runs it would see."""

    text: str
    merged: Any


TEMPLATES = [
    _Template("MERGE (n:P {id: $x})", lambda x, y: {("P", x)}),
    _Template("MERGE (n:P {id: $x}) ON CREATE SET n.a = 1 SET n.b = $y", lambda x, y: {("P", x)}),
    _Template("MERGE (n:P:Q {id: $x})", lambda x, y: {("P", x), ("Q", x)}),
    _Template("UNWIND [$x, $y] AS id MERGE (n:P {id: id})", lambda x, y: {("P", x), ("P", y)}),
    _Template("UNWIND $list AS id MERGE (n:P {id: id})", lambda x, y: {("P", x), ("P", y)}),
    _Template("UNWIND $rows AS row MERGE (n:Q {id: row.x})", lambda x, y: {("Q", x), ("Q", y)}),
    _Template("WITH $x AS key MERGE (n:Q {id: key})", lambda x, y: {("Q", x)}),
    _Template("MERGE (n:P {id: abs($x)})", lambda x, y: {("P", x)}),
    _Template("MERGE (a:P {id: $x}) MERGE (b:Q {id: $y})", lambda x, y: {("P", x), ("Q", y)}),
    _Template("MATCH (a:P {id: $x}), (b:Q {id: $y}) MERGE (a)-[:R]->(b)", lambda x, y: {("R", x, y)}),
    _Template("MATCH (a:P {id: $x}) MATCH (b:Q) WHERE b.id = $y MERGE (b)<-[:R]-(a)", lambda x, y: {("R", x, y)}),
    _Template(
        "MERGE (a:P {id: $x}) MERGE (b:Q {id: $y}) MERGE (a)-[:R]->(b)",
        lambda x, y: {("P", x), ("Q", y), ("R", x, y)},
    ),
    _Template("MATCH (a:P {id: $x}), (b:Q {id: $y}) MERGE (a)-[:R]-(b)", lambda x, y: {("R", x, y), ("R", y, x)}),
    _Template("OPTIONAL MATCH (n:P {id: $x}) WITH n WHERE n IS NULL CREATE (:P {id: $x})", lambda x, y: {("P", x)}),
    _Template("MATCH (n:P) WITH count(n) AS n MERGE (m:P {id: $x})", lambda x, y: {("P", x)}),
    _Template("CREATE (n:P {id: $x})", lambda x, y: set()),
    _Template("MATCH (a:P {id: $x}), (b:Q {id: $y}) CREATE (a)-[:R]->(b)", lambda x, y: set()),
]


@pytest.mark.parametrize("seed", range(300))
def test_batches_that_merge_a_common_key_meet_whatever_they_are_made_of(seed: int) -> None:
    rng = random.Random(seed)
    batches = []
    for _ in range(2):
        queries, merged = [], set()
        for template in rng.choices(TEMPLATES, k=rng.randint(1, 4)):
            x, y = (rng.choice([1, 1.0, 2, 3, "1", "2", "x"]) for _ in range(2))
            queries.append((template.text, {"x": x, "y": y, "list": [x, y], "rows": [{"x": x}, {"x": y}]}))
            merged |= template.merged(x, y)
        batches.append((_keys(*queries), merged))
    (one, mine), (other, yours) = batches
    if mine & yours:
        assert one.meets(other)
        assert other.meets(one)


def test_numbers_are_the_same_in_every_process() -> None:
    values = ["a", "ä" * 100, 5, -1, 2.5, 1e300, 2**60, True, None, [1, "x"], {"a": 1}, ""]
    program = (
        "from sluice.folding.merge_reader import MergeReader; "
        f"print(sorted(map(sorted, MergeReader().keys([('MERGE (n:P {{id: $id}})', {{'id': v}}) for v in {values!r}])"
        ".keys.values())))"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONPATH": str(QUERY_MODULES), "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(answers) == 1


def test_texts_with_values_in_them_are_analysed_now_and_then_only() -> None:
    reader = MergeReader()
    count = MAX_TEXTS + 20
    found = [reader.keys([(f"MERGE (n:P {{id: {number}}})", {})]) for number in range(count)]
    assert found[0] != EVERYTHING
    assert found[-1] == EVERYTHING
    assert reader.keys([("CREATE (n:P {id: 'a new text'})", {})]) == NOTHING


def test_shapes_are_reported_once() -> None:
    reader = MergeReader()
    reader.keys([(ONE, {"id": 1}), ("MERGE (n:P {id: 7})", {})])
    [shape] = reader.news()
    assert str(shape) == "(:P)"
    reader.meet([ONE, MANY])
    assert reader.news() == ()


def test_what_a_process_says_of_its_queries_comes_over_whole() -> None:
    reader = MergeReader()
    keys = reader.keys([(ONE, {"id": number}) for number in range(-5, 1000)] + [(MANY, {"rows": [{"id": "x"}]})])
    analysis = Analysis(keys, reader.news())
    assert analysis_of(analysis.encoded()) == analysis
