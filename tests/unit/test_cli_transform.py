"""`sluice test-transform`, as a shell sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sluice_tools.cli import app
from tests.hosts.host import REPOSITORY

EDGES = str(REPOSITORY / "transforms" / "edges.py")


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["test-transform", *arguments], input=stdin, env={"COLUMNS": "80", "NO_COLOR": "1"})


@pytest.fixture
def script(tmp_path: Path):
    def write(body: str) -> str:
        path = tmp_path / "transform.py"
        path.write_text(body, encoding="utf-8")
        return str(path)

    return write


ECHO = 'def stream(batch):\n    return [("RETURN $v", {"v": repr(m)}) for m in batch]\n'


def test_it_prints_the_table_that_test_stream_prints():
    result = run(EDGES, "--message", "1", "-m", "1 2")
    assert result.exit_code == 0
    assert result.stdout == (
        "+------------------------------------------------------------------------------+-------------------------+\n"
        "| query                                                                        | params                  |\n"
        "+------------------------------------------------------------------------------+-------------------------+\n"
        '| CREATE (:Node {id: $id})                                                     | {id:"1"}                |\n'
        "| MATCH (n:Node {id: $from_id}), (m:Node {id: $to_id}) CREATE (n)-[:Edge]->(m) | "
        '{from_id:"1",to_id:"2"} |\n'
        "+------------------------------------------------------------------------------+-------------------------+\n"
    )


MERGING = """
import json

def stream(batch):
    rows = list(map(json.loads, batch))
    return [
        *(("MERGE (n:Person:Adult {id: $id}) SET n += $row", {"id": row["id"], "row": row}) for row in rows),
        ("UNWIND $rows AS row MERGE (a:City {id: row.city}) MERGE (b:City {id: 1}) MERGE (a)-[:NEAR]->(b)",
         {"rows": rows}),
    ]
"""


def test_a_merge_by_null_is_warned_of(script):
    wrong = ["-m", '{"id": null, "city": 1}', "-m", '{"id": null, "city": null}', "-m", '{"id": 3, "city": 2}']
    result = run(script(MERGING), *wrong)
    assert result.exit_code == 0
    why = "which is null and equals nothing, so that each makes another"
    why += "; leave such messages out, or raise an error"
    lines = result.stderr.strip().splitlines()
    assert f"Warning: 2 of 4 queries: MERGE by :Adult:Person(id), {why}" in lines
    assert f"Warning: 1 of 4 queries: MERGE by :City(id), {why}" in lines
    assert len(json.loads(run(script(MERGING), *wrong, "--json").stdout)["warnings"]) == len(lines)
    right = run(script(MERGING), "-m", '{"id": 0, "city": ""}')
    assert (right.exit_code, right.stderr) == (0, "")


def test_options_are_for_the_scripts_configure(script):
    configured = script(
        "def configure(options):\n    global given\n    given = options\n"
        'def stream(batch):\n    return [("RETURN $given", {"given": given})]\n'
    )
    result = run(configured, "-m", "1", "--json", "--option", "a=[1]", "--option", 'b="x=y"')
    assert json.loads(result.stdout)["queries"][0]["params"] == {"given": {"a": [1], "b": "x=y"}}
    refused = run(EDGES, "-m", "1", "--option", "a=1")
    assert refused.exit_code == 1
    assert refused.stderr.strip().endswith("it defines no function configure(options), and was given a")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        pytest.param("a=text", "is not JSON", id="a string without quotes"),
        pytest.param("a", "a is not NAME=JSON", id="no value"),
    ],
)
def test_an_option_that_is_no_json_is_refused(option: str, message: str):
    result = run(EDGES, "-m", "1", "--option", option)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_json_has_queries_and_on_request_what_folding_makes_of_them():
    result = run(EDGES, "-m", "1", "-m", "2", "--json", "--fold")
    query = "CREATE (:Node {id: $id})"
    assert json.loads(result.stdout) == {
        "queries": [{"query": query, "params": {"id": "1"}}, {"query": query, "params": {"id": "2"}}],
        "folding": {query: "folded"},
    }
    assert "folding" not in json.loads(run(EDGES, "-m", "1", "--json").stdout)
    assert "| folded  |" in run(EDGES, "-m", "1", "--fold").stdout


def test_messages_come_from_options_files_and_standard_input(script, tmp_path: Path):
    lines = tmp_path / "lines"
    lines.write_bytes(b"one\r\n\xff\n\ntwo")
    result = run(
        script(ECHO), "-m", "a", "-m", "base64:/wA=", "--file", str(lines), "--file", "-", "--tombstone", "--json",
        stdin=b"three\n",
    )  # fmt: skip
    values = [row["params"]["v"] for row in json.loads(result.stdout)["queries"]]
    assert values == ["b'a'", r"b'\xff\x00'", "b'one'", r"b'\xff'", "b'two'", "b'three'", "None"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param("def stream(batch):\n    return 1 / 0\n", "stream(batch) raised ZeroDivisionError", id="raises"),
        pytest.param(
            "def stream(batch):\n    return None\n", "must return a list of (query, parameters)", id="contract"
        ),
        pytest.param(
            'def stream(batch):\n    return [("RETURN $x", {"x": {1}})]\n',
            "contain a value that a query cannot take",
            id="value",
        ),
        pytest.param('def stream(batch):\n    return [("COMMIT", {})]\n', "is COMMIT: a batch is one", id="control"),
        pytest.param("def stream(:\n", "SyntaxError: invalid syntax (line 1)", id="syntax"),
        pytest.param("x = 1\n", "it defines no function stream(batch)", id="no function"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_1(script, body, reason):
    path = script(body)
    result = run(path, "-m", "x")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert path in result.stderr
    assert reason in result.stderr
    result = run(path, "-m", "x", "--json")
    assert result.exit_code == 1
    assert reason in json.loads(result.stdout)["error"]


def test_a_script_that_is_not_there():
    result = run("/nowhere/t.py", "-m", "x")
    assert (result.exit_code, result.stderr) == (
        1,
        "Couldn't get the transform script from /nowhere/t.py (No such file or directory)\n",
    )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "say what the messages are"),
        (["-m", "base64:!"], "what follows base64: is no base64"),
        (["-m", "x", "--header", "h"], "is not NAME=TEXT"),
    ],
)
def test_wrong_options(arguments, reason):
    result = run(EDGES, *arguments)
    assert result.exit_code == 2
    assert reason in " ".join(result.stderr.replace("│", " ").split())
