"""What is said about a text that begins like a stream clause and goes on like none."""

from __future__ import annotations

import pytest

from sluice.clauses import parse
from sluice.errors import ClauseError

CREATE = "CREATE STREAM s AS LOAD DATA KAFKA 'u' WITH TOPIC 't' WITH TRANSFORM 'f'"
NAME = "a stream name (plain or in backticks) or a $parameter"
STRING = "a string or a $parameter"
INTEGER = "an integer or a $parameter"
END = "the end of the text"
MAP = "a map, as in {key: 'value'}, or a $parameter"
KEY = "a key (plain, in backticks or in quotes)"
VALUE = "a string, a number, true, false, null, a map, a list or a $parameter"
CHANGES = "BATCH_INTERVAL or BATCH_SIZE or KAFKA or TRANSFORM or CONFIG"
TARGET = "EARLIEST, LATEST, TIMESTAMP, RELATIVE, {partition: offset}, {topic: {partition: offset}} or a $parameter"
TIME = "ISO 8601 in quotes, milliseconds since 1970 or a $parameter"


@pytest.mark.parametrize(
    ("text", "place", "expected", "found"),
    [
        pytest.param("CREATE STREAM", (1, 14), NAME, END, id="CREATE STREAM without a name"),
        pytest.param("CREATE STREAM (n)", (1, 15), NAME, "(", id="a pattern for a name"),
        pytest.param("CREATE STREAM 's' AS", (1, 15), NAME, "'s'", id="a name in quotes"),
        pytest.param("CREATE STREAM `` AS", (1, 15), NAME, "``", id="an empty name"),
        pytest.param("CREATE STREAM $`` AS", (1, 15), NAME, "$``", id="a parameter without a name"),
        pytest.param("CREATE STREAM 1 AS", (1, 15), NAME, "1", id="a number for a name"),
        pytest.param("CREATE STREAM s LOAD DATA", (1, 17), "AS", "LOAD", id="AS is missing"),
        pytest.param("CREATE STREAM s AS LOAD CSV", (1, 25), "DATA", "CSV", id="another LOAD"),
        pytest.param("CREATE STREAM s AS LOAD DATA PULSAR", (1, 30), "KAFKA", "PULSAR", id="another source"),
        pytest.param("CREATE STREAM s AS LOAD DATA KAFKA localhost", (1, 36), STRING, "localhost", id="a URI bare"),
        pytest.param(
            "CREATE STREAM s AS LOAD DATA KAFKA 'u' TOPIC 't'", (1, 40), "WITH", "TOPIC", id="WITH is missing"
        ),
        pytest.param(
            "CREATE STREAM s AS LOAD DATA KAFKA 'u' WITH TRANSFORM 'f' WITH TOPIC 't'",
            (1, 45),
            "TOPIC",
            "TRANSFORM",
            id="TRANSFORM before TOPIC",
        ),
        pytest.param(
            "CREATE STREAM s\nAS LOAD DATA KAFKA 'u'\nWITH TOPIC t",
            (3, 12),
            STRING,
            "t",
            id="an error on the third line",
        ),
        pytest.param(
            "CREATE STREAM s\r\nAS LOAD\rDATA KAFKA 'u' WITH\n TOPIC ;",
            (4, 8),
            STRING,
            ";",
            id="lines that end in different ways",
        ),
        pytest.param("START STREAM '\n\n' x", (1, 14), NAME, r"'\n\n'", id="what was found stays on one line"),
        pytest.param(
            "/* é\n */ START STREAM 名前 x", (2, 21), "LIMIT or the end of the clause", "x", id="columns are characters"
        ),
        pytest.param(
            f"{CREATE} BATCH",
            (1, 79),
            "INTERVAL or SIZE",
            END,
            id="half an option",
        ),
        pytest.param(
            f"{CREATE} LIMIT 3 BATCHES",
            (1, 74),
            "WITH CONFIG or BATCH_INTERVAL or BATCH_SIZE or the end of the clause",
            "LIMIT",
            id="an option of another clause",
        ),
        pytest.param(f"{CREATE} BATCH_SIZE '7'", (1, 85), INTEGER, "'7'", id="a size in quotes"),
        pytest.param(f"{CREATE} BATCH_SIZE 1.5", (1, 85), INTEGER, "1.5", id="a size with a fraction"),
        pytest.param(f"{CREATE} BATCH_INTERVAL 10ms", (1, 89), INTEGER, "10ms", id="an interval with a unit"),
        pytest.param(f"{CREATE} BATCH_INTERVAL 09", (1, 89), INTEGER, "09", id="an octal nine"),
        pytest.param(f"{CREATE} BATCH_SIZE $01", (1, 85), INTEGER, "$01", id="a parameter that is none"),
        pytest.param(
            f"{CREATE} BATCH_SIZE 9223372036854775808",
            (1, 85),
            "an integer of at most 9223372036854775807",
            "9223372036854775808",
            id="a size beyond 64 bits",
        ),
        pytest.param(
            f"{CREATE} BATCH_SIZE 7 BATCH_SIZE 8",
            (1, 87),
            "WITH CONFIG or BATCH_INTERVAL or the end of the clause",
            "BATCH_SIZE",
            id="an option twice",
        ),
        pytest.param(
            f"{CREATE} BATCH_SIZE 7 BATCH SIZE 8", (1, 93), "INTERVAL", "SIZE", id="an option twice, once in two words"
        ),
        pytest.param(
            f"{CREATE} BATCH_SIZE 7 BATCH_INTERVAL 8 BATCH_SIZE 9",
            (1, 104),
            "WITH CONFIG or the end of the clause",
            "BATCH_SIZE",
            id="an option too many",
        ),
        pytest.param(f"{CREATE} WITH TOPIC 't'", (1, 79), "CONFIG", "TOPIC", id="another WITH"),
        pytest.param(f"{CREATE} WITH CONFIG", (1, 85), MAP, END, id="WITH CONFIG without a map"),
        pytest.param(f"{CREATE} WITH CONFIG [1]", (1, 86), MAP, "[", id="a list for a map"),
        pytest.param(f"{CREATE} WITH CONFIG {{", (1, 87), KEY, END, id="a map that does not end"),
        pytest.param(f"{CREATE} WITH CONFIG {{a}}", (1, 88), ":", "}", id="a key without a value"),
        pytest.param(f"{CREATE} WITH CONFIG {{a: 1", (1, 91), ", or }", END, id="a map that does not go on"),
        pytest.param(f"{CREATE} WITH CONFIG {{a: 1 b: 2}}", (1, 92), ", or }", "b", id="a comma is missing"),
        pytest.param(f"{CREATE} WITH CONFIG {{a: 1,}}", (1, 92), KEY, "}", id="a comma too many"),
        pytest.param(f"{CREATE} WITH CONFIG {{1: 1}}", (1, 87), KEY, "1", id="a number for a key"),
        pytest.param(f"{CREATE} WITH CONFIG {{``: 1}}", (1, 87), KEY, "``", id="an empty key"),
        pytest.param(
            f"{CREATE} WITH CONFIG {{a: 1, `a`: 2}}", (1, 93), "a key that was not used before", "`a`", id="a key twice"
        ),
        pytest.param(f"{CREATE} WITH CONFIG {{a: skip}}", (1, 90), VALUE, "skip", id="a value without quotes"),
        pytest.param(f"{CREATE} WITH CONFIG {{a: [1,]}}", (1, 93), VALUE, "]", id="a comma too many in a list"),
        pytest.param(f"{CREATE} WITH CONFIG {{a: [1 2]}}", (1, 93), ", or ]", "2", id="a list without a comma"),
        pytest.param(f"{CREATE} WITH CONFIG {{a: [1}}", (1, 92), ", or ]", "}", id="a list that does not end"),
        pytest.param(f"{CREATE} WITH CONFIG {{a: {{b}}}}", (1, 92), ":", "}", id="a map in a map, without a value"),
        pytest.param(
            f"{CREATE} WITH CONFIG {{a: {'[' * 17}",
            (1, 106),
            "no more than 16 maps and lists inside each other",
            "[",
            id="nested too deep",
        ),
        pytest.param(f"{CREATE} WITH CONFIG {{a: -'1'}}", (1, 91), "a number", "'1'", id="a minus before a string"),
        pytest.param(f"{CREATE} WITH CONFIG {{a: 1e999}}", (1, 90), "a number of 64 bits", "1e999", id="a huge number"),
        pytest.param(
            f"{CREATE} WITH CONFIG $a WITH CONFIG $b",
            (1, 89),
            "BATCH_INTERVAL or BATCH_SIZE or the end of the clause",
            "WITH",
            id="WITH CONFIG twice",
        ),
        pytest.param("CREATE STREAM IF NOT s AS", (1, 22), "EXISTS", "s", id="IF NOT without EXISTS"),
        pytest.param("CREATE STREAM IF EXISTS s AS", (1, 18), "AS", "EXISTS", id="CREATE IF EXISTS"),
        pytest.param("DROP STREAM IF NOT EXISTS s", (1, 16), "the end of the clause", "NOT", id="DROP IF NOT EXISTS"),
        pytest.param("DROP STREAM IF EXISTS", (1, 22), NAME, END, id="DROP STREAM IF EXISTS without a name"),
        pytest.param("CREATE OR REPLACE STREAM", (1, 25), NAME, END, id="CREATE OR REPLACE STREAM without a name"),
        pytest.param("SHOW CREATE STREAM", (1, 19), NAME, END, id="SHOW CREATE STREAM of nothing"),
        pytest.param("ALTER STREAM s", (1, 15), "SET", END, id="ALTER STREAM without SET"),
        pytest.param("ALTER STREAM s SET", (1, 19), CHANGES, END, id="ALTER STREAM of nothing"),
        pytest.param("ALTER STREAM s SET LIMIT 5", (1, 20), CHANGES, "LIMIT", id="ALTER STREAM of something else"),
        pytest.param(
            "ALTER STREAM s SET BATCH_SIZE 7 BATCH_INTERVAL 5",
            (1, 33),
            ", or the end of the clause",
            "BATCH_INTERVAL",
            id="changes without a comma",
        ),
        pytest.param(
            "ALTER STREAM s SET CONFIG $c, TRANSFORM 'f', CONFIG $d",
            (1, 46),
            "BATCH_INTERVAL or BATCH_SIZE or KAFKA",
            "CONFIG",
            id="a change twice",
        ),
        pytest.param("RELOAD TRANSFORM s", (1, 18), "OF", "s", id="RELOAD TRANSFORM of a name"),
        pytest.param("RELOAD TRANSFORM OF s", (1, 21), "STREAM", "s", id="RELOAD TRANSFORM OF a name"),
        pytest.param("SEEK STREAM s EARLIEST", (1, 15), "TO", "EARLIEST", id="SEEK without TO"),
        pytest.param("SEEK STREAM s TO", (1, 17), TARGET, END, id="SEEK to nowhere"),
        pytest.param("SEEK STREAM s TO 5", (1, 18), TARGET, "5", id="SEEK to a number of what"),
        pytest.param("SEEK STREAM s TO END", (1, 18), TARGET, "END", id="SEEK to the end"),
        pytest.param("SEEK STREAM s TO TIMESTAMP now", (1, 28), TIME, "now", id="a time that is none"),
        pytest.param("SEEK STREAM s TO TIMESTAMP -1", (1, 28), TIME, "-", id="a time before 1970"),
        pytest.param("SEEK STREAM s TO RELATIVE", (1, 26), INTEGER, END, id="RELATIVE to what"),
        pytest.param("SEEK STREAM s TO RELATIVE -$n", (1, 28), INTEGER, "$n", id="a minus before a parameter"),
        pytest.param("SEEK STREAM s TO {}", (1, 19), "a partition's number", "}", id="offsets of no partition"),
        pytest.param("SEEK STREAM s TO {p: 1}", (1, 22), "{partition: offset}", "1", id="a name for a partition"),
        pytest.param("SEEK STREAM s TO {'01': 1}", (1, 25), "{partition: offset}", "1", id="a zero in front"),
        pytest.param(
            "SEEK STREAM s TO {a: {}}", (1, 23), "a partition's number", "}", id="offsets of no partition of a"
        ),
        pytest.param(
            "SEEK STREAM s TO {a: {0: 1}, 1: 2}", (1, 30), "a topic's name", "1", id="a partition beside topics"
        ),
        pytest.param(
            "SEEK STREAM s TO {0: 1, `0`: 2}", (1, 25), "a partition that was not used before", "`0`", id="one twice"
        ),
        pytest.param("SEEK STREAM s TO {0: -1}", (1, 22), "an offset or a $parameter", "-", id="a negative offset"),
        pytest.param("SEEK STREAM s TO {0: 'x'}", (1, 22), "an offset or a $parameter", "'x'", id="no offset"),
        pytest.param("SEEK STREAM s TO LATEST RUN", (1, 25), "DRY RUN or the end of the clause", "RUN", id="wet"),
        pytest.param("SEEK STREAM s TO LATEST DRY", (1, 28), "RUN", END, id="half a dry run"),
        pytest.param("DROP STREAM", (1, 12), NAME, END, id="DROP STREAM without a name"),
        pytest.param("DROP STREAM a , b", (1, 15), "the end of the clause", ",", id="two streams at once"),
        pytest.param("SHOW STREAMS s", (1, 14), "the end of the clause", "s", id="SHOW STREAMS of one"),
        pytest.param("START STREAM s LIMIT BATCHES", (1, 22), INTEGER, "BATCHES", id="a limit without a number"),
        pytest.param("START STREAM s LIMIT 3", (1, 23), "BATCHES", END, id="a limit of what"),
        pytest.param("START STREAM s 3 BATCHES", (1, 16), "LIMIT or the end of the clause", "3", id="LIMIT is missing"),
        pytest.param(
            "STOP STREAM s LIMIT 3 BATCHES", (1, 15), "the end of the clause", "LIMIT", id="STOP with a limit"
        ),
        pytest.param("START ALL", (1, 10), "STREAMS", END, id="START ALL of nothing"),
        pytest.param("STOP ALL STREAM", (1, 10), "STREAMS", "STREAM", id="one letter is missing"),
        pytest.param(
            "START ALL STREAMS LIMIT 1 BATCHES", (1, 19), "the end of the clause", "LIMIT", id="a limit for all"
        ),
        pytest.param("TEST STREAM s LIMIT 1 BATCH", (1, 23), "BATCHES", "BATCH", id="one batch is BATCHES too"),
        pytest.param(
            "SHOW STREAMS; SHOW STREAMS",
            (1, 15),
            "the end of the text (one clause is one query)",
            "SHOW",
            id="two clauses",
        ),
        pytest.param(
            "SHOW STREAMS;;", (1, 14), "the end of the text (one clause is one query)", ";", id="two semicolons"
        ),
        pytest.param("DROP STREAM 'x", (1, 13), "' after it", "a string that does not end", id="an open string"),
        pytest.param("DROP STREAM `x", (1, 13), "` after it", "a name that does not end", id="an open backtick"),
        pytest.param("DROP STREAM x /*", (1, 15), "*/ after it", "a comment that does not end", id="an open comment"),
    ],
)
def test_what_begins_like_a_clause_and_is_wrong_says_where(
    text: str, place: tuple[int, int], expected: str, found: str
):
    with pytest.raises(ClauseError) as caught:
        parse(text)
    error = caught.value
    assert ((error.line, error.column), error.expected, error.found) == (place, expected, found)
    assert str(error) == f"Syntax error at line {place[0]}, column {place[1]}: expected {expected}, found {found}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "START STREAM s BATCH_LIMIT 5",
            "Syntax error at line 1, column 16: expected LIMIT or the end of the clause, found BATCH_LIMIT"
            " (that option is for Memgraph's own streams, on Memgraph's own port)",
            id="BATCH_LIMIT",
        ),
        pytest.param(
            "START STREAM s TIMEOUT 100",
            "Syntax error at line 1, column 16: expected LIMIT or the end of the clause, found TIMEOUT"
            " (that option is for Memgraph's own streams, on Memgraph's own port)",
            id="TIMEOUT",
        ),
        pytest.param(
            "CREATE STREAM my-stream AS LOAD DATA",
            "Syntax error at line 1, column 17: expected AS, found -"
            " (put a name with other characters than letters, digits and _ in backticks)",
            id="a name with a hyphen",
        ),
        pytest.param(
            "DROP STREAM a.b",
            "Syntax error at line 1, column 14: expected the end of the clause, found ."
            " (put a name with other characters than letters, digits and _ in backticks)",
            id="a name with a point",
        ),
        pytest.param(
            f"{CREATE} WITH CONFIG {{fetch.min.bytes: 1}}",
            "Syntax error at line 1, column 92: expected :, found ."
            " (put a key with other characters than letters, digits and _ in backticks or quotes)",
            id="a key with points",
        ),
        pytest.param(
            "CREATE OR REPLACE STREAM IF NOT EXISTS s AS",
            "Syntax error at line 1, column 26: expected a stream name, found IF"
            " (OR REPLACE and IF NOT EXISTS exclude each other)",
            id="OR REPLACE and IF NOT EXISTS",
        ),
        pytest.param(
            f"{CREATE} BATCH_SIZE -7",
            "Syntax error at line 1, column 85: expected an integer or a $parameter, found -"
            " (BATCH_SIZE must be a positive integer)",
            id="a negative size",
        ),
        pytest.param(
            "TEST STREAM s LIMIT -3 BATCHES",
            "Syntax error at line 1, column 21: expected an integer or a $parameter, found -"
            " (LIMIT must be a positive integer)",
            id="a negative limit",
        ),
        pytest.param(
            "EXPLAIN START STREAM s LIMIT x BATCHES",
            "Syntax error at line 1, column 30: expected an integer or a $parameter, found x",
            id="a clause that is explained, and wrong",
        ),
        pytest.param(
            "ALTER STREAM s SET TOPIC 't'",
            "Syntax error at line 1, column 20: expected BATCH_INTERVAL or BATCH_SIZE or KAFKA or TRANSFORM or CONFIG,"
            " found TOPIC (a stream keeps its topic; CREATE OR REPLACE STREAM makes another stream)",
            id="ALTER STREAM of the topic",
        ),
    ],
)
def test_an_error_that_is_often_made_says_what_to_do(text: str, message: str):
    with pytest.raises(ClauseError) as caught:
        parse(text)
    assert str(caught.value) == message


def test_an_error_is_one_line_however_long_the_text():
    with pytest.raises(ClauseError) as caught:
        parse("START STREAM '" + "x\n" * 100_000 + "'")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_text_that_was_never_utf8_is_refused_by_its_place():
    with pytest.raises(ClauseError, match=r"column 14: expected a stream name .*, found `\\ud800`$"):
        parse("START STREAM `\ud800`")
