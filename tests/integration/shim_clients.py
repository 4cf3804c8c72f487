"""The drivers that people use, each behind the same three words: run a query, get columns and rows, or the error."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import neo4j

from tests import clients
from tests.hosts.host import REPOSITORY
from tests.javascript import node_folder


class Table(NamedTuple):
    """A result."""

    columns: list[str]
    rows: list[list[Any]]


class Refused(Exception):
    """The server said no; the text is what the driver shows."""


class Client(Protocol):
    """Runs a query in a transaction of its own."""

    def __call__(self, query: str, parameters: Mapping[str, Any] | None = None, /) -> Table:
        """
        Raises:
            Refused: by the server.
        """


@contextmanager
def neo4j_sync(port: int, scheme: str = "bolt") -> Iterator[Client]:
    with closing(neo4j.GraphDatabase.driver(f"{scheme}://127.0.0.1:{port}", telemetry_disabled=True)) as driver:

        def run(query: str, parameters: Mapping[str, Any] | None = None, /) -> Table:
            try:
                with driver.session() as session:
                    result = session.run(query, dict(parameters or {}))
                    return Table(list(result.keys()), [list(record.values()) for record in result])
            except neo4j.exceptions.Neo4jError as error:
                raise Refused(error.message) from error

        yield run


@contextmanager
def neo4j_async(port: int) -> Iterator[Client]:
    async def once(query: str, parameters: Mapping[str, Any] | None) -> Table:
        uri = f"bolt://127.0.0.1:{port}"
        async with neo4j.AsyncGraphDatabase.driver(uri, telemetry_disabled=True) as driver, driver.session() as session:
            result = await session.run(query, dict(parameters or {}))
            return Table(list(result.keys()), [list(record.values()) async for record in result])

    def run(query: str, parameters: Mapping[str, Any] | None = None, /) -> Table:
        try:
            return asyncio.run(once(query, parameters))
        except neo4j.exceptions.Neo4jError as error:
            raise Refused(error.message) from error

    yield run


PYMGCLIENT_PROGRAM = """
import json, sys
import mgclient

connection = mgclient.connect(host="127.0.0.1", port=int(sys.argv[1]))
connection.autocommit = True
for line in sys.stdin:
    asked = json.loads(line)
    cursor = connection.cursor()
    try:
        cursor.execute(asked["query"], asked["parameters"])
        rows = cursor.fetchall()
        answer = {"columns": [column.name for column in cursor.description or []], "rows": rows}
    except (mgclient.Error, UnicodeDecodeError) as error:
        answer = {"error": str(error)}
    print(json.dumps(answer, default=str), flush=True)
"""
"A process of its own, for pymgclient keeps the GIL while it waits: nothing else in the tests would run meanwhile."


@contextmanager
def pymgclient(port: int) -> Iterator[Client]:
    with program([sys.executable, "-c", PYMGCLIENT_PROGRAM, str(port)], REPOSITORY) as run:
        yield run


def neo4j_javascript(package: str, scheme: str = "bolt") -> Callable[[int], AbstractContextManager[Client]]:
    """The driver that is called `package` in tests/javascript/package.json."""

    @contextmanager
    def client(port: int) -> Iterator[Client]:
        with program(["node", "run.js", package, f"{scheme}://127.0.0.1:{port}"], node_folder()) as run:
            yield run

    return client


@contextmanager
def program(command: list[str], folder: Path) -> Iterator[Client]:
    """A client in another language or process, which reads queries and writes answers, one JSON object a line."""
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def run(query: str, parameters: Mapping[str, Any] | None = None, /) -> Table:
            print(json.dumps({"query": query, "parameters": parameters or {}}), file=stdin, flush=True)
            answer = json.loads(stdout.readline())
            if "error" in answer:
                raise Refused(answer["error"])
            return Table(answer["columns"], answer["rows"])

        yield run
        stdin.close()
        process.wait(10)


CLIENTS: Mapping[str, Callable[[int], AbstractContextManager[Client]]] = {
    "neo4j, Python": neo4j_sync,
    "neo4j, Python, async": neo4j_async,
    "pymgclient": pymgclient,
    "neo4j, JavaScript 5": neo4j_javascript("neo4j-driver-5"),
    "neo4j, JavaScript 6": neo4j_javascript("neo4j-driver-6"),
    "neo4j, JavaScript 6, for browsers": neo4j_javascript("neo4j-driver-6/lib/browser/neo4j-web.js"),
}


def in_another_language(command: Callable[[], list[str]]) -> Callable[[int], AbstractContextManager[Client]]:
    """A program of `tests/clients`."""

    @contextmanager
    def client(port: int) -> Iterator[Client]:
        with program([*command(), f"bolt://127.0.0.1:{port}"], REPOSITORY) as run:
            yield run

    return client


IN_ORDER = ("name", "uri", "topic", "transform", "status", "query", "params", "parameters", "origin", "destination")
"Columns as the specification has them."

FAILURE = re.compile(r'"message" \}: String\(BoltString \{ value: "((?:[^"\\]|\\.)*)" \}\)')
"In what neo4rs says of one that comes as an answer to PULL: the message as Rust shows it."


@contextmanager
def neo4rs(port: int) -> Iterator[Client]:
    with in_another_language(clients.rust)(port) as ask:

        def run(query: str, parameters: Mapping[str, Any] | None = None, /) -> Table:
            """A row is a map to this driver: the columns are brought into their order here."""
            try:
                columns, rows = ask(query, parameters)
            except Refused as error:
                shown = FAILURE.search(str(error))
                raise Refused(json.loads(f'"{shown[1]}"') if shown else str(error)) from error
            order = sorted(range(len(columns)), key=lambda place: (*IN_ORDER, columns[place]).index(columns[place]))
            return Table([columns[place] for place in order], [[row[place] for place in order] for row in rows])

        yield run


BUILT: Mapping[str, Callable[[int], AbstractContextManager[Client]]] = {
    "neo4j, Go": in_another_language(clients.go),
    "neo4j, Java": in_another_language(clients.java),
    "neo4rs": neo4rs,
}
"Those that have to be built or fetched first, which takes minutes."

ROUTED: Mapping[str, Callable[[int], AbstractContextManager[Client]]] = {
    "neo4j, Python": lambda port: neo4j_sync(port, "neo4j"),
    "neo4j, JavaScript 5": neo4j_javascript("neo4j-driver-5", "neo4j"),
    "neo4j, JavaScript 6": neo4j_javascript("neo4j-driver-6", "neo4j"),
}
"Those that ask for the servers of a cluster."
