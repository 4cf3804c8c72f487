"""Streams on a main instance and its replica."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.configured import Configured, started
from tests.integration.test_kit import OwnHost, numbers, transforms_running
from tests.kafka import KafkaBroker
from tests.ports import free_port


@pytest.mark.faults
@pytest.mark.memgraph_only("the sandbox replicates nothing")
def test_a_promoted_replica_goes_on_where_the_main_instance_was(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    main, replica, port = own_host(), own_host(), free_port()
    replica.run(f"SET REPLICATION ROLE TO REPLICA WITH PORT {port}")
    main.run(f"REGISTER REPLICA twin SYNC TO '127.0.0.1:{port}'")
    stream = started(Configured(main.run, kafka, tmp_path, "followed"))
    there = Configured(replica.run, kafka, tmp_path, "followed", topic=stream.topic)
    there.await_values(numbers(0, 10))
    there.await_reason("this instance is a replica")
    assert transforms_running(replica) == 0
    stream.send(numbers(10, 3000))
    stream.await_at_least(100)
    main.kill()
    # A replica that has lost its main instance is one until somebody says otherwise.
    assert transforms_running(replica) == 0
    replica.run("SET REPLICATION ROLE TO MAIN")
    there.await_values(numbers(0, 3000), timeout=60)
    there.await_no_reason()
    stream.kafka.topics.produce(stream.topic, numbers(3000, 3010))
    there.await_values(numbers(0, 3010))
    assert there.info["messages"] == 3010


@pytest.mark.faults
@pytest.mark.memgraph_only("the sandbox replicates nothing")
def test_a_replica_that_does_not_confirm_costs_nothing_and_repeats_nothing(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    main, replica, port = own_host(), own_host(), free_port()
    replica.run(f"SET REPLICATION ROLE TO REPLICA WITH PORT {port}")
    main.run(f"REGISTER REPLICA twin SYNC TO '127.0.0.1:{port}'")
    stream = started(Configured(main.run, kafka, tmp_path, "unconfirmed"))
    replica.kill()
    stream.send(numbers(10, 200))
    # Each COMMIT takes effect here and is refused all the same: the checkpoint tells.
    stream.await_values(numbers(0, 200), timeout=60)
    assert (stream.status, stream.info["failed"], stream.info["messages"]) == ("running", 0, 200)
