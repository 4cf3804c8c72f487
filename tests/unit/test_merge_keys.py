"""Keys as bytes, and what protects them."""

from __future__ import annotations

import struct

import pytest

from sluice.values.merge_keys import (
    EVERYTHING,
    MAX_KEYS,
    MAX_SHAPES,
    NOTHING,
    UNKNOWN,
    Analysis,
    MergeKeys,
    MergeShape,
    analysis_of,
    constraint_statement,
    constraints_of,
    decode,
    encode,
    survives_violations,
    unprotected,
)


def shape(
    *labels: str, names: tuple[str, ...] = ("id",), gains: frozenset[str] | None = frozenset(), is_edge: bool = False
) -> MergeShape:
    return MergeShape(is_edge, frozenset(labels), frozenset(names), frozenset(names), gains, frozenset(labels))


PERSON = shape("Person")
KNOWS = shape("KNOWS", names=("<id", ">id"), is_edge=True)


def test_keys_come_over_as_bytes() -> None:
    keys = MergeKeys(
        {PERSON: frozenset({1, -(2**63), 2**63 - 1}), KNOWS: frozenset(), shape("A", gains=None): frozenset({5})}
    )
    assert decode(encode(keys)) == keys
    assert decode(encode(NOTHING)) == NOTHING
    assert decode(encode(EVERYTHING)) == EVERYTHING


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"\0\0\0\5abc", encode(MergeKeys({PERSON: frozenset({1})}))[:-1], struct.pack(">I", 1) + b"\x01"],
)
def test_what_is_no_answer_counts_as_everything(data: bytes) -> None:
    assert decode(data) == EVERYTHING


def test_an_analysis_that_was_tampered_with_is_unknown() -> None:
    assert analysis_of(b"") == UNKNOWN == analysis_of(UNKNOWN.encoded())
    assert analysis_of(b"\xff" * 40).keys == EVERYTHING
    assert analysis_of(Analysis(NOTHING, (PERSON,)).encoded()[:-3]).keys == NOTHING


def test_too_many_keys_are_all_keys() -> None:
    many = decode(encode(MergeKeys({PERSON: frozenset(range(MAX_KEYS + 1))})))
    assert many.meets(MergeKeys({PERSON: frozenset({-1})}))
    assert not many.meets(MergeKeys({shape("Company"): frozenset({1})}))
    assert decode(encode(MergeKeys({shape(str(n)): frozenset({1}) for n in range(MAX_SHAPES + 1)}))) == EVERYTHING


def test_what_is_met_is_named() -> None:
    keys = MergeKeys({PERSON: frozenset({1}), KNOWS: frozenset({2})})
    assert keys.meets(MergeKeys({KNOWS: frozenset({2})})) == "[:KNOWS]"
    assert keys.meets(EVERYTHING) == "(:Person) [:KNOWS]"
    assert EVERYTHING.meets(EVERYTHING) == "everything"
    assert EVERYTHING.meets(NOTHING) is None


def test_a_constraint_takes_care_of_vertices_that_have_all_of_its_properties() -> None:
    keys = MergeKeys(
        {PERSON: frozenset({1}), KNOWS: frozenset({2}), shape("City", names=("name", "country")): frozenset({3})}
    )
    assert keys.without(frozenset({("Person", frozenset({"id"}))})).keys.keys() == keys.keys.keys() - {PERSON}
    assert keys.without(frozenset({("City", frozenset({"name"}))})).keys.keys() == {PERSON, KNOWS}
    unhelpful = frozenset(
        {("Person", frozenset({"id", "tenant"})), ("Company", frozenset({"id"})), ("KNOWS", frozenset({"<id"}))}
    )
    assert keys.without(unhelpful) == keys


def test_a_label_that_is_only_added_later_is_no_protection() -> None:
    added = MergeShape(
        False, frozenset({"Person", "Customer"}), PERSON.names, PERSON.known, None, frozenset({"Person"})
    )
    assert not added.is_covered_by({("Customer", frozenset({"id"}))})


def test_the_statement_that_ends_it() -> None:
    assert constraint_statement("Person", ["id"]) == "CREATE CONSTRAINT ON (n:Person) ASSERT n.id IS UNIQUE;"
    assert (
        constraint_statement("My Label", ["b", "a`"])
        == "CREATE CONSTRAINT ON (n:`My Label`) ASSERT n.`a```, n.b IS UNIQUE;"
    )
    shapes = [PERSON, PERSON, KNOWS, shape("Empty", names=()), shape("")]
    assert unprotected(shapes, []) == [constraint_statement("Person", ["id"])]
    assert unprotected(shapes, [("Person", frozenset({"id"}))]) == []


def test_constraints_as_servers_list_them() -> None:
    rows: list[dict[str, object]] = [
        {"constraint type": "unique", "label": "A", "properties": ["id", "x"]},
        {"constraint type": "unique", "label": "B", "properties": "id"},
        {"constraint type": "exists", "label": "C", "properties": "id"},
    ]
    assert constraints_of(rows) == {("A", frozenset({"id", "x"})), ("B", frozenset({"id"}))}


@pytest.mark.parametrize(
    ("version", "survives"),
    [("2.14.1", False), ("3.0.0", False), ("3.1.0", True), ("3.12.0+106~x", True), ("?", False)],
)
def test_servers_that_are_harmed_by_a_violated_constraint(version: str, survives: bool) -> None:
    assert survives_violations([version]) is survives
    assert not survives_violations([])
