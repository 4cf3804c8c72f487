"""The clauses, through the shim, by the drivers that people use."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import neo4j
import pytest

from tests.clients.page import BROWSER, Page
from tests.eventually import eventually
from tests.hosts import Host, ScriptServer
from tests.integration.shim_clients import BUILT, CLIENTS, ROUTED, Client, Refused, Table
from tests.integration.shim_server import ShimServer
from tests.integration.test_kit import EXAMPLE, OwnHost
from tests.kafka import KafkaBroker
from tests.unit.bolt.certificate import make_certificate

VERTICES = "MATCH (n:Node) RETURN n.id AS id ORDER BY id"
EDGES = "MATCH (n:Node)-[:Edge]->(m:Node) RETURN n.id AS origin, m.id AS destination"

EXAMPLE_TEXT = Path(__file__).with_name("specification_example.txt").read_text("utf-8")
"The example's section of the specification, character by character, which has no line ends."


@pytest.fixture
def new_shim(tmp_path: Path) -> Iterator[Callable[..., ShimServer]]:
    shims: list[ShimServer] = []

    def make(upstream: int, *arguments: str) -> ShimServer:
        folder = tmp_path / f"shim-{len(shims)}"
        folder.mkdir()
        shims.append(ShimServer(folder, upstream, *arguments))
        shims[-1].start()
        return shims[-1]

    yield make
    for shim in shims:
        shim.kill()


@pytest.fixture
def shim(host: Host, new_shim: Callable[..., ShimServer]) -> ShimServer:
    return new_shim(host.port)


@pytest.fixture
def driver(shim: ShimServer) -> Iterator[neo4j.Driver]:
    with neo4j.GraphDatabase.driver(shim.uri, telemetry_disabled=True, max_transaction_retry_time=20) as driver:
        yield driver


@pytest.mark.parametrize("name", [*CLIENTS, *(pytest.param(name, marks=pytest.mark.soak) for name in BUILT)])
def test_the_specifications_example(
    name: str,
    empty_host: Host,
    new_shim: Callable[..., ShimServer],
    kafka: KafkaBroker,
    script_server: ScriptServer,
) -> None:
    shim = new_shim(empty_host.port)
    with {**CLIENTS, **BUILT}[name](shim.port) as run:
        run_example(run, kafka, script_server)


@pytest.mark.soak
@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
def test_the_specifications_example_in_a_browser(
    empty_host: Host,
    new_shim: Callable[..., ShimServer],
    kafka: KafkaBroker,
    script_server: ScriptServer,
    tmp_path: Path,
) -> None:
    with Page() as page:
        shim = new_shim(empty_host.port, f"--websocket-origin={page.origin}")
        with page.opened(shim.port, tmp_path):

            def run(query: str, parameters: Mapping[str, Any] | None = None, /) -> Table:
                answer = page.ask(query, parameters)
                if "error" in answer:
                    raise Refused(answer["error"])
                return Table(answer["columns"], answer["rows"])

            run_example(run, kafka, script_server)


@pytest.mark.parametrize("name", ROUTED)
def test_drivers_that_ask_for_the_servers_of_a_cluster_stay_with_the_shim(name: str, shim: ShimServer) -> None:
    with ROUTED[name](shim.port) as run:
        assert run("RETURN $x AS x", {"x": 1}) == Table(["x"], [[1]])
        # On Memgraph's own port this is a clause of Memgraph's own.
        with pytest.raises(Refused, match="Kafka stream nowhere, stream not found"):
            run("STOP STREAM nowhere")


def run_example(run: Client, kafka: KafkaBroker, script_server: ScriptServer) -> None:
    topic, missing = kafka.topics.create(), script_server.url("/missing.py")
    transform = script_server.serve("/transform.py", EXAMPLE)

    def here(text: str, topic: str = topic, transform: str = transform) -> str:
        """The specification's text with the addresses of this test. Its tables have the script by another name."""
        for theirs, ours in {
            "localhost:9092": kafka.bootstrap,
            "'test'": f"'{topic}'",
            " test ": f" {topic} ",
            "http://localhost/transform.py": transform,
            "http://localhost/memgraph.py": transform,
        }.items():
            text = text.replace(theirs, ours)
        return text

    def refusal(query: str) -> str:
        with pytest.raises(Refused) as caught:
            run(query)
        return f"Client received exception: {caught.value}"

    create, show, test, start, stop = re.findall("```opencypher (.*?) ```", EXAMPLE_TEXT)
    no_script, no_topic, stopped, tested, running = re.findall("```plaintext (.*?) ```", EXAMPLE_TEXT)
    assert refusal(here(create, transform=missing)) == here(no_script, transform=missing)
    assert refusal(here(create, topic="no_such_topic")) == no_topic
    assert run(here(create)).rows == []
    assert cells(run(show)) == cells_of_the_specification(here(stopped))
    kafka.topics.produce(topic, ["1", "1 2"])
    assert cells(run(test)) == cells_of_the_specification(tested)
    assert run(VERTICES).rows == []
    assert run(start).rows == []
    assert cells(run(show)) == cells_of_the_specification(here(running))
    eventually(lambda: run(VERTICES).rows, equals=[["1"]])
    kafka.topics.produce(topic, ["2", "1 2"])
    eventually(lambda: run(EDGES).rows, equals=[["1", "2"]])
    assert run(stop).rows == []
    assert cells(run(show)) == cells_of_the_specification(here(stopped))
    # What the specification tells and does not show.
    assert run("START ALL STREAMS;").rows == []
    assert cells(run(show)) == cells_of_the_specification(here(running))
    assert run("STOP ALL STREAMS;").rows == []
    assert cells(run(show)) == cells_of_the_specification(here(stopped))
    assert run("DROP STREAM mystream;").rows == []
    assert run(show).rows == []
    assert refusal("DROP STREAM mystream").endswith(": Kafka stream mystream, stream not found")
    assert "line 1, column 13" in refusal("DROP STREAM 'mystream'")
    # And the session goes on.
    assert run("RETURN $x AS x", {"x": 1}) == Table(["x"], [[1]])


