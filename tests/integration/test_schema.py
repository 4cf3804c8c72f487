"""Versions of the metadata nodes: an older form is migrated when the module is loaded, a newer one is left alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sluice.persistence import nodes
from tests.eventually import eventually
from tests.hosts import ServerHost
from tests.hosts.host import QUERY_MODULES
from tests.integration.test_kit import SHOW, OwnHost, Row, Stream, numbers, refusal, transforms_running
from tests.kafka import KafkaBroker

EVERYTHING = "MATCH (n) RETURN id(n) AS id, labels(n) AS labels, properties(n) AS properties ORDER BY id"
TROUBLE = "CALL streams.version() YIELD trouble"
VERSION = f"MATCH (c:{nodes.CATALOG}) RETURN DISTINCT c.schema_version AS version"
MIGRATED = f"MATCH (s:{nodes.STREAM}) RETURN s.colour AS colour"

STEP = (
    "MATCH (c:SluiceCatalog) WHERE id(c) = $catalog OPTIONAL MATCH (c)-[:STREAM]->(s:SluiceStream) "
    "SET s.colour = coalesce(s.colour, '') + 'blue'"
)
"From version 1 to a version 2 that gives each stream a colour."


def _newer(folder: Path, step: str = STEP) -> None:
    """Makes the modules in `folder` ones of schema version 2."""
    schema = folder / "sluice" / "persistence" / "schema.py"
    text = schema.read_text(encoding="utf-8")
    text = text.replace("SCHEMA_VERSION = 1", "SCHEMA_VERSION = 2").replace(
        "[str]] = {}", f"[str]] = {{1: [{step!r}]}}"
    )
    schema.write_text(text, encoding="utf-8")


def _older(folder: Path) -> None:
    """Puts the schema version of this checkout back."""
    shutil.copy(QUERY_MODULES / "sluice" / "persistence" / "schema.py", folder / "sluice" / "persistence" / "schema.py")


@pytest.fixture
def host(own_host: OwnHost) -> ServerHost:
    return own_host()


def test_an_older_form_is_migrated_and_a_newer_one_is_refused_and_left_alone(
    host: ServerHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    stream, still = (Stream(host.run, kafka, tmp_path, name) for name in ("moving", "still"))
    still.create()
    stream.create()
    stream.start()
    stream.send(numbers(0, 10))
    stream.await_count(10)

    _newer(host.query_modules)
    host.run("CALL mg.load_all()")
    eventually(lambda: host.run(VERSION), equals=[{"version": 2}], timeout=20)
    assert host.run(MIGRATED) == [{"colour": "blue"}] * 2
    assert (stream.status, still.status) == ("running", "stopped")
    stream.send(numbers(10, 20))
    stream.await_values(numbers(0, 20))

    _older(host.query_modules)
    host.run("CALL mg.load_all()")
    words = "are of schema version 2, and Sluice"
    eventually(lambda: words in (host.run(TROUBLE)[0]["trouble"] or ""), timeout=20)
    before = host.run(EVERYTHING)
    for call in (stream.create, stream.start, stream.stop, stream.drop, stream.test, lambda: host.run(SHOW)):
        said = refusal(call)
        assert said.startswith("sluice.errors.SchemaError: the streams' nodes in this graph are of schema version 2, ")
        assert "install the Sluice that wrote them" in said
    stream.send(numbers(20, 30))
    host.restart()
    eventually(lambda: words in (host.run(TROUBLE)[0]["trouble"] or ""), timeout=20)
    assert transforms_running(host) == 0
    assert host.run(EVERYTHING) == before

    _newer(host.query_modules)
    host.run("CALL mg.load_all()")
    stream.await_values(numbers(0, 30))
    assert host.run(MIGRATED) == [{"colour": "blue"}] * 2, "it is migrated once"


def test_a_migration_that_fails_changes_nothing_and_is_told(
    host: ServerHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    stream = Stream(host.run, kafka, tmp_path, "stuck")
    stream.create()
    _newer(host.query_modules, f"{STEP} WITH c RETURN 1 / (c.schema_version - 2)")
    before: list[Row] = host.run(EVERYTHING)
    host.run("CALL mg.load_all()")
    words = "the streams' nodes cannot be brought from schema version 1: "
    eventually(lambda: words in (host.run(TROUBLE)[0]["trouble"] or ""), timeout=20)
    assert "try again" in refusal(lambda: host.run(SHOW))
    assert host.run(EVERYTHING) == before


def test_a_stream_that_nothing_runs_says_why(host: ServerHost, kafka: KafkaBroker, tmp_path: Path) -> None:
    stream = Stream(host.run, kafka, tmp_path, "unseen")
    info = "CALL streams.info('unseen') YIELD status, reason"
    with host.driver().session() as session, session.begin_transaction() as transaction:
        within = stream.within(transaction)
        within.create()
        within.start()
        [said] = transaction.run(info).data()
        assert said["status"] == "running"
        # Or it is still connecting to a server that was started a moment ago.
        assert said["reason"].startswith(("starting since ", "retrying: no connection to the server "))
        waiting = "waiting: its CREATE is not committed yet, or it is in another database than "
        eventually(lambda: transaction.run(info).data()[0]["reason"].startswith(waiting), timeout=10)
        transaction.commit()
    eventually(lambda: host.run(info), equals=[{"status": "running", "reason": None}])
