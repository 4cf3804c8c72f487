"""What a clause becomes on its way to the server."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.clauses import Translation, translate
from sluice.errors import ClauseError

CREATE = "CREATE STREAM s AS LOAD DATA KAFKA 'u' WITH TOPIC 't' WITH TRANSFORM 'f'"
CREATED = {"name": "s", "uri": "u", "topic": "t", "transform": "f"}
SHOW_COLUMNS = ("name", "uri", "topic", "transform", "status")


@pytest.mark.parametrize(
    ("text", "query", "parameters", "columns"),
    [
        pytest.param(CREATE, "CALL streams.create($name, $uri, $topic, $transform)", CREATED, (), id="CREATE STREAM"),
        pytest.param(
            f"{CREATE} BATCH_INTERVAL 5",
            "CALL streams.create($name, $uri, $topic, $transform, $batch_interval)",
            {**CREATED, "batch_interval": 5},
            (),
            id="CREATE STREAM with an interval",
        ),
        pytest.param(
            f"{CREATE} BATCH_SIZE 7",
            "CALL streams.create($name, $uri, $topic, $transform, $batch_interval, $batch_size)",
            {**CREATED, "batch_interval": 100, "batch_size": 7},
            (),
            id="CREATE STREAM with a size: the interval before it is the specification's",
        ),
        pytest.param(
            f"{CREATE} BATCH_SIZE 7 BATCH_INTERVAL 5",
            "CALL streams.create($name, $uri, $topic, $transform, $batch_interval, $batch_size)",
            {**CREATED, "batch_interval": 5, "batch_size": 7},
            (),
            id="CREATE STREAM with both, whatever their order",
        ),
        pytest.param("DROP STREAM s", "CALL streams.drop($name)", {"name": "s"}, (), id="DROP STREAM"),
        pytest.param(
            "SHOW STREAMS",
            "CALL streams.show() YIELD name, uri, topic, transform, status",
            {},
            SHOW_COLUMNS,
            id="SHOW STREAMS, columns in the specification's order",
        ),
        pytest.param("START STREAM s", "CALL streams.start($name)", {"name": "s"}, (), id="START STREAM"),
        pytest.param(
            "START STREAM s LIMIT 3 BATCHES",
            "CALL streams.start($name, $limit_batches)",
            {"name": "s", "limit_batches": 3},
            (),
            id="START STREAM with a limit",
        ),
        pytest.param(
            "STOP STREAM s", "CALL streams.`stop`($name)", {"name": "s"}, (), id="STOP STREAM, where stop is reserved"
        ),
        pytest.param("START ALL STREAMS", "CALL streams.start_all()", {}, (), id="START ALL STREAMS"),
        pytest.param("STOP ALL STREAMS", "CALL streams.stop_all()", {}, (), id="STOP ALL STREAMS"),
        pytest.param(
            "TEST STREAM s",
            "CALL streams.test($name) YIELD query, params",
            {"name": "s"},
            ("query", "params"),
            id="TEST STREAM",
        ),
        pytest.param(
            "TEST STREAM s LIMIT 3 BATCHES",
            "CALL streams.test($name, $limit_batches) YIELD query, params",
            {"name": "s", "limit_batches": 3},
            ("query", "params"),
            id="TEST STREAM with a limit",
        ),
    ],
)
def test_a_clause_becomes_a_call(text: str, query: str, parameters: dict[str, Any], columns: tuple[str, ...]):
    assert translate(text, {}) == Translation(query, parameters, columns)


@pytest.mark.parametrize(
    ("text", "client", "query", "parameters"),
    [
        pytest.param(
            "DROP STREAM s",
            {"x": 1},
            "CALL streams.drop($name)",
            {"x": 1, "name": "s"},
            id="the client's stay as they are",
        ),
        pytest.param(
            "DROP STREAM s",
            {"name": "mine"},
            "CALL streams.drop($name_2)",
            {"name": "mine", "name_2": "s"},
            id="a name that the client has is not ours",
        ),
        pytest.param(
            "DROP STREAM s",
            {"name": 1, "name_2": 2},
            "CALL streams.drop($name_3)",
            {"name": 1, "name_2": 2, "name_3": "s"},
            id="nor is the next one",
        ),
        pytest.param(
            "DROP STREAM $who", {"who": "s"}, "CALL streams.drop($`who`)", {"who": "s"}, id="the client's own parameter"
        ),
        pytest.param(
            "DROP STREAM $who", {}, "CALL streams.drop($`who`)", {}, id="a parameter that is missing stays missing"
        ),
        pytest.param(
            "TEST STREAM s LIMIT $name BATCHES",
            {},
            "CALL streams.test($name_2, $`name`) YIELD query, params",
            {"name_2": "s"},
            id="a parameter that is missing is not made up by one of ours",
        ),
        pytest.param(
            "TEST STREAM $0 LIMIT $`a ``b` BATCHES",
            {"0": "s", "a `b": 3},
            "CALL streams.test($`0`, $`a ``b`) YIELD query, params",
            {"0": "s", "a `b": 3},
            id="numbers and names in backticks",
        ),
        pytest.param(
            "STOP STREAM $stop", {"stop": "s"}, "CALL streams.`stop`($`stop`)", {"stop": "s"}, id="a reserved word"
        ),
        pytest.param(
            f"{CREATE} BATCH_SIZE $n",
            {"n": 7},
            "CALL streams.create($name, $uri, $topic, $transform, $batch_interval, $`n`)",
            {"n": 7, **CREATED, "batch_interval": 100},
            id="a size of the client's",
        ),
        pytest.param(
            "CREATE STREAM s AS LOAD DATA KAFKA $x WITH TOPIC $x WITH TRANSFORM $x",
            {"x": "same"},
            "CALL streams.create($name, $`x`, $`x`, $`x`)",
            {"x": "same", "name": "s"},
            id="one parameter in several places",
        ),
    ],
)
def test_parameters_do_not_clash(text: str, client: dict[str, Any], query: str, parameters: dict[str, Any]):
    before = dict(client)
    translation = translate(text, client)
    assert translation is not None
    assert (translation.query, translation.parameters) == (query, parameters)
    assert list(translation.parameters) == list(parameters)
    assert client == before


def test_the_clients_values_are_passed_on_and_not_looked_at():
    class Untouchable:
        __hash__ = None

        def __eq__(self, other):
            raise AssertionError("compared")

    value = Untouchable()
    translation = translate("SHOW STREAMS", {"x": value})
    assert translation is not None
    assert translation.parameters["x"] is value


def test_what_is_not_a_clause_has_no_translation():
    assert translate("MATCH (n) RETURN n", {"x": 1}) is None


@pytest.mark.parametrize(
    ("text", "kind"), [(CREATE, "CREATE STREAM"), ("show /* */ streams;", "SHOW STREAMS"), ("START ALL STREAMS",) * 2]
)
def test_a_translation_knows_its_clause(text: str, kind: str):
    translation = translate(text)
    assert translation is not None
    assert translation.kind == kind


def test_an_error_of_the_parser_is_the_translations():
    with pytest.raises(ClauseError, match="^Syntax error at line 1, column 10: expected STREAMS, found STREAM$"):
        translate("STOP ALL STREAM")


def test_values_never_become_text():
    name = "x') YIELD name RETURN 1 //"
    translation = translate(f"DROP STREAM `{name}`")
    assert translation == Translation("CALL streams.drop($name)", {"name": name}, ())


def test_repr_shows_no_values():
    assert "secret" not in repr(translate("DROP STREAM secret"))