def cells(table: Table) -> list[str]:
    """What a client that draws tables as the specification does puts into the cells."""
    return [*table.columns, *(drawn(value) for row in table.rows for value in row)]


def drawn(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f'{key}:"{item}"' for key, item in sorted(value.items())) + "}"  # Java has no order
    return str(value)


def cells_of_the_specification(table: str) -> list[str]:
    """The cells of a table that is drawn on one line."""
    return [cell.strip() for cell in re.sub(r"\+[-+]+\+", "", table).split("|") if cell.strip()]


def code_and_text(caught: pytest.ExceptionInfo[neo4j.exceptions.Neo4jError]) -> tuple[str | None, str | None]:
    return caught.value.code, caught.value.message


def test_a_clause_that_cannot_be_read_fails_as_a_syntax_error_does(driver: neo4j.Driver, host: Host) -> None:
    with driver.session() as session:
        with pytest.raises(neo4j.exceptions.ClientError) as theirs:
            session.run("CREATE STREM s").consume()
        with pytest.raises(neo4j.exceptions.ClientError) as ours:
            session.run("START STREAM s LIMIT x BATCHES").consume()
    assert ours.value.code == theirs.value.code
    assert str(ours.value.message).startswith("Syntax error at line 1, column 22: ")


def test_a_clause_that_cannot_be_read_fails_the_transaction(driver: neo4j.Driver, host: Host, label: str) -> None:
    with driver.session() as session:
        transaction = session.begin_transaction()
        transaction.run(f"CREATE (:{label})").consume()
        with pytest.raises(neo4j.exceptions.ClientError, match="Syntax error"):
            transaction.run("START STREAM").consume()
        with pytest.raises(neo4j.exceptions.TransactionError):
            transaction.run("RETURN 1")
        transaction.close()
        assert session.run(f"MATCH (n:{label}) RETURN count(n) AS n").single(strict=True)["n"] == 0


def test_clauses_take_part_in_the_clients_transaction(
    driver: neo4j.Driver, host: Host, kafka: KafkaBroker, script_server: ScriptServer, stream_name: str, label: str
) -> None:
    create = f"CREATE STREAM {stream_name} AS LOAD DATA KAFKA $uri WITH TOPIC $topic WITH TRANSFORM $script"
    words = {"uri": kafka.bootstrap, "topic": kafka.topics.create(), "script": script_server.serve("/t.py", EXAMPLE)}

    def names(runner: neo4j.Session | neo4j.Transaction) -> list[str]:
        return [record["name"] for record in runner.run("SHOW STREAMS") if record["name"] == stream_name]

    with driver.session() as session, driver.session() as other:
        transaction = session.begin_transaction()
        transaction.run(f"CREATE (:{label})").consume()
        transaction.run(create, words).consume()
        assert names(transaction) == [stream_name]
        assert names(other) == []
        transaction.rollback()
        assert names(session) == []
        with session.begin_transaction() as transaction:
            transaction.run(create, words).consume()
            transaction.run(f"CREATE (:{label})").consume()
            transaction.commit()
        assert names(other) == [stream_name]
        assert other.run(f"MATCH (n:{label}) RETURN count(n) AS n").single(strict=True)["n"] == 1
        with pytest.raises(neo4j.exceptions.ClientError) as caught:
            session.run(create, words).consume()
        assert caught.value.message
        assert "Traceback" not in caught.value.message
        assert stream_name in caught.value.message


