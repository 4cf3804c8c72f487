"""Streams and their positions outlast the host, however it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.eventually import eventually, within
from tests.hosts import ScriptServer
from tests.integration.test_kit import LONG, SHOW, VALUES, OwnHost, Stream, numbers
from tests.kafka import KafkaBroker

StartBroker = Callable[[], KafkaBroker]

PARTITIONS = 4
PER_PARTITION = 25_000

REPORT_INTERVAL = 2.5  # seconds within which a stream tells the broker how far it is

IN_ORDER = """
def stream(batch):
    query = "MATCH (c:Counter) SET c.n = c.n + 1 CREATE (:LABEL {partition: $partition, sequence: $sequence, at: c.n})"
    queries = []
    for message in batch:
        partition, sequence = message.split()
        queries.append((query, {"partition": int(partition), "sequence": int(sequence)}))
    return queries
"""


MANY = 10_000
"Messages of which some are not in the graph yet when somebody looks for the first time."


@pytest.mark.faults
def test_after_a_kill_what_ran_goes_on_from_where_it_was_and_what_was_stopped_stays_stopped(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    host = own_host()
    running, stopped, limited, dropped = streams = [
        Stream(host.run, kafka, tmp_path, name) for name in ("running", "stopped", "limited", "dropped")
    ]
    for stream in streams:
        stream.create(size=5)
    stopped.send(numbers(0, 10))
    stopped.start(limit=1)
    limited.send(numbers(0, 10))
    limited.start(limit=3)
    limited.await_count(10)
    dropped.start()
    dropped.drop()
    stopped.await_status("stopped")
    running.send(numbers(0, MANY))
    running.start()
    listed = host.run(SHOW)
    assert running.await_at_least(1) < MANY

    host.kill()
    running.send(numbers(MANY, MANY + 10))
    dropped.send(["1"])
    host.start()

    assert host.run(SHOW) == listed
    assert [row["status"] for row in listed] == ["running", "running", "stopped"]
    running.await_values(numbers(0, MANY + 10))
    limited.send(numbers(10, 20))
    limited.await_status("stopped")
    assert limited.values == numbers(0, 15)
    assert (stopped.values, dropped.values) == (numbers(0, 5), [])
    stopped.start()
    stopped.await_values(numbers(0, 10))


@pytest.mark.faults
def test_a_stream_outlasts_its_broker_and_its_script_and_recovers_without_them(
    own_host: OwnHost, own_kafka: StartBroker, tmp_path: Path, script_server: ScriptServer
) -> None:
    host, kafka = own_host(), own_kafka()
    stream = Stream(host.run, kafka, tmp_path, "patient")
    uri = script_server.serve("/transform.py", VALUES.replace("LABEL", stream.label))
    stream.create(transform_uri=uri)
    stream.start()
    stream.send(numbers(0, 10))
    stream.await_values(numbers(0, 10))
    script_server.turn_off()
    # Whatever the stream has to say to the broker now is under way when the connection goes.
    kafka.pause()
    time.sleep(REPORT_INTERVAL)
    kafka.kill()
    assert stream.status == "running"
    kafka.start()
    stream.send(numbers(10, 20))
    eventually(lambda: not host.running or stream.count == 20, timeout=20)
    assert host.running
    assert stream.values == numbers(0, 20)

    kafka.kill()
    host.kill()
    host.start()
    assert (stream.status, stream.values) == ("running", numbers(0, 20))
    kafka.start()
    stream.send(numbers(20, 30))
    stream.await_values(numbers(0, 30))
    assert stream.status == "running"
    assert script_server.count("/transform.py") == 1


def test_a_clean_stop_with_running_streams_is_quick_and_the_next_start_goes_on(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    host = own_host()
    busy, waiting, idle = (Stream(host.run, kafka, tmp_path, name) for name in ("busy", "waiting", "idle"))
    busy.create(size=5)
    waiting.create(interval=LONG, size=100)
    idle.create()
    waiting.send(numbers(0, 60))
    busy.send(numbers(0, 3000))
    for stream in (waiting, idle, busy):
        stream.start()
    busy.await_at_least(1)

    began = time.monotonic()
    host.stop()
    assert within(2 if host.is_memgraph else 5, began)
    host.start()

    assert [row["status"] for row in host.run(SHOW)] == ["running"] * 3
    waiting.send(numbers(60, 100))
    busy.await_values(numbers(0, 3000))
    waiting.await_values(numbers(0, 100))


@pytest.mark.soak  # test_faults.py has kills, restarts and order, with fewer messages
@pytest.mark.faults
def test_100_000_messages_are_100_000_vertices_in_order_though_the_host_is_restarted_twice(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    host, total = own_host(), PARTITIONS * PER_PARTITION
    stream = Stream(host.run, kafka, tmp_path, "large", partitions=PARTITIONS)
    host.run("CREATE INDEX ON :Counter")
    host.run("CREATE (:Counter {n: 0})")
    for partition in range(PARTITIONS):
        stream.send((f"{partition} {sequence}" for sequence in range(PER_PARTITION)), partition=partition)
    stream.create(IN_ORDER, size=1000)
    stream.start()
    for end, share in ((host.kill, 0.2), (host.stop, 0.6)):
        reached = stream.await_at_least(int(share * total), timeout=90)
        end()
        assert reached < total
        host.start()
        assert stream.status == "running"
    stream.await_at_least(total, timeout=120)

    rows = host.run(f"MATCH (n:{stream.label}) RETURN n.partition AS partition, n.sequence AS sequence, n.at AS at")
    rows.sort(key=lambda row: row["at"])
    assert [row["at"] for row in rows] == list(range(1, total + 1))
    for partition in range(PARTITIONS):
        sequence = [row["sequence"] for row in rows if row["partition"] == partition]
        assert sequence == list(range(PER_PARTITION))
