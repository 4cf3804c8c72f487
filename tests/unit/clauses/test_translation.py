"""What a clause becomes on its way to the server."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.clauses import Translation, translate
from sluice.errors import ClauseError

CREATE = "CREATE STREAM s AS LOAD DATA KAFKA 'u' WITH TOPIC 't' WITH TRANSFORM 'f'"
CREATED = {"name": "s", "uri": "u", "topic": "t", "transform": "f"}
SEEK_COLUMNS = ("partition", "from", "to", "messages", "effect", "topic")
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
        pytest.param(
            f"{CREATE} WITH CONFIG {{on_error: 'skip', `fetch.min.bytes`: 1}}",
            "CALL streams.create($name, $uri, $topic, $transform, $batch_interval, $batch_size, $config)",
            {**CREATED, "batch_interval": 100, "batch_size": 10, "config": {"on_error": "skip", "fetch.min.bytes": 1}},
            (),
            id="CREATE STREAM with a config: all that stands before it are the specification's",
        ),
        pytest.param(
            CREATE.replace("CREATE", "CREATE OR REPLACE"),
            "CALL streams.create($name, $uri, $topic, $transform, $batch_interval, $batch_size, $config, $existing)",
            {**CREATED, "batch_interval": 100, "batch_size": 10, "config": None, "existing": "replace"},
            (),
            id="CREATE OR REPLACE STREAM",
        ),
        pytest.param(
            CREATE.replace("STREAM s", "STREAM IF NOT EXISTS s") + " BATCH_SIZE 7",
            "CALL streams.create($name, $uri, $topic, $transform, $batch_interval, $batch_size, $config, $existing)",
            {**CREATED, "batch_interval": 100, "batch_size": 7, "config": None, "existing": "keep"},
            (),
            id="CREATE STREAM IF NOT EXISTS",
        ),
        pytest.param(
            "DROP STREAM IF EXISTS s",
            "CALL streams.drop($name, $if_exists)",
            {"name": "s", "if_exists": True},
            (),
            id="DROP STREAM IF EXISTS",
        ),
        pytest.param(
            "ALTER STREAM s SET BATCH_SIZE 7, CONFIG {on_error: 'skip'}, TRANSFORM 'f', KAFKA 'u', BATCH_INTERVAL 5",
            "CALL streams.alter($name, $changes)",
            {
                "name": "s",
                "changes": {
                    **{"batch_interval": 5, "batch_size": 7, "uri": "u", "transform": "f"},
                    "config": {"on_error": "skip"},
                },
            },
            (),
            id="ALTER STREAM",
        ),
        pytest.param(
            "RELOAD TRANSFORM OF STREAM s",
            "CALL streams.reload_transform($name) YIELD old_sha256, new_sha256, tried",
            {"name": "s"},
            ("old_sha256", "new_sha256", "tried"),
            id="RELOAD TRANSFORM",
        ),
        pytest.param(
            "SEEK STREAM s TO EARLIEST",
            f"CALL streams.seek($name, $to) YIELD {', '.join(SEEK_COLUMNS)}",
            {"name": "s", "to": "earliest"},
            SEEK_COLUMNS,
            id="SEEK STREAM to the earliest",
        ),
        pytest.param(
            "SEEK STREAM s TO RELATIVE -5 DRY RUN",
            f"CALL streams.seek($name, $to, $dry_run) YIELD {', '.join(SEEK_COLUMNS)}",
            {"name": "s", "to": {"relative": -5}, "dry_run": True},
            SEEK_COLUMNS,
            id="SEEK STREAM back, a dry run",
        ),
        pytest.param(
            "SEEK STREAM s TO TIMESTAMP '2024-11-22'",
            f"CALL streams.seek($name, $to) YIELD {', '.join(SEEK_COLUMNS)}",
            {"name": "s", "to": {"timestamp": "2024-11-22"}},
            SEEK_COLUMNS,
            id="SEEK STREAM to a time",
        ),
        pytest.param(
            "SEEK STREAM s TO {0: 5, 1: 6}",
            f"CALL streams.seek($name, $to) YIELD {', '.join(SEEK_COLUMNS)}",
            {"name": "s", "to": {"0": 5, "1": 6}},
            SEEK_COLUMNS,
            id="SEEK STREAM to offsets",
        ),
        pytest.param(
            "SHOW CREATE STREAM s",
            "CALL streams.show_create($name) YIELD statement",
            {"name": "s"},
            ("statement",),
            id="SHOW CREATE STREAM",
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
        pytest.param(
            "ALTER STREAM s SET BATCH_SIZE $changes, CONFIG {a: 1, `b.c`: $x, d: 2}",
            {"x": 3, "changes": 7},
            "CALL streams.alter($name, {`batch_size`: $`changes`, `config`: {`a`: $changes_2, `b.c`: $`x`,"
            " `d`: $changes_3}})",
            {"x": 3, "changes": 7, "name": "s", "changes_2": 1, "changes_3": 2},
            id="parameters inside a map are put there by the server",
        ),
        pytest.param(
            "ALTER STREAM s SET CONFIG $c",
            {"c": {}},
            "CALL streams.alter($name, {`config`: $`c`})",
            {"c": {}, "name": "s"},
            id="a config of the client's",
        ),
        pytest.param(
            "ALTER STREAM s SET CONFIG {transform: {a: [1, $x], b: {c: []}}}",
            {"x": 2.0},
            "CALL streams.alter($name, $changes)",
            {"x": 2.0, "name": "s", "changes": {"config": {"transform": {"a": [1, 2], "b": {"c": []}}}}},
            id="options, with a parameter that is sent differently",
        ),
        pytest.param(
            "ALTER STREAM s SET CONFIG {transform: {a: [1, $x], b: {c: []}}}",
            {"x": "y"},
            "CALL streams.alter($name, {`config`: {`transform`: {`a`: [$changes, $`x`], `b`: $changes_2}}})",
            {"x": "y", "name": "s", "changes": 1, "changes_2": {"c": []}},
            id="options with a parameter in a list",
        ),
        pytest.param(
            "SEEK STREAM s TO TIMESTAMP $t",
            {},
            f"CALL streams.seek($name, {{`timestamp`: $`t`}}) YIELD {', '.join(SEEK_COLUMNS)}",
            {"name": "s"},
            id="a time that is missing stays missing",
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
        __hash__ = None  # type: ignore[assignment] # Python's own way to say that it has none

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
