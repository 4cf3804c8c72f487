"""Procedures of a query module, called by a real driver."""

from __future__ import annotations

import datetime
import re
from typing import Any

import neo4j
import pytest
from neo4j.exceptions import ClientError

from sandbox.host import SandboxHost
from sluice.bolt import messages
from sluice.bolt.client import Connection
from sluice.bolt.framing import frame
from sluice.bolt.replies import Failure, Ignored
from tests.unit.sandbox.conftest import Run

CODE = "Memgraph.ClientError.MemgraphError.MemgraphError"


def refusal(run: Run, query: str, **parameters: Any) -> str:
    """The text of the error that a query ends in."""
    with pytest.raises(ClientError) as caught:
        run(query, **parameters)
    assert caught.value.code == CODE
    assert caught.value.message is not None
    return caught.value.message


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param(
            "CALL fake.repeat('a') YIELD text, number",
            [{"text": "a", "number": 0}, {"text": "a", "number": 1}],
            id="the default of what is left out",
        ),
        pytest.param("CALL fake.repeat('a', 1) YIELD *", [{"number": 0, "text": "a"}], id="all columns"),
        pytest.param("CALL `fake`.`repeat`($t, 1) YIELD text AS t", [{"t": "b"}], id="another name, and a parameter"),
        pytest.param(
            "CALL fake.repeat('a', 1 + 1) YIELD number AS n RETURN *", [{"n": 0}, {"n": 1}], id="RETURN of everything"
        ),
        pytest.param(
            "CALL fake.repeat($t, 4) YIELD text, number WITH text, number WHERE number > 1 "
            "RETURN number * 10 AS n, text + $t AS t ORDER BY n DESC LIMIT 1",
            [{"n": 30, "t": "bb"}],
            id="a statement that goes on",
        ),
        pytest.param("CALL fake.repeat('a', 0) YIELD text, number", [], id="no records"),
        pytest.param("CALL fake.quiet()", [], id="no columns"),
        pytest.param("CALL fake.quiet() YIELD *;", [], id="all of no columns"),
        pytest.param("CALL fake.give('tuple') YIELD value", [{"value": [1, 2]}], id="a tuple becomes a list"),
    ],
)
def test_a_call_gives_records(run: Run, query: str, expected: list[dict[str, Any]]) -> None:
    assert run(query, t="b") == expected


@pytest.mark.parametrize(
    "value",
    [
        None, True, -(2**63), 1.5, "text", [1, [2, None]], {"a": {"b": [1]}},
        datetime.date(2024, 2, 29),
        datetime.time(1, 2, 3, 4),
        datetime.datetime(1969, 12, 31, 23, 59, 59, 5),
        datetime.timedelta(days=1, seconds=2, microseconds=3),
    ],
    ids=repr,
)  # fmt: skip
def test_a_value_comes_back_as_it_went_in(run: Run, value: Any) -> None:
    (row,) = run("CALL fake.echo($value) YIELD value", value=value)

    got = row["value"]
    if isinstance(got, neo4j.time.Duration):
        got = datetime.timedelta(days=got.days, seconds=got.seconds, microseconds=got.nanoseconds // 1000)
    assert (got.to_native() if hasattr(got, "to_native") else got) == value


def test_columns_are_named_also_when_there_are_no_records(driver: neo4j.Driver) -> None:
    with driver.session() as session:
        assert [*session.run("CALL fake.repeat('a', 0) YIELD number, text AS t").keys()] == ["number", "t"]
        assert [*session.run("CALL fake.repeat('a', 0) YIELD number AS n RETURN n, n + 1").keys()] == ["n", "n + 1"]


def test_many_records_come_in_several_fetches(driver: neo4j.Driver) -> None:
    with driver.session(fetch_size=7) as session:
        numbers = [row["number"] for row in session.run("CALL fake.repeat('a', 50) YIELD number")]

    assert numbers == list(range(50))


def test_results_that_are_open_at_once_are_not_mixed_up(driver: neo4j.Driver) -> None:
    with driver.session(fetch_size=2) as session, session.begin_transaction() as transaction:
        ours = transaction.run("CALL fake.repeat('a', 6) YIELD number")
        next(ours)
        theirs = transaction.run("UNWIND range(0, 5) AS x RETURN x")
        next(theirs)
        assert [row[0] for row in ours] == [1, 2, 3, 4, 5]
        assert [row[0] for row in theirs] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("CALL fake.nothing()", "There is no procedure named 'fake.nothing'."),
        ("CALL nothing.at_all()", "There is no procedure named 'nothing.at_all'."),
        ("CALL fake.repeat() YIELD *", "'fake.repeat' requires between 1 and 2 arguments."),
        ("CALL fake.quiet(1)", "'fake.quiet' requires no arguments."),
        ("CALL fake.echo() YIELD *", "'fake.echo' requires exactly 1 argument."),
        (
            "CALL fake.repeat('a', 'b') YIELD *",
            "'fake.repeat' argument named 'times' at position 1 must be of type INTEGER.",
        ),
        ("CALL fake.repeat('a') YIELD color", "'fake.repeat' does not yield a field named 'color'."),
        (
            "CALL fake.repeat('a')",
            "CALL without YIELD may only be used on procedures which do not return any result fields.",
        ),
        ("CALL fake.echo($missing) YIELD *", "Expected parameter(s): missing"),
        (
            "CALL fake.give('nothing') YIELD *",
            "fake.give: TypeError: Value 'None' is not an instance of 'mgp.Record'\n",
        ),
        (
            "CALL fake.give('big integer') YIELD *",
            "fake.give: OverflowError: Python int too large to convert to C long\n",
        ),
        ("CALL fake.give('bytes') YIELD *", "fake.give: ValueError: Unsupported PyObject conversion\n"),
        (
            "CALL fake.give('map with a number for a key') YIELD *",
            "fake.give: ValueError: Dictionary keys must be strings\n",
        ),
    ],
)
def test_what_cannot_be_called_is_refused_in_one_line(run: Run, query: str, expected: str) -> None:
    assert refusal(run, query) == expected