def test_a_conflict_is_an_error_that_drivers_try_again_for(
    driver: neo4j.Driver,
    host: Host,
    kafka: KafkaBroker,
    script_server: ScriptServer,
    new_stream_name: Callable[[], str],
) -> None:
    """What two clients do to the same streams at once reaches no user of `execute_write` as an error."""
    create = "CREATE STREAM {name} AS LOAD DATA KAFKA $uri WITH TOPIC $topic WITH TRANSFORM $script"
    words = {"uri": kafka.bootstrap, "topic": kafka.topics.create(), "script": script_server.serve("/t.py", EXAMPLE)}
    there, first_name, second_name = new_stream_name(), new_stream_name(), new_stream_name()
    attempts = 0

    def change(transaction: neo4j.ManagedTransaction) -> None:
        nonlocal attempts
        attempts += 1
        transaction.run(create.format(name=second_name), words).consume()
        transaction.run(f"START STREAM {second_name} LIMIT 1 BATCHES").consume()
        transaction.run(f"STOP STREAM {second_name}").consume()

    with driver.session() as first, driver.session() as second, ThreadPoolExecutor(1) as other:
        first.run(create.format(name=there), words).consume()  # a catalog, if it is the first test of all
        transaction = first.begin_transaction()
        transaction.run(create.format(name=first_name), words).consume()
        with pytest.raises(neo4j.exceptions.TransientError) as caught:
            second.run(create.format(name=second_name), words).consume()
        assert caught.value.code == "Memgraph.TransientError.MemgraphError.MemgraphError"
        assert "Traceback" not in str(caught.value.message)
        changed = other.submit(second.execute_write, change)
        eventually(lambda: attempts > 1)
        transaction.commit()
        changed.result(30)
        assert {first_name, second_name} <= {record["name"] for record in first.run("SHOW STREAMS")}


def test_drivers_speak_tls_to_the_shim(host: Host, new_shim: Callable[..., ShimServer], tmp_path: Path) -> None:
    shim = new_shim(host.port, "--tls-cert", str(make_certificate(tmp_path)))
    uri = shim.uri.replace("bolt://", "bolt+ssc://")
    with neo4j.GraphDatabase.driver(uri, telemetry_disabled=True) as driver:
        columns = ["name", "uri", "topic", "transform", "status"]
        assert driver.execute_query("SHOW STREAMS").keys == columns
        assert driver.execute_query("RETURN $x AS x", x="y" * 1_000_000).records[0]["x"] == "y" * 1_000_000
    with (
        neo4j.GraphDatabase.driver(shim.uri, telemetry_disabled=True) as driver,
        pytest.raises(neo4j.exceptions.DriverError),
    ):
        driver.verify_connectivity()


def test_the_shim_says_what_it_does_and_stops_when_told(shim: ShimServer, host: Host) -> None:
    with neo4j.GraphDatabase.driver(shim.uri, telemetry_disabled=True) as driver:
        driver.verify_connectivity()
        shim.stop()
    text = shim.log_text()
    assert f"listening on 127.0.0.1:{shim.port}" in text
    assert f"to 127.0.0.1:{host.port}" in text
    assert "shim: stopped" in text
    assert "Traceback" not in text


def test_the_shim_outlives_the_database(own_host: OwnHost, new_shim: Callable[..., ShimServer]) -> None:
    host = own_host()
    shim = new_shim(host.port)
    with neo4j.GraphDatabase.driver(shim.uri, telemetry_disabled=True, max_transaction_retry_time=1) as driver:
        assert driver.execute_query("SHOW STREAMS").records == []
        host.kill()
        with pytest.raises((neo4j.exceptions.ServiceUnavailable, neo4j.exceptions.SessionExpired)):
            driver.execute_query("SHOW STREAMS")
        with pytest.raises(neo4j.exceptions.ServiceUnavailable):
            driver.verify_connectivity()
        host.start()
        assert driver.execute_query("SHOW STREAMS").records == []
    eventually(lambda: shim.descriptors < 40)
