"""How a statement is written."""

from __future__ import annotations

import pytest

from sluice import clauses
from sluice.clauses import (
    CreateStream,
    DropStream,
    Map,
    Parameter,
    SeekStream,
    StartStream,
    StopStream,
    to_text,
)
from sluice.errors import SettingError


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        pytest.param(
            CreateStream("mystream", "localhost:9092", "test", "http://localhost/transform.py"),
            "CREATE STREAM mystream AS LOAD DATA KAFKA 'localhost:9092' WITH TOPIC 'test'"
            " WITH TRANSFORM 'http://localhost/transform.py'",
            id="CREATE STREAM as the specification has it",
        ),
        pytest.param(
            CreateStream("s", "u", "t", "f", 5, 7),
            "CREATE STREAM s AS LOAD DATA KAFKA 'u' WITH TOPIC 't' WITH TRANSFORM 'f' BATCH_INTERVAL 5 BATCH_SIZE 7",
            id="options in the specification's order and spelling",
        ),
        pytest.param(
            CreateStream("s", Parameter("u"), Parameter("t t"), Parameter("0"), None, Parameter("00")),
            "CREATE STREAM s AS LOAD DATA KAFKA $u WITH TOPIC $`t t` WITH TRANSFORM $0 BATCH_SIZE $`00`",
            id="parameters, quoted where they have to be",
        ),
        pytest.param(
            CreateStream("s", 'it\'s "\\"', "\b\f\n\r\t", "\x00\u2028é😀"),
            r"""CREATE STREAM s AS LOAD DATA KAFKA 'it\'s "\\"' WITH TOPIC '\b\f\n\r\t'"""
            r""" WITH TRANSFORM '\U00000000\U00002028é😀'""",
            id="escapes, only where something else would not be seen",
        ),
        pytest.param(
            CreateStream("s", "u", "t", "f", 5, None, Map.of({"on_error": "skip", "fetch.min.bytes": 1, "x": -1.5e-7})),
            "CREATE STREAM s AS LOAD DATA KAFKA 'u' WITH TOPIC 't' WITH TRANSFORM 'f'"
            " WITH CONFIG {on_error: 'skip', `fetch.min.bytes`: 1, x: -1.5e-07} BATCH_INTERVAL 5",
            id="a config before the options",
        ),
        pytest.param(
            CreateStream("s", "u", "t", "f", config=Map.of({"a": True, "b": None, "c": 1e22, "d": Parameter("d")})),
            "CREATE STREAM s AS LOAD DATA KAFKA 'u' WITH TOPIC 't' WITH TRANSFORM 'f'"
            " WITH CONFIG {a: true, b: null, c: 1e22, d: $d}",
            id="all that a config may hold but maps and lists",
        ),
        pytest.param(
            CreateStream("s", "u", "t", "f", config=Map.of({"t": {"a b": [1, "x", {"c": []}], "d": Parameter("d")}})),
            "CREATE STREAM s AS LOAD DATA KAFKA 'u' WITH TOPIC 't' WITH TRANSFORM 'f'"
            " WITH CONFIG {t: {`a b`: [1, 'x', {c: []}], d: $d}}",
            id="maps and lists in a config",
        ),
        pytest.param(
            CreateStream("s", "u", "t", "f", config=Map(), existing=clauses.Existing.KEEP),
            "CREATE STREAM IF NOT EXISTS s AS LOAD DATA KAFKA 'u' WITH TOPIC 't' WITH TRANSFORM 'f' WITH CONFIG {}",
            id="CREATE STREAM IF NOT EXISTS",
        ),
        pytest.param(
            CreateStream("s", "u", "t", "f", config=Parameter("c"), existing=clauses.Existing.REPLACE),
            "CREATE OR REPLACE STREAM s AS LOAD DATA KAFKA 'u' WITH TOPIC 't' WITH TRANSFORM 'f' WITH CONFIG $c",
            id="CREATE OR REPLACE STREAM",
        ),
        pytest.param(DropStream("s", if_exists=True), "DROP STREAM IF EXISTS s", id="DROP STREAM IF EXISTS"),
        pytest.param(
            clauses.AlterStream("s", 5, 7, "u", "f", Map.of({"a": 1})),
            "ALTER STREAM s SET BATCH_INTERVAL 5, BATCH_SIZE 7, KAFKA 'u', TRANSFORM 'f', CONFIG {a: 1}",
            id="ALTER STREAM",
        ),
        pytest.param(clauses.ReloadTransform("s"), "RELOAD TRANSFORM OF STREAM s", id="RELOAD TRANSFORM"),
        pytest.param(clauses.ShowCreateStream("s"), "SHOW CREATE STREAM s", id="SHOW CREATE STREAM"),
        pytest.param(
            SeekStream("s", clauses.End.LATEST, dry_run=True), "SEEK STREAM s TO LATEST DRY RUN", id="SEEK STREAM"
        ),
        pytest.param(
            SeekStream("s", clauses.Timestamp("2024-11-22")), "SEEK STREAM s TO TIMESTAMP '2024-11-22'", id="to a day"
        ),
        pytest.param(SeekStream("s", clauses.Timestamp(5)), "SEEK STREAM s TO TIMESTAMP 5", id="to a millisecond"),
        pytest.param(SeekStream("s", clauses.Relative(-5)), "SEEK STREAM s TO RELATIVE -5", id="back"),
        pytest.param(
            SeekStream("s", clauses.Offsets(((1, 5), (0, Parameter("n"))))), "SEEK STREAM s TO {1: 5, 0: $n}", id="each"
        ),
        pytest.param(
            SeekStream("s", clauses.OffsetsByTopic((("a.b", clauses.Offsets(((1, 5),))),))),
            "SEEK STREAM s TO {`a.b`: {1: 5}}",
            id="each of a topic",
        ),
        pytest.param(SeekStream("s", Parameter("to")), "SEEK STREAM s TO $to", id="to a parameter"),
        pytest.param(
            CreateStream("s", "it's", 'a "b"', '"it\'s"'),
            """CREATE STREAM s AS LOAD DATA KAFKA "it's" WITH TOPIC 'a "b"' WITH TRANSFORM '"it\\'s"'""",
            id="the quotes that need no backslash",
        ),
        pytest.param(
            clauses.Explain(StopStream("s"), clauses.Explanation.PROFILE), "PROFILE STOP STREAM s", id="PROFILE"
        ),
        pytest.param(DropStream("drop"), "DROP STREAM drop", id="DROP STREAM"),
        pytest.param(clauses.ShowStreams(), "SHOW STREAMS", id="SHOW STREAMS"),
        pytest.param(StartStream("a `b"), "START STREAM `a ``b`", id="a name that has to be quoted"),
        pytest.param(StartStream("s", 3), "START STREAM s LIMIT 3 BATCHES", id="START STREAM with a limit"),
        pytest.param(StopStream(Parameter("s")), "STOP STREAM $s", id="STOP STREAM of a parameter"),
        pytest.param(clauses.StartAllStreams(), "START ALL STREAMS", id="START ALL STREAMS"),
        pytest.param(clauses.StopAllStreams(), "STOP ALL STREAMS", id="STOP ALL STREAMS"),
        pytest.param(clauses.TestStream("s"), "TEST STREAM s", id="TEST STREAM"),
        pytest.param(clauses.TestStream("s", 0), "TEST STREAM s LIMIT 0 BATCHES", id="a limit of 0 is a limit"),
    ],
)
def test_a_statement_is_written(statement: clauses.Statement, text: str):
    assert to_text(statement) == text


