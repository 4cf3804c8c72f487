"""Steering a stream by the clauses, through the shim."""

from __future__ import annotations

import neo4j

from tests.eventually import eventually
from tests.integration.by_clauses import Clauses
from tests.integration.test_kit import VALUES, numbers

SEEK_COLUMNS = ["partition", "from", "to", "messages", "effect", "topic"]


CREATE = "STREAM «NAME» AS LOAD DATA KAFKA '«BROKER»' WITH TOPIC '«TOPIC»' WITH TRANSFORM $script"


def test_a_stream_is_made_with_a_config_kept_replaced_and_dropped(stream: Clauses) -> None:
    script = stream.script(VALUES)
    config = "WITH CONFIG {on_error: 'skip', `fetch.min.bytes`: 1, 'check.crcs': true, start: $start}"
    assert stream.clause(f"CREATE {CREATE} {config} BATCH_SIZE 7", script=script, start="latest") == ([], [])
    wanted = {"on_error": "skip", "fetch.min.bytes": "1", "check.crcs": "true", "start": "latest"}
    assert stream.info["config"] == wanted
    assert stream.refused(f"CREATE {CREATE}", script=script) == (
        f"Kafka stream {stream.name}, a stream of that name exists already"
    )
    stream.clause(f"CREATE {CREATE.replace('STREAM', 'STREAM IF NOT EXISTS', 1)}", script="/nowhere.py")
    assert stream.info["config"] == wanted
    stream.clause(f"CREATE OR REPLACE {CREATE} WITH CONFIG $config", script=script, config={"on_gap": "skip"})
    assert stream.info["config"] == {"on_gap": "skip"}
    # What SHOW CREATE says makes the same stream again.
    columns, (row,) = stream.clause("SHOW CREATE STREAM «NAME»")
    assert columns == ["statement"]
    stream.clause("DROP STREAM «NAME»")
    assert stream.clause(row["statement"]) == ([], [])
    assert stream.clause("SHOW CREATE STREAM «NAME»") == (columns, [row])
    assert stream.info["config"] == {"on_gap": "skip"}
    stream.clause("DROP STREAM IF EXISTS «NAME»")
    stream.clause("DROP STREAM IF EXISTS «NAME»")
    assert stream.refused("DROP STREAM «NAME»") == f"Kafka stream {stream.name}, stream not found"


def test_a_stream_is_altered_sent_back_and_goes_on_with_a_new_script(stream: Clauses) -> None:
    stream.send(numbers(0, 20))
    stream.create(VALUES)
    stream.start()
    stream.await_count(20)
    assert stream.refused("ALTER STREAM «NAME» SET BATCH_SIZE 5") == (
        f"Kafka stream {stream.name} is running, and has to be stopped before it can be altered:"
        f" STOP STREAM {stream.name}"
    )
    stream.clause("STOP STREAM «NAME»")
    assert stream.clause("ALTER STREAM «NAME» SET BATCH_SIZE 5, CONFIG {on_error: $policy}", policy="skip") == ([], [])
    assert stream.info["config"] == {"on_error": "skip"}
    would = {"topic": stream.topic, "partition": 0, "from": 20, "to": 8, "messages": 12, "effect": "read again"}
    assert stream.clause("SEEK STREAM «NAME» TO RELATIVE -12 DRY RUN") == (SEEK_COLUMNS, [would])
    assert stream.clause("SEEK STREAM «NAME» TO {0: $offset} DRY RUN", offset=8) == (SEEK_COLUMNS, [would])
    assert stream.clause("SEEK STREAM «NAME» TO $to", to={"relative": -12}) == (SEEK_COLUMNS, [would])
    for target in ("EARLIEST", "TIMESTAMP '2024-01-01'", "TIMESTAMP 1704067200000", "{0: 0}"):
        assert stream.clause(f"SEEK STREAM «NAME» TO {target} DRY RUN")[1][0]["to"] == 0
    assert stream.clause("SEEK STREAM «NAME» TO LATEST DRY RUN")[1][0]["effect"] == "skipped"
    stream.start()
    stream.await_count(32)
    columns, rows = stream.clause("RELOAD TRANSFORM OF STREAM «NAME»")
    assert columns == ["old_sha256", "new_sha256", "tried"]
    assert rows[0]["old_sha256"] == rows[0]["new_sha256"] == stream.info["transform_sha256"]


def test_the_clauses_take_part_in_a_transaction(stream: Clauses) -> None:
    stream.send(numbers(0, 10))
    stream.create(VALUES)
    stream.start()
    stream.await_count(10)
    stream.stop()
    # The last batch's worker may still be on its way out: then the seek conflicts, and is tried again.
    with stream.driver.session() as session:

        def both(transaction: neo4j.Transaction | neo4j.ManagedTransaction) -> None:
            transaction.run(f"SEEK STREAM {stream.name} TO EARLIEST").consume()
            transaction.run(f"ALTER STREAM {stream.name} SET CONFIG {{on_gap: 'skip'}}").consume()

        with session.begin_transaction() as transaction:
            both(transaction)
            transaction.rollback()
        assert (stream.info["positions"], stream.info["config"]) == ({"0": 10}, {})
        session.execute_write(both)
    assert (stream.info["positions"], stream.info["config"]) == ({}, {"on_gap": "skip"})
    stream.start()
    eventually(lambda: stream.count, equals=20)