@pytest.mark.parametrize(
    ("query", "fails_at_run"),
    [
        ("CALL fake.nothing()", True),
        ("CALL fake.echo($missing) YIELD *", True),
        ("CALL fake.repeat('a')", True),
        ("CALL fake.repeat() YIELD *", False),
        ("CALL fake.repeat(1) YIELD *", False),
        ("CALL fake.make_and_fail('X')", False),
    ],
)
def test_an_error_comes_at_the_request_that_memgraph_has_it_at(
    host: SandboxHost, query: str, fails_at_run: bool
) -> None:
    with Connection.open("127.0.0.1", host.port) as connection:
        run, pull = connection.exchange(frame(messages.run(query)) + frame(messages.pull()), 2)
        connection.reset()

    assert isinstance(run, Failure) == fails_at_run
    assert isinstance(pull, Ignored if fails_at_run else Failure)


def test_an_exception_arrives_as_a_traceback_without_the_server_in_it(run: Run) -> None:
    lines = refusal(run, "CALL fake.make_and_fail('Failed')").splitlines()

    assert lines[0] == "fake.make_and_fail: Traceback (most recent call last):"
    assert re.fullmatch(r'  File ".*/modules/fake\.py", line \d+, in make_and_fail', lines[1])
    assert lines[-1] == "fakehelper.HelperError: it broke"
    assert not any("mgp.py" in line or "sandbox/procedures" in line for line in lines)


def test_a_read_procedure_cannot_write(run: Run) -> None:
    assert refusal(run, "CALL fake.write_in_read()").splitlines()[-1].startswith("mgp.ImmutableObjectError: ")


def test_a_procedure_works_on_the_graph(run: Run) -> None:
    (row,) = run("CALL fake.walk('Walk') YIELD journal")

    assert row["journal"] == [
        ["out", [0, 1, 2]],
        ["types", ["TO"]],
        ["in", [True]],
        ["after delete_edge", 2],
        ["delete_vertex", "refused"],
        ["after detach_delete_vertex", 1],
        ["without number", []],
        ["vertices", ["Walk", "WalkSpoke"]],
        ["deleted", "IndexError"],
        ["must abort", False],
    ]
    assert run("MATCH (n:Walk)-[:TO]->(m:WalkSpoke) RETURN count(*) AS n") == [{"n": 1}]


def test_an_id_is_the_same_for_procedures_and_for_queries(run: Run) -> None:
    (made,) = run("CALL fake.make('Made', {a: 1, b: ['x', 2.5]}) YIELD id, vertex")
    (matched,) = run("MATCH (n:Made) WHERE id(n) = $id RETURN id(n) AS id, n", id=made["id"])
    (looked_up,) = run("CALL fake.look_up($id) YIELD labels, properties", id=matched["id"])

    assert made["vertex"].labels == {"Made"}
    assert dict(made["vertex"]) == dict(matched["n"]) == {"a": 1, "b": ["x", 2.5]}
    assert looked_up == {"labels": ["Made"], "properties": {"a": 1, "b": ["x", 2.5]}}


def test_a_vertex_that_is_not_there_is_not_found(run: Run) -> None:
    assert refusal(run, "CALL fake.look_up(123456789) YIELD *").splitlines()[-1].startswith("IndexError: ")


def test_a_map_cannot_be_a_property(run: Run) -> None:
    last = refusal(run, "CALL fake.make('X', {a: {b: 1}}) YIELD id").splitlines()[-1]

    assert last == "mgp.ValueConversionError: the sandbox stores no properties of type dict"


def test_the_process_shows_its_port_on_its_command_line(run: Run, host: SandboxHost) -> None:
    (row,) = run("CALL fake.state() YIELD argv")

    assert row["argv"][row["argv"].index("--bolt-port") + 1] == str(host.port)
