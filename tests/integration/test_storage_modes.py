"""The storage modes of Memgraph: what a stream promises in each of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.integration.configured import Configured, started
from tests.integration.test_kit import OwnHost, numbers
from tests.kafka import KafkaBroker

pytestmark = pytest.mark.memgraph_only("the sandbox has one storage")


def test_streams_wait_as_long_as_nothing_can_be_taken_back(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    host = own_host()
    stream = started(Configured(host.run, kafka, tmp_path, "analytical"))
    stream.insist("STORAGE MODE IN_MEMORY_ANALYTICAL")
    reason = stream.await_reason("the storage mode is IN_MEMORY_ANALYTICAL")
    assert reason.endswith("STORAGE MODE IN_MEMORY_TRANSACTIONAL")
    stream.send(numbers(10, 20))
    assert (stream.status, stream.count) == ("running", 10)
    assert host.run("CALL streams.version() YIELD trouble")[0]["trouble"] in reason
    stream.insist("STORAGE MODE IN_MEMORY_TRANSACTIONAL")
    stream.await_values(numbers(0, 20))
    stream.await_no_reason()


def test_on_disk_nothing_runs_and_the_reason_is_told(own_host: OwnHost) -> None:
    host = own_host(arguments=["--storage-mode=ON_DISK_TRANSACTIONAL"])
    trouble = "CALL streams.version() YIELD trouble"
    eventually(lambda: host.run(trouble)[0]["trouble"].startswith("the storage mode is ON_DISK_TRANSACTIONAL"))
    # Why. Memgraph 3 keeps them; nobody has looked there whether all that a stream rests on holds on disk.
    host.run("CREATE (:A)-[:R]->(:B {y: 1})")
    host.run("MATCH (b:B) SET b.y = 2")
    (version,) = host.run("SHOW VERSION")
    kept = 0 if version["version"].startswith("2.") else 1
    assert host.run("MATCH (:A)-[r]->(:B) RETURN count(r) AS count") == [{"count": kept}]
