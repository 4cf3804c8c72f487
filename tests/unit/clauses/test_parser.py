"""Which texts are stream clauses, and what they say."""

from __future__ import annotations

import time
from typing import Any

import pytest

from sluice import clauses
from sluice.clauses import (
    CreateStream,
    DropStream,
    End,
    Existing,
    Map,
    Offsets,
    Parameter,
    Relative,
    SeekStream,
    ShowStreams,
    StartStream,
    StopStream,
    Timestamp,
    parse,
)

CONFIG = Map.of({"on_error": "skip", "fetch.min.bytes": 1, "a": -2.5, "b": True, "c": None, "d": Parameter("p")})
CREATE = "CREATE STREAM s AS LOAD DATA KAFKA 'u' WITH TOPIC 't' WITH TRANSFORM 'f'"


def created(**options: Any) -> CreateStream:
    return CreateStream("s", "u", "t", "f", **options)


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        pytest.param(CREATE, created(), id="CREATE STREAM without options"),
        pytest.param(f"{CREATE} BATCH_INTERVAL 5", created(batch_interval_ms=5), id="BATCH_INTERVAL"),
        pytest.param(f"{CREATE} BATCH_SIZE 7", created(batch_size=7), id="BATCH_SIZE"),
        pytest.param(
            f"{CREATE} BATCH_INTERVAL 5 BATCH_SIZE 7", created(batch_interval_ms=5, batch_size=7), id="both options"
        ),
        pytest.param(
            f"{CREATE} BATCH_SIZE 7 BATCH_INTERVAL 5",
            created(batch_interval_ms=5, batch_size=7),
            id="options the other way round",
        ),
        pytest.param(
            f"{CREATE} BATCH INTERVAL 5 BATCH SIZE 7",
            created(batch_interval_ms=5, batch_size=7),
            id="options in two words, as the old parser had them",
        ),
        pytest.param(
            f"{CREATE} BATCH SIZE 7 BATCH_INTERVAL 5",
            created(batch_interval_ms=5, batch_size=7),
            id="one option in two words, one in one",
        ),
        pytest.param(
            f"{CREATE} BATCH/**/SIZE 7 BATCH\nINTERVAL 5;",
            created(batch_interval_ms=5, batch_size=7),
            id="anything blank parts the two words",
        ),
        pytest.param(f"{CREATE} BATCH_SIZE 0x10", created(batch_size=16), id="a hexadecimal size"),
        pytest.param(f"{CREATE} BATCH_SIZE 010", created(batch_size=8), id="an octal size"),
        pytest.param(
            "CREATE STREAM $n AS LOAD DATA KAFKA $u WITH TOPIC $`t t` WITH TRANSFORM $0"
            " BATCH_INTERVAL $i BATCH_SIZE $s",
            CreateStream(
                Parameter("n"), Parameter("u"), Parameter("t t"), Parameter("0"), Parameter("i"), Parameter("s")
            ),
            id="parameters wherever a value may stand",
        ),
        pytest.param(
            "CREATE STREAM s AS LOAD DATA KAFKA'u'WITH TOPIC\"t\"WITH TRANSFORM'f'BATCH_SIZE 7",
            created(batch_size=7),
            id="no blanks where none are needed",
        ),
        pytest.param(
            "create stream as as load data kafka 'it\\'s' with topic '' with transform \"a\\tb\"",
            CreateStream("as", "it's", "", "a\tb"),
            id="small letters, a keyword as a name, escapes, an empty string",
        ),
        pytest.param(
            f"{CREATE} WITH CONFIG {{on_error: 'skip', `fetch.min.bytes`: 1, 'a': -2.5, \"b\": true, c: null, d: $p}}",
            created(config=CONFIG),
            id="WITH CONFIG, keys plain, in backticks and in quotes",
        ),
        pytest.param(f"{CREATE} WITH CONFIG {{}}", created(config=Map()), id="an empty config"),
        pytest.param(f"{CREATE} WITH CONFIG $c", created(config=Parameter("c")), id="the config a parameter"),
        pytest.param(
            f"{CREATE} BATCH_SIZE 7 WITH CONFIG $c BATCH_INTERVAL 5",
            created(config=Parameter("c"), batch_size=7, batch_interval_ms=5),
            id="WITH CONFIG between the options",
        ),
        pytest.param(
            "CREATE STREAM s AS LOAD DATA KAFKA 'u' WITH CONFIG $c WITH TOPIC 't' WITH TRANSFORM 'f'",
            created(config=Parameter("c")),
            id="WITH CONFIG before WITH TOPIC",
        ),
        pytest.param(
            "CREATE STREAM s AS LOAD DATA KAFKA 'u' WITH TOPIC 't' WITH CONFIG $c WITH TRANSFORM 'f' BATCH_SIZE 7",
            created(config=Parameter("c"), batch_size=7),
            id="WITH CONFIG before WITH TRANSFORM",
        ),
        pytest.param(
            CREATE.replace("STREAM s", "STREAM IF NOT EXISTS s"),
            created(existing=Existing.KEEP),
            id="CREATE STREAM IF NOT EXISTS",
        ),
        pytest.param(
            CREATE.replace("CREATE", "CREATE OR REPLACE"),
            created(existing=Existing.REPLACE),
            id="CREATE OR REPLACE STREAM",
        ),
        pytest.param(
            CREATE.replace("CREATE", "create/**/or\nREPLACE//\n"),
            created(existing=Existing.REPLACE),
            id="CREATE OR REPLACE, in any case and whatever is between",
        ),
        pytest.param(
            CREATE.replace("STREAM s", "STREAM if"), CreateStream("if", "u", "t", "f"), id="a stream called if"
        ),
        pytest.param(
            CREATE.replace("STREAM s", "STREAM IF NOT EXISTS if"),
            CreateStream("if", "u", "t", "f", existing=Existing.KEEP),
            id="a stream called if, if it does not exist",
        ),
        pytest.param("DROP STREAM s", DropStream("s"), id="DROP STREAM"),
        pytest.param("DROP STREAM IF EXISTS s", DropStream("s", if_exists=True), id="DROP STREAM IF EXISTS"),
        pytest.param("DROP STREAM if", DropStream("if"), id="DROP of a stream called if"),
        pytest.param(
            "DROP STREAM if exists exists;", DropStream("exists", if_exists=True), id="a stream called exists"
        ),
        pytest.param("SHOW CREATE STREAM s", clauses.ShowCreateStream("s"), id="SHOW CREATE STREAM"),
        pytest.param("RELOAD TRANSFORM OF STREAM s", clauses.ReloadTransform("s"), id="RELOAD TRANSFORM"),
        pytest.param(
            "ALTER STREAM s SET BATCH_SIZE 7", clauses.AlterStream("s", batch_size=7), id="ALTER STREAM, one change"
        ),
        pytest.param(
            "ALTER STREAM s SET CONFIG {x: 1}, TRANSFORM 'f', KAFKA $u, BATCH SIZE 7, BATCH_INTERVAL 5",
            clauses.AlterStream("s", 5, 7, Parameter("u"), "f", Map.of({"x": 1})),
            id="ALTER STREAM, all changes in any order",
        ),
        pytest.param("ALTER STREAM set SET CONFIG $c", clauses.AlterStream("set", config=Parameter("c")), id="set SET"),
        pytest.param("SEEK STREAM s TO EARLIEST", SeekStream("s", End.EARLIEST), id="SEEK to the earliest"),
        pytest.param("seek stream s to latest dry run", SeekStream("s", End.LATEST, dry_run=True), id="a dry run"),
        pytest.param(
            "SEEK STREAM to TO TIMESTAMP '2024-11-22T10:00:00Z'",
            SeekStream("to", Timestamp("2024-11-22T10:00:00Z")),
            id="SEEK to a time in ISO 8601",
        ),
        pytest.param(
            "SEEK STREAM s TO TIMESTAMP 1732270000000", SeekStream("s", Timestamp(1732270000000)), id="... as a number"
        ),
        pytest.param(
            "SEEK STREAM s TO TIMESTAMP $t DRY RUN;", SeekStream("s", Timestamp(Parameter("t")), True), id="... given"
        ),
        pytest.param("SEEK STREAM s TO RELATIVE -1000", SeekStream("s", Relative(-1000)), id="SEEK back"),
        pytest.param("SEEK STREAM s TO RELATIVE - 1000", SeekStream("s", Relative(-1000)), id="a blank after the sign"),
        pytest.param("SEEK STREAM s TO RELATIVE +10", SeekStream("s", Relative(10)), id="SEEK on, with a sign"),
        pytest.param("SEEK STREAM s TO RELATIVE 10", SeekStream("s", Relative(10)), id="SEEK on"),
        pytest.param("SEEK STREAM s TO RELATIVE $n", SeekStream("s", Relative(Parameter("n"))), id="SEEK by $n"),
        pytest.param(
            "SEEK STREAM s TO {0: 5, `1`: $x, '10': 7}",
            SeekStream("s", Offsets(((0, 5), (1, Parameter("x")), (10, 7)))),
            id="SEEK to offsets",
        ),
        pytest.param(
            "SEEK STREAM s TO {orders: {0: 5}, `a.b`: {'1': $x}}",
            SeekStream(
                "s",
                clauses.OffsetsByTopic((("orders", Offsets(((0, 5),))), ("a.b", Offsets(((1, Parameter("x")),))))),
            ),
            id="SEEK to offsets of topics",
        ),
        pytest.param("SEEK STREAM s TO $to", SeekStream("s", Parameter("to")), id="SEEK to what a parameter says"),
        pytest.param("SHOW STREAMS", ShowStreams(), id="SHOW STREAMS"),
        pytest.param("START STREAM s", StartStream("s"), id="START STREAM"),
        pytest.param("START STREAM s LIMIT 3 BATCHES", StartStream("s", 3), id="START STREAM with a limit"),
        pytest.param("START STREAM s LIMIT $n BATCHES", StartStream("s", Parameter("n")), id="the limit a parameter"),
        pytest.param("STOP STREAM s", StopStream("s"), id="STOP STREAM"),
        pytest.param("START ALL STREAMS", clauses.StartAllStreams(), id="START ALL STREAMS"),
        pytest.param("STOP ALL STREAMS", clauses.StopAllStreams(), id="STOP ALL STREAMS"),
        pytest.param("TEST STREAM s", clauses.TestStream("s"), id="TEST STREAM"),
        pytest.param("TEST STREAM s LIMIT 3 BATCHES", clauses.TestStream("s", 3), id="TEST STREAM with a limit"),
        pytest.param("START STREAM all", StartStream("all"), id="a stream called all"),
        pytest.param("STOP STREAM streams", StopStream("streams"), id="a stream called streams"),
        pytest.param("DROP STREAM STREAM", DropStream("STREAM"), id="a stream called STREAM keeps its case"),
        pytest.param("START STREAM limit LIMIT 1 BATCHES", StartStream("limit", 1), id="a stream called limit"),
        pytest.param("START STREAM `a ``b`", StartStream("a `b"), id="a name in backticks"),
        pytest.param("START STREAM`s`LIMIT 1 BATCHES", StartStream("s", 1), id="backticks need no blanks around"),
        pytest.param("START STREAM ſTREAM", StartStream("ſTREAM"), id="a name of other letters"),
        pytest.param("START STREAM a$b", StartStream("a$b"), id="a dollar inside a name"),
        pytest.param("START STREAM s;", StartStream("s"), id="a semicolon"),
        pytest.param("START STREAM s /* x */ ; // y", StartStream("s"), id="comments around the semicolon"),
        pytest.param("\u3000SHOW\u2003STREAMS\xa0", ShowStreams(), id="Unicode whitespace"),
        pytest.param("/* why */ // so\nSHOW/**/STREAMS", ShowStreams(), id="comments before and between"),
        pytest.param("sHoW sTrEaMs", ShowStreams(), id="any case"),
        pytest.param("SHOW STREAMS // SHOW STREAMS; SHOW STREAMS", ShowStreams(), id="a comment at the end"),
    ],
)
def test_a_clause_says(text: str, statement: clauses.Statement):
    assert parse(text) == statement


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="an empty text"),
        pytest.param(" \n\t", id="blanks"),
        pytest.param(";", id="a semicolon"),
        pytest.param("// SHOW STREAMS", id="a clause in a line comment"),
        pytest.param("/* SHOW STREAMS */", id="a clause in a block comment"),
        pytest.param("/* SHOW STREAMS */ RETURN 1", id="a clause in a comment before a query"),
        pytest.param("/* SHOW STREAMS", id="a clause in a comment that does not end"),
        pytest.param("CREATE /* STREAM", id="a keyword and a comment that does not end"),
        pytest.param("RETURN 'SHOW STREAMS'", id="a clause in a string"),
        pytest.param("'SHOW STREAMS'", id="nothing but a string"),
        pytest.param("`SHOW` STREAMS", id="a keyword in backticks is none"),
        pytest.param("SHOW `STREAMS`", id="a second keyword in backticks is none"),
        pytest.param("CREATE KAFKA STREAM s TOPICS t TRANSFORM m.f", id="CREATE KAFKA STREAM"),
        pytest.param("CREATE PULSAR STREAM s TOPICS t TRANSFORM m.f", id="CREATE PULSAR STREAM"),
        pytest.param("CHECK STREAM s", id="CHECK STREAM"),
        pytest.param("EXPLAIN MATCH (n) RETURN n", id="EXPLAIN of a query"),
        pytest.param("EXPLAIN CREATE STREAM = (:A)", id="EXPLAIN of a path called stream"),
        pytest.param("EXPLAIN PROFILE SHOW STREAMS", id="EXPLAIN twice"),
        pytest.param("EXPLAINSHOW STREAMS", id="another word"),
        pytest.param("CREATE stream = (a)-[:R]->(b) RETURN stream", id="a path called stream"),
        pytest.param("CREATE stream=(a)", id="a path called stream, without blanks"),
        pytest.param(
            "CREATE stream /* path */ = (a {x: 'unfinished", id="a path called stream, never looked at further"
        ),
        pytest.param("CREATE (stream:STREAM)", id="CREATE of a node"),
        pytest.param("CREATE streams = (a)", id="a path called streams"),
        pytest.param("CREATE INDEX ON :Stream", id="CREATE INDEX"),
        pytest.param("CREATE TRIGGER t ON CREATE BEFORE COMMIT EXECUTE SHOW STREAMS", id="CREATE TRIGGER"),
        pytest.param("CREATE STREAM_1 = (a)", id="a name that begins with STREAM"),
        pytest.param("CREATESTREAM s", id="keywords run together"),
        pytest.param("START ALLSTREAMS", id="the second and third keyword run together"),
        pytest.param("CREATE ſTREAM s", id="a long s is no S"),
        pytest.param("ſHOW STREAMS", id="a long s is no S, in the first word"),
        pytest.param("SHOW STREAMſ", id="a long s is no S, at the end of a word"),
        pytest.param("DROP INDEX ON :STREAM(all)", id="DROP INDEX"),
        pytest.param("DROP TRIGGER stream", id="DROP TRIGGER"),
        pytest.param("DROP ALL INDEXES", id="DROP ALL INDEXES"),
        pytest.param("SHOW STORAGE INFO", id="SHOW STORAGE INFO"),
        pytest.param("SHOW STREAM", id="SHOW of one stream, which nobody has"),
        pytest.param("SHOW ALL STREAMS", id="SHOW ALL, which nobody has"),
        pytest.param("DROP STREAMS", id="DROP of many streams, which nobody has"),
        pytest.param("ALTER USER s SET PASSWORD 'x'", id="ALTER of something else"),
        pytest.param("ALTER ENUM Stream ADD VALUE Seek", id="ALTER ENUM"),
        pytest.param("RELOAD BOLT_SERVER TLS", id="RELOAD of a certificate"),
        pytest.param("ALTER (s)-[:SEEK]->(t)", id="ALTER of nothing"),
        pytest.param(
            "CREATE OR REPLACE TRIGGER stream ON CREATE EXECUTE RETURN 1", id="CREATE OR REPLACE of a trigger"
        ),
        pytest.param("CREATE OR REPLACE KAFKA STREAM s TOPICS t TRANSFORM m.f", id="CREATE OR REPLACE KAFKA STREAM"),
        pytest.param("CREATE OR STREAM s", id="CREATE OR without REPLACE"),
        pytest.param("CREATE OR REPLACE", id="CREATE OR REPLACE of nothing"),
        pytest.param("SHOW CREATE TRIGGER stream", id="SHOW CREATE of something else"),
        pytest.param("SHOW CREATE", id="SHOW CREATE of nothing"),
        pytest.param("RELOAD TRANSFORMS", id="RELOAD of something else"),
        pytest.param("SEEK (n)", id="SEEK of something else"),
        pytest.param("RETURN 1", id="RETURN, which begins like RELOAD"),
        pytest.param("START", id="START alone"),
        pytest.param("STOP TTL", id="STOP of something else"),
        pytest.param("TEST ALL STREAMS", id="TEST ALL, which nobody has"),
        pytest.param("START\x85STREAM s", id="NEL is no whitespace"),
        pytest.param("\ufeffSHOW STREAMS", id="a byte order mark is no whitespace"),
        pytest.param("; SHOW STREAMS", id="a semicolon in front"),
        pytest.param("MATCH (n) RETURN n; SHOW STREAMS", id="a clause after a query"),
        pytest.param("CALL streams.show() YIELD *", id="our own procedures"),
    ],
)
def test_what_is_not_ours_is_left_alone(text: str):
    assert parse(text) is None


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(" " * 1_000_000 + "MATCH (n)", id="blanks, then a query"),
        pytest.param("/* x */ " * 100_000 + "MATCH (n)", id="comments, then a query"),
        pytest.param("/" * 1_000_000, id="slashes"),
        pytest.param("/*" * 500_000, id="comments that do not end"),
        pytest.param("CREATE" + " " * 1_000_000 + "(n)", id="blanks after CREATE"),
        pytest.param("CREATE" + "/**/" * 100_000 + "(n)", id="comments after CREATE"),
        pytest.param("CREATE stream = (a)" + "-->()" * 200_000, id="a path called stream"),
        pytest.param("UNWIND $rows AS row " + "x" * 1_000_000, id="a huge query"),
    ],
)
def test_huge_texts_that_are_not_ours_are_left_alone_at_once(text: str):
    start = time.perf_counter()
    assert parse(text) is None
    assert time.perf_counter() - start < 2  # a pattern that backtracks would take hours


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        pytest.param("DROP STREAM `" + "``" * 500_000 + "`", DropStream("`" * 500_000), id="a name of backticks"),
        pytest.param("DROP STREAM " + "x" * 1_000_000, DropStream("x" * 1_000_000), id="a long name"),
        pytest.param("DROP STREAM s " + "/**/" * 100_000, DropStream("s"), id="many comments"),
        pytest.param(
            "CREATE STREAM s AS LOAD DATA KAFKA '" + "\\n" * 200_000 + "' WITH TOPIC 't' WITH TRANSFORM 'f'",
            CreateStream("s", "\n" * 200_000, "t", "f"),
            id="a long string of escapes",
        ),
    ],
)
def test_huge_clauses_are_parsed(text: str, statement: clauses.Statement):
    start = time.perf_counter()
    assert parse(text) == statement
    assert time.perf_counter() - start < 5
