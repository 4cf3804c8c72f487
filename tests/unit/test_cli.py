"""The `sluice` command, as a shell sees it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import sluice
from sluice_tools.cli import app, excerpt


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "80", "NO_COLOR": "1"})


def test_version():
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"sluice {sluice.__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        pytest.param(
            [
                "CREATE STREAM mystream AS LOAD DATA KAFKA 'localhost:9092' WITH TOPIC 'test' "
                "WITH TRANSFORM 'http://localhost/transform.py' "
            ],
            "CALL streams.create($name, $uri, $topic, $transform)\n"
            '  $name       "mystream"\n'
            '  $uri        "localhost:9092"\n'
            '  $topic      "test"\n'
            '  $transform  "http://localhost/transform.py"\n',
            id="the specification's example",
        ),
        pytest.param(["START ALL STREAMS;"], "CALL streams.start_all()\n", id="no parameters"),
        pytest.param(
            ["TEST STREAM s LIMIT $n BATCHES", "--parameter", "n=3", "-p", 'name="mine"'],
            'CALL streams.test($name_2, $`n`) YIELD query, params\n  $n       3\n  $name    "mine"\n  $name_2  "s"\n',
            id="the client's parameters",
        ),
        pytest.param(
            ["DROP STREAM `[red]\x1b[31m名`"],
            'CALL streams.drop($name)\n  $name  "[red]\\u001b[31m名"\n',
            id="nothing that a terminal would obey",
        ),
        pytest.param(["MATCH (n) RETURN n"], "Not a stream clause: passed through unchanged.\n", id="another query"),
        pytest.param([""], "Not a stream clause: passed through unchanged.\n", id="an empty text"),
        pytest.param(
            ["DROP STREAM `" + "x" * 100 + "`"],
            'CALL streams.drop($name)\n  $name  "' + "x" * 100 + '"\n',
            id="long lines are not broken",
        ),
    ],
)
def test_translate_shows_the_call(arguments: list[str], output: str):
    result = run("translate", *arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (0, output, "")


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        pytest.param(
            ["STOP STREAM $s", "-p", 's="x"'],
            {"translated": True, "query": "CALL streams.`stop`($`s`)", "parameters": {"s": "x"}, "columns": []},
            id="a clause",
        ),
        pytest.param(
            ["SHOW STREAMS"],
            {
                "translated": True,
                "query": "CALL streams.show() YIELD name, uri, topic, transform, status",
                "parameters": {},
                "columns": ["name", "uri", "topic", "transform", "status"],
            },
            id="a clause with columns",
        ),
        pytest.param(
            ["RETURN $x", "-p", "x=[1, null]"],
            {"translated": False, "query": "RETURN $x", "parameters": {"x": [1, None]}, "columns": None},
            id="another query",
        ),
    ],
)
def test_translate_as_json(arguments: list[str], output: dict):
    result = run("translate", "--json", *arguments)
    assert (result.exit_code, json.loads(result.stdout)) == (0, output)


def test_a_wrong_clause_is_shown_with_its_place():
    result = run("translate", "START STREAM s BATCH_LIMIT 5")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "Syntax error at line 1, column 16: expected LIMIT or the end of the clause, found BATCH_LIMIT"
        " (that option is for Memgraph's own streams, on Memgraph's own port)\n"
        "  START STREAM s BATCH_LIMIT 5\n"
        "                 ^\n"
    )


def test_a_wrong_clause_as_json():
    result = run("translate", "--json", "STOP ALL\nSTREAM")
    assert result.exit_code == 2
    assert json.loads(result.stdout) == {
        "error": "Syntax error at line 2, column 1: expected STREAMS, found STREAM",
        "line": 2,
        "column": 1,
        "found": "STREAM",
        "expected": "STREAMS",
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param("x", "x is not NAME=JSON", id="no value"),
        pytest.param("=1", "=1 is not NAME=JSON", id="no name"),
        pytest.param("x=text", "the value of x is not JSON", id="a string without quotes"),
        pytest.param("x=" + "[" * 200_000, "the value of x is not JSON", id="deeper than Python reads"),
    ],
)
def test_a_wrong_parameter_is_refused(given: str, message: str):
    result = run("translate", "RETURN 1", "--parameter", given)
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    ("text", "line", "column", "shown"),
    [
        pytest.param("DROP x", 1, 6, ("DROP x", "     ^"), id="one line"),
        pytest.param("a\nb c\r\nd", 2, 3, ("b c", "  ^"), id="the line in question"),
        pytest.param("a\rb\r\n", 3, 1, ("", "^"), id="the end of the text"),
        pytest.param("\tx\ty", 1, 4, (" x y", "   ^"), id="a tab is one blank"),
        pytest.param("名前 x", 1, 4, ("名前 x", "     ^"), id="wide characters are two columns of the screen"),
        pytest.param("e\u0301 x", 1, 4, ("e\u0301 x", "  ^"), id="a combining mark is none"),
        pytest.param("a\x1b[31m", 1, 2, ("a [31m", " ^"), id="control characters are blanks"),
        pytest.param(
            "a" * 100 + "X" + "b" * 100,
            1,
            101,
            ("..." + "a" * 50 + "X" + "b" * 29 + "...", " " * 53 + "^"),
            id="a long line is cut around the place",
        ),
    ],
)
def test_the_excerpt_has_a_caret_under_the_place(text: str, line: int, column: int, shown: tuple[str, str]):
    assert excerpt(text, line, column) == shown


def documented_runs() -> list[tuple[str, str]]:
    """The commands that docs/clauses.md shows, and what it says they print."""
    text = (Path(__file__).parents[2] / "docs" / "clauses.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    runs = [run.split("\n", 1) for block in blocks for run in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [(command, output) for command, output in runs if command.startswith("sluice translate")]


@pytest.mark.parametrize(("command", "output"), documented_runs())
def test_the_documentation_shows_real_runs(command: str, output: str):
    result = run(*shlex.split(command)[1:])
    assert result.output == output
