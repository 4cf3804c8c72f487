"""
The main job in one command: the specification's example, clause by clause, then a bigger load.

`python -m sandbox.demo` starts the sandbox, the shim before it, librdkafka's own broker and a small HTTP server for the
transform script, all on the loopback address and with nothing left behind.
"""

from __future__ import annotations

import functools
import http.server
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import neo4j
from confluent_kafka import Producer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from sandbox.host import SandboxHost, free_port
from sandbox.mock_broker import MockBroker
from sluice_tools.terminal import show_table

ROOT = Path(__file__).resolve().parent.parent
QUERY_MODULES = ROOT / "query_modules"
TRANSFORMS = ROOT / "transforms"

VERTICES = 10_000
EDGES = 10_000
LOAD_BATCH = 500
LOAD_TIMEOUT = 300.0


class Client:
    """A console's worth of client: prints a statement and its table, as the specification does."""

    def __init__(self, driver: neo4j.Driver, console: Console) -> None:
        self._driver = driver
        self._console = console

    def run(self, statement: str, **parameters: Any) -> list[dict[str, Any]]:
        """Runs a clause or any Cypher without printing anything."""
        return self._result(statement, parameters)[1]

    def say(self, statement: str) -> None:
        """Runs a statement and prints it with its result, if it has one."""
        self._console.print(Text(f"\n{statement};", style="bold cyan"))
        columns, rows = self._result(statement, {})
        if columns:
            show_table(self._console, columns, [list(row.values()) for row in rows])

    def _result(self, statement: str, parameters: dict[str, Any]) -> tuple[list[str], list[dict[str, Any]]]:
        with self._driver.session() as session:
            result = session.run(neo4j.Query(statement), parameters)
            return list(result.keys()), [record.data() for record in result]

    def count(self, pattern: str) -> int:
        """How often a pattern is in the graph."""
        return int(self.run(f"MATCH {pattern} RETURN count(*) AS n")[0]["n"])


def await_count(client: Client, pattern: str, expected: int, timeout: float = 30.0) -> None:
    """Returns once the graph holds `expected` of `pattern`; raises TimeoutError otherwise."""
    deadline = time.monotonic() + timeout
    while (found := client.count(pattern)) != expected:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{found} of {expected} {pattern} after {timeout:g} s")
        time.sleep(0.05)


@contextmanager
def serve(directory: Path) -> Iterator[str]:
    """A web server for the files of a folder, on the loopback address; gives its URL."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def shim(upstream_port: int) -> Iterator[str]:
    """The shim in front of a server, as people start it; gives its Bolt URI."""
    port = free_port()
    command = [sys.executable, "-m", "sluice_tools.cli", "shim", "--listen", f"127.0.0.1:{port}"]
    command += ["--upstream", f"127.0.0.1:{upstream_port}", "--log-level", "warning"]
    with subprocess.Popen(command) as process:
        try:
            while process.poll() is None and not listening(port):
                time.sleep(0.05)
            yield f"bolt://127.0.0.1:{port}"
        finally:
            process.terminate()


def listening(port: int) -> bool:
    """Whether somebody accepts connections at a port of the loopback address."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def example(client: Client, broker: MockBroker, scripts: str, console: Console) -> None:
    """The specification's example, in its order."""
    console.rule("The specification's example")
    broker.create_topic("test", 1)
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for message in ("1", "1 2"):
        producer.produce("test", message.encode())
    producer.flush()
    client.run('CREATE (:Node {id: "2"})')
    console.print('The topic "test" holds two messages, "1" and "1 2"; the graph holds one vertex, "2".')
    client.say(
        f"CREATE STREAM mystream AS LOAD DATA KAFKA '{broker.bootstrap}' WITH TOPIC 'test' "
        f"WITH TRANSFORM '{scripts}/edges.py'"
    )
    client.say("SHOW STREAMS")
    client.say("TEST STREAM mystream")
    client.say("START STREAM mystream")
    client.say("SHOW STREAMS")
    await_count(client, "(:Node)-[:Edge]->(:Node)", 1)
    client.say("MATCH (n:Node)-[e:Edge]->(m:Node) RETURN n.id AS from_id, type(e) AS type, m.id AS to_id")
    client.say("STOP STREAM mystream")
    client.say("SHOW STREAMS")
    client.say("DROP STREAM mystream")
    client.say("SHOW STREAMS")


def load(client: Client, broker: MockBroker, scripts: str, console: Console) -> None:
    """A few ten thousand messages, with a bar that shows what the graph holds."""
    console.rule(f"{VERTICES + EDGES:,} messages")
    broker.create_topic("load", 4)
    client.run("MATCH (n:Node) DETACH DELETE n")
    client.run("CREATE INDEX ON :Node(id)")
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    messages = [f"{i}" for i in range(VERTICES)] + [f"{i} {(i * 7 + 1) % VERTICES}" for i in range(EDGES)]
    for message in messages:
        producer.produce("load", message.encode(), partition=0)
        producer.poll(0)
    producer.flush()
    client.say(
        f"CREATE STREAM load AS LOAD DATA KAFKA '{broker.bootstrap}' WITH TOPIC 'load' "
        f"WITH TRANSFORM '{scripts}/edges.py' BATCH_SIZE {LOAD_BATCH}"
    )
    client.say("START STREAM load")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    deadline = time.monotonic() + LOAD_TIMEOUT
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("vertices and edges", total=len(messages))
        while (done := client.count("(:Node)") + client.count("(:Node)-[:Edge]->()")) < len(messages):
            progress.update(bar, completed=done)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{done} of {len(messages)} messages after {LOAD_TIMEOUT:g} s")
            time.sleep(0.1)
        progress.update(bar, completed=done)
    client.say("MATCH (n:Node) RETURN count(n) AS vertices")
    client.say("MATCH (:Node)-[e:Edge]->(:Node) RETURN count(e) AS edges")
    client.say("DROP STREAM load")


def main() -> None:
    """Runs the demo."""
    console = Console(width=140)
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice-demo-")))
        with console.status("Starting the sandbox, the shim and a broker ..."):
            broker = stack.enter_context(MockBroker())
            scripts = stack.enter_context(serve(TRANSFORMS))
            host = SandboxHost(data, QUERY_MODULES)
            host.start()
            stack.callback(host.stop)
            uri = stack.enter_context(shim(host.port))
        driver = stack.enter_context(neo4j.GraphDatabase.driver(uri, notifications_min_severity="OFF"))
        client = Client(driver, console)
        example(client, broker, scripts, console)
        load(client, broker, scripts, console)
        console.rule("Done")


if __name__ == "__main__":
    main()
