"""Fail-over: the MAIN is killed under load, a replica takes over, and the old MAIN comes back as a replica."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from threading import Timer
from typing import Any

import neo4j
import pytest

from tests.eventually import eventually
from tests.hosts import ServerHost
from tests.integration.shim_server import ShimServer
from tests.integration.test_kit import OwnHost, transforms_running
from tests.integration.test_parking import GATED, KEEP, Keeping
from tests.kafka import KafkaBroker
from tests.ports import free_port

PARTITIONS = 2

PER_PARTITION = 15_000
"Messages in each partition before the MAIN is killed."

MORE = 50
"Messages in each partition after that."

BAD_EVERY = 1500
"One message of so many is refused, and parked: fewer in all than the checkpoint remembers."

REPLICA = "this instance is a replica"

Make = Callable[[str], ServerHost]


def content(partition: int) -> list[str]:
    """All messages of a partition, in their order."""
    return [
        f"{'bad' if number % BAD_EVERY == BAD_EVERY // 10 else 'm'}-{partition}-{number}"
        for number in range(PER_PARTITION + MORE)
    ]


CONTENT = [content(partition) for partition in range(PARTITIONS)]


@pytest.fixture
def make(own_host: OwnHost, tmp_path: Path) -> Make:
    """
    Starts an instance of a cluster: all sign scripts with one key. Replicas of 2.14 put what they receive into
    files below TMPDIR, by names that are the same for all of them.
    """
    key = tmp_path / "key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)

    def instance(name: str) -> ServerHost:
        temporary = tmp_path / f"tmp-{name}"
        temporary.mkdir()
        return own_host(env={"SLUICE_SIGNING_KEY_FILE": str(key), "TMPDIR": str(temporary)})

    return instance


def follow(replica: ServerHost, main: ServerHost, name: str, mode: str) -> None:
    """Makes an empty instance a replica, and waits until it has what the MAIN has."""
    port = free_port()
    replica.run(f"SET REPLICATION ROLE TO REPLICA WITH PORT {port}")
    main.run(f"REGISTER REPLICA {name} {mode} TO '127.0.0.1:{port}'")
    eventually(lambda: state_of(main, name), equals="ready", timeout=30)


def state_of(main: ServerHost, name: str) -> str:
    """What the MAIN says of a replica; the column is another one on 3.x."""
    (row,) = [row for row in main.run("SHOW REPLICAS") if row["name"] == name]
    state: Any = row["state"] if "state" in row else row["data_info"]["memgraph"]["status"]
    return str(state)


def positions_of(stream: Keeping) -> list[int]:
    positions = stream.info["positions"]
    return [positions.get(str(partition), 0) for partition in range(PARTITIONS)]


def assert_exactly_what_is_before_the_positions(stream: Keeping) -> list[int]:
    """The vertices, the parked messages and the counters are of the messages before the positions, each once."""
    positions = positions_of(stream)
    read = [value for partition, end in enumerate(positions) for value in CONTENT[partition][:end]]
    assert stream.values == sorted(value for value in read if value.startswith("m"))
    assert sorted(row["payload"] for row in stream.parked()) == sorted(v for v in read if v.startswith("bad"))
    assert stream.counts == (stream.count, len(stream.parked()))
    return positions


@pytest.mark.faults
@pytest.mark.memgraph_only("the sandbox replicates nothing")
def test_a_promoted_replica_has_all_that_it_acknowledged_and_the_old_main_follows_it(
    make: Make, kafka: KafkaBroker, tmp_path: Path
) -> None:
    main, near, far = make("main"), make("near"), make("far")
    follow(near, main, "near", "SYNC")
    follow(far, main, "far", "ASYNC")

    topic = kafka.topics.create(partitions=PARTITIONS)
    on_main, on_near, on_far = (Keeping(host.run, kafka, tmp_path, "orders", topic=topic) for host in (main, near, far))
    on_main.configured(KEEP, GATED, size=50)
    for script in tmp_path.glob("transform_*.py"):
        script.unlink()  # what runs is what came along in the graph
    for partition in range(PARTITIONS):
        on_main.send(CONTENT[partition][:PER_PARTITION], partition)
    on_main.start()

    # Under load: the replicas have the stream as it is on the MAIN, and run nothing.
    on_main.await_at_least(2000, timeout=60)
    for stream, host in ((on_near, near), (on_far, far)):
        assert stream.status == "running"
        stream.await_reason(REPLICA)
        assert transforms_running(host) == 0
    seen = positions_of(on_main)
    main.kill()

    # What the MAIN has shown, the SYNC replica has; what each has is whole.
    acknowledged = assert_exactly_what_is_before_the_positions(on_near)
    assert sum(acknowledged) < PARTITIONS * PER_PARTITION, "it was over before the MAIN was killed"
    assert all(there >= shown for there, shown in zip(acknowledged, seen, strict=True))
    assert_exactly_what_is_before_the_positions(on_far)
    failed, definition = on_near.errors(100), on_near.run("CALL streams.info('orders') YIELD transform_source, config")
    assert failed

    # The replica goes on from there.
    near.run("SET REPLICATION ROLE TO MAIN")
    on_near.await_no_reason(timeout=60)
    eventually(lambda: positions_of(on_near), equals=[PER_PARTITION] * PARTITIONS, timeout=120)
    assert_exactly_what_is_before_the_positions(on_near)
    assert [row for row in on_near.errors(100) if row in failed] == failed
    assert on_near.run("CALL streams.info('orders') YIELD transform_source, config") == definition
    # What was parked before and after is applied, once, as soon as it can be.
    on_near.open_gate()
    assert on_near.retry() == len([value for part in CONTENT for value in part[:PER_PARTITION] if value[0] == "b"])
    on_near.await_answered()
    eventually(lambda: on_near.counts, equals=(PARTITIONS * PER_PARTITION, 0), timeout=30)

    # The others follow. Both start from nothing: the old MAIN may have what nobody else has, and 2.14 takes back
    # no replica that is behind.
    for host, name, mode in ((main, "old", "SYNC"), (far, "far", "ASYNC")):
        host.close()
        host.start()
        follow(host, near, name, mode)
    for partition in range(PARTITIONS):
        on_near.send(CONTENT[partition][PER_PARTITION:], partition)
    everything = [value for part in CONTENT for value in part]
    for stream in (on_near, on_main, on_far):
        stream.await_values(everything, timeout=60)
        assert stream.counts == (len(everything), 0)
    for stream, host in ((on_main, main), (on_far, far)):
        assert stream.status == "running"
        stream.await_reason(REPLICA)
        assert transforms_running(host) == 0


@pytest.mark.faults
@pytest.mark.memgraph_only("the sandbox replicates nothing")
@pytest.mark.parametrize("scheme", ["bolt", "neo4j"])
def test_clients_of_a_shim_that_knows_all_servers_notice_nothing(make: Make, tmp_path: Path, scheme: str) -> None:
    main, replica = make("main"), make("replica")
    follow(replica, main, "replica", "SYNC")
    shim = ShimServer(tmp_path, [replica.port, main.port])
    shim.start()

    def write(transaction: neo4j.ManagedTransaction, number: int) -> None:
        transaction.run("CREATE (:Written {number: $number})", number=number).consume()

    uri = shim.uri.replace("bolt", scheme)
    try:
        with neo4j.GraphDatabase.driver(uri, telemetry_disabled=True) as driver, driver.session() as session:
            session.execute_write(write, 0)
            assert session.run("SHOW STREAMS").data() == []
            main.kill()
            promoting = Timer(1, replica.run, ["SET REPLICATION ROLE TO MAIN"])
            promoting.start()
            session.execute_write(write, 1)
            promoting.join()
            assert session.run("SHOW STREAMS").data() == []
            query = "MATCH (n:Written) RETURN n.number AS number ORDER BY number"
            assert session.run(query).value() == [0, 1] == [row["number"] for row in replica.run(query)]
    finally:
        shim.kill()