@pytest.mark.parametrize(
    ("statement", "arguments", "message"),
    [
        pytest.param(DropStream, ("",), "name must not be empty", id="an empty name"),
        pytest.param(DropStream, (None,), "name has to be a string, not NoneType", id="no name"),
        pytest.param(Parameter, ("",), "a parameter's name must not be empty", id="a parameter without a name"),
        pytest.param(
            DropStream, ("\ud800",), "name has half a surrogate pair, which no query can carry", id="half a character"
        ),
        pytest.param(CreateStream, ("s", 1, "t", "f"), "uri has to be a string, not int", id="a URI that is none"),
        pytest.param(
            CreateStream,
            ("s", "u", "t", "f", "5"),
            "batch_interval_ms has to be an integer, not str",
            id="an interval in quotes",
        ),
        pytest.param(Map, ((("a", 1), ("a", 2)),), "a map has a key twice", id="a key twice"),
        pytest.param(
            Map,
            ((("a", [1]),),),
            "a has to be a string, a number, true, false, null, a map or a list, not list",
            id="a list of Python's in a map",
        ),
        pytest.param(Map, ((("a", float("inf")),),), "a has to be finite, not inf", id="what no text can say"),
        pytest.param(clauses.AlterStream, ("s",), "ALTER STREAM has to change something", id="no change"),
        pytest.param(
            clauses.Offsets, ((),), "give offsets for at least one partition, and only once for each", id="no partition"
        ),
        pytest.param(
            StartStream, ("s", True), "limit_batches has to be an integer, not bool", id="a truth for a count"
        ),
        pytest.param(
            StartStream, ("s", -1), "limit_batches has to be from 0 to 9223372036854775807, not -1", id="less than none"
        ),
        pytest.param(
            StartStream,
            ("s", 10**9999),
            "limit_batches has to be from 0 to 9223372036854775807, not that",
            id="more digits than Python would write",
        ),
    ],
)
def test_a_statement_that_could_not_be_written_cannot_be_made(statement: type, arguments: tuple, message: str):
    with pytest.raises(SettingError) as caught:
        statement(*arguments)
    assert str(caught.value) == message
