"""However the rows of a folded query are sent, the same values arrive."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sluice.folding import Folder
from sluice.folding.unwinding import MARK, MAX_TEXTS_PER_BATCH, MIN_ROWS
from tests.unit.folding.forms import few_in_columns, folded
from tests.unit.folding.model import State, execute

TEXTS = st.text(st.sampled_from(["a", "é", "\n", MARK]), max_size=3)
VALUES = st.one_of(TEXTS, st.none(), st.integers(-200, 70_000), st.lists(TEXTS, max_size=2))

PAIR = "CREATE (:N {a: $a, b: $b})"
ONE = "CREATE (:N {a: $a})"
EVENT = "CREATE (n:N {a: $event.a}) SET n.b = $event.b"
MAP = "CREATE (n:N) SET n = $event"


def made(queries: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """The properties of the vertices that the queries make."""
    state = State()
    for text, parameters in queries:
        execute(state, text, parameters)
    return [properties for _, properties in state.vertices.values()]


@given(
    rows=st.lists(st.tuples(st.one_of(VALUES, st.just("x")), VALUES), min_size=2, max_size=9),
    text=st.sampled_from([PAIR, ONE, EVENT, MAP]),
    by_columns=st.booleans(),
    plain=st.booleans(),
)
def test_the_same_values_arrive(rows: list[tuple[Any, Any]], text: str, by_columns: bool, plain: bool) -> None:
    if plain:
        rows = [(str(a), str(b)) for a, b in rows]
    events = [{"a": a, "b": b} for a, b in rows]
    batch = [(text, {"event": event} if "$event" in text else event) for event in events]
    queries = folded(batch, by_columns=by_columns)
    assert len(queries) == 1
    assert made(queries) == made(batch)


def test_many_rows_go_in_columns_and_few_as_rows() -> None:
    batch = [(PAIR, {"a": str(number), "b": number}) for number in range(MIN_ROWS)]
    [query] = Folder().fold(batch)
    assert query.text.startswith("UNWIND $rows AS part WITH split(part[0], $by) AS column_0, part[1] AS column_1 ")
    assert made([(query.text, dict(query.parameters))]) == made(batch)
    [query] = Folder().fold(batch[1:])
    assert query.text == "UNWIND $rows AS row CREATE (:N {a: row[0], b: row[1]})"


def test_maps_are_spread_if_they_have_the_same_keys_in_any_order() -> None:
    text = "CREATE (n:N) SET n = $map"
    batch = [(text, {"map": {"a": 1, "b": 2}}), (text, {"map": {"b": 3, "a": 4}})]
    [query] = Folder().fold(batch)
    assert query.text == "UNWIND $rows AS row CREATE (n:N) SET n = {`a`: row[0], `b`: row[1]}"
    assert made([(query.text, dict(query.parameters))]) == made(batch)
    batch[1] = (text, {"map": {"a": 3, "c": 4}})
    [query] = Folder().fold(batch)
    assert query.text == "UNWIND $rows AS row CREATE (n:N) SET n = row"


def test_there_are_not_many_texts_of_one_query() -> None:
    text = f"CREATE (:N {{{', '.join(f'p{n}: $p{n}' for n in range(8))}}})"
    folder, found = Folder(), set()
    with few_in_columns():
        for number in range(256):
            values = {f"p{n}": "a" if number >> n & 1 else n for n in range(8)}
            [query] = folder.fold([(text, values)] * 2)
            found.add(query.text)
            assert made([(query.text, dict(query.parameters))]) == [values] * 2
    assert len(found) <= MAX_TEXTS_PER_BATCH + 1
