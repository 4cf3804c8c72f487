"""`sluice:json` and `sluice:csv`: a vertex for each object or row."""

from __future__ import annotations

from typing import Any

import pytest

from sluice import ready
from sluice.decoding.refusals import WrongMessage, WrongOption
from sluice.folding import FOLDED, explain
from tests.unit.ready import Rows, message, queries

PERSON = {"label": "Person"}
UPSERT = "MERGE (n:`Person` {`id`: $value.id}) SET n += $value"
DELETE = "MATCH (n:`Person` {`id`: $key.id}) DETACH DELETE n"
ADA = {"id": 1, "name": "Ada"}
ADA_MADE = (UPSERT, {"value": ADA})


@pytest.mark.parametrize(
    ("name", "options", "given", "expected"),
    [
        pytest.param("json", PERSON, [ADA], [ADA_MADE], id="an object"),
        pytest.param(
            "json",
            {"label": ["Person", "odd `name"], "key": ["first name", "b"], "replace": True},
            [{"first name": 1, "b": "x"}],
            [
                (
                    "MERGE (n:`Person`:`odd ``name` {`first name`: $value.`first name`, `b`: $value.b}) SET n = $value",
                    {"value": {"first name": 1, "b": "x"}},
                )
            ],
            id="labels, keys, replaced",
        ),
        pytest.param(
            "json",
            PERSON,
            [message(ADA, b"1"), message(None, b"1"), message(b" null", {"id": 2}), message(ADA, b"x")],
            [ADA_MADE, (DELETE, {"key": {"id": 1}}), (DELETE, {"key": {"id": 2}}), ADA_MADE],
            id="tombstones delete",
        ),
        pytest.param(
            "json", {**PERSON, "key_format": "text"}, [message(None, b"7")], [(DELETE, {"key": {"id": "7"}})], id="text"
        ),
        pytest.param(
            "json", {**PERSON, "on_null": "ignore"}, [message(None), b"null", ADA], [ADA_MADE], id="ignored"
        ),
        pytest.param(
            "csv",
            {**PERSON, "columns": ["id", "name"]},
            [b"1,Ada\n2,\"B\nea\"", message(None, b"1")],
            [
                (UPSERT, {"value": {"id": "1", "name": "Ada"}}),
                (UPSERT, {"value": {"id": "2", "name": "B\nea"}}),
                (DELETE, {"key": {"id": 1}}),
            ],
            id="rows",
        ),
    ],
)  # fmt: skip
def test_messages_become_vertices(name: str, options: dict[str, Any], given: list[Any], expected: Rows):
    assert queries(name, options, *given) == expected
    assert {explain(text) for text, _ in expected} == {FOLDED}


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"name": "x"}, "the key id is null or missing: nothing is found by that, and MERGE would create something "
         "new each time"),
        ({"id": None}, "the key id is null or missing: nothing is found by that, and MERGE would create something "
         "new each time"),
        (b'{"id": NaN}', "the key id is not a number: nothing is found by that, and MERGE would create something "
         "new each time"),
        ({"id": {}}, "the key id must be a text, a number or a boolean, got dict"),
        ([ADA], "it is not an object of fields and values, but an array; sluice:cypher takes it: "
         "UNWIND $value AS row MERGE (n:Label {id: row.id}) SET n += row"),
        (b"true", "it is not an object of fields and values, but a boolean"),
        (b"", "its value is not JSON: it is empty"),
        (message(None), "a tombstone without a key: nothing says which vertex it deletes; on_null: 'ignore' passes "
         "it over"),
        (message(None, b"007"), "a tombstone: its key is not JSON: Extra data: line 1 column 2 (char 1); "
         "key_format: 'text' "
         "takes it as it is"),
        (message(None, {"name": "x"}), "the key id is null or missing: nothing is found by that, and MERGE would "
         "create "
         "something new each time"),
    ],
)  # fmt: skip
def test_a_message_that_names_no_vertex_is_an_error(given: Any, error: str):
    with pytest.raises(WrongMessage) as caught:
        queries("json", PERSON, given)
    assert str(caught.value) == error


def test_a_tombstone_of_two_keys_has_an_object():
    with pytest.raises(WrongMessage, match="the key of a tombstone must be an object of a, b, got 1"):
        queries("json", {"label": "A", "key": ["a", "b"]}, message(None, b"1"))


@pytest.mark.parametrize(
    ("name", "options", "error"),
    [
        ("json", {}, "the option label is missing: a text, or a list of texts"),
        ("json", {"lable": "A"}, "the option label is missing: a text, or a list of texts; given are lable"),
        ("json", {"label": []}, ""),
        ("json", {"label": "A", "key": 7}, "the option key must be a text, or a list of different texts, got 7"),
        ("json", {"label": "A", "key": ["a", "a"]}, "the option key must be a text, or a list of different texts, "
         "got ['a', 'a']"),
        ("json", {"label": "A", "replace": "yes"}, "the option replace must be true or false, got 'yes'"),
        ("json", {"label": "A", "on_null": "skip"}, "the option on_null must be one of delete, ignore, got 'skip'"),
        ("json", {"label": "A", "format": "csv"}, "the option format must be one of json, avro, protobuf, "
         "jsonschema, got 'csv'"),
        ("csv", {"label": "A"}, "CSV needs either the option columns, the names of the columns in their order, or "
         "header: true if each message begins with them"),
    ],
)  # fmt: skip
def test_wrong_options_are_refused(name: str, options: dict[str, Any], error: str):
    if not error:
        ready.configured(name, options)  # vertices without a label are allowed, as in Cypher
        return
    with pytest.raises(WrongOption) as caught:
        ready.configured(name, options)
    assert str(caught.value) == error
