"""A graph that was filled from another server's: its streams run where they were started."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.configured import Configured, started
from tests.integration.test_kit import OwnHost, numbers
from tests.kafka import KafkaBroker

WAITS = "waiting: it was started on another server"


@pytest.mark.memgraph_only("the sandbox has no DUMP DATABASE")
def test_a_dump_of_a_running_stream_waits_for_a_start_and_goes_on_from_where_it_was(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    source, copy = own_host(), own_host()
    stream = started(Configured(source.run, kafka, tmp_path, "dumped"))
    for row in source.run("DUMP DATABASE"):
        copy.run(row["QUERY"])
    there = Configured(copy.run, kafka, tmp_path, "dumped", topic=stream.topic)
    there.await_reason(WAITS)
    assert there.status == "stopped"
    stream.send(numbers(10, 30))
    stream.await_values(numbers(0, 30))
    assert there.count == 10
    copy.restart()
    there.await_reason(WAITS)
    assert there.count == 10
    there.start()
    there.await_values(numbers(0, 30))
    there.await_no_reason()
    copy.restart()
    there.await_no_reason()
    assert (there.status, there.info["messages"]) == ("running", 30)


@pytest.mark.memgraph_only("the sandbox has no DUMP DATABASE")
def test_a_copied_stream_can_be_stopped_and_dropped(own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path) -> None:
    source, copy = own_host(), own_host()
    stream = started(Configured(source.run, kafka, tmp_path, "dropped"))
    for row in source.run("DUMP DATABASE"):
        copy.run(row["QUERY"])
    there = Configured(copy.run, kafka, tmp_path, "dropped", topic=stream.topic)
    there.await_reason(WAITS)
    there.stop()
    assert (there.status, there.info["reason"]) == ("stopped", None)
    copy.run("CALL streams.drop($name)", name=there.name)
    assert copy.run("CALL streams.show() YIELD name") == []
    assert stream.status == "running"
