"""What streams do with messages: order, beginnings, odd messages, and transforms and queries that fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.hosts import Host
from tests.integration.test_kit import (
    LONG,
    VALUES,
    NewStream,
    OwnHost,
    Run,
    Stream,
    numbers,
    transforms_running,
)
from tests.kafka import KafkaBroker

IN_ORDER = """
def stream(batch):
    query = "MATCH (c:LABEL_counter) SET c.n = c.n + 1 CREATE (:LABEL {value: $value, at: c.n})"
    return [(query, {"value": message.decode()}) for message in batch]
"""
"Numbers the vertices in the order in which they are made; wants a counter to be there."

ODD = """
def stream(batch):
    queries = []
    for message in batch:
        assert message is None or type(message) is bytes
        value = "tombstone" if message is None else message.hex()
        queries.append(("CREATE (:LABEL {value: $value})", {"value": value}))
    return queries
"""

BODIES = """
def stream(batch):
    return [("CREATE (:LABEL {value: $value, body: $body})", {"value": str(len(m)), "body": m.decode()}) for m in batch]
"""

# Goes on once the file is there.
BLOCKED = """
import os

def stream(batch):
    if b"000007" in batch and not os.path.exists("FLAG"):
        raise RuntimeError("no way")
    return [("CREATE (:LABEL {value: $value})", {"value": message.decode()}) for message in batch]
"""

QUERY = """
def stream(batch):
    return [("CREATE (:LABEL {value: $value})", {"value": message.decode()}) for message in batch] + [("QUERY", {})]
"""


@pytest.fixture
def new_stream(run: Run, kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]) -> NewStream:
    return lambda **where: Stream(run, kafka, tmp_path, new_stream_name(), **where)


@pytest.fixture
def stream(new_stream: NewStream) -> Stream:
    return new_stream()


@pytest.fixture
def unique(stream: Stream) -> Iterator[Stream]:
    """A stream into vertices whose values have to differ."""
    constraint = f"CONSTRAINT ON (n:{stream.label}) ASSERT n.value IS UNIQUE"
    stream.run(f"CREATE {constraint}")
    yield stream
    stream.run(f"DROP {constraint}")


def test_messages_of_a_partition_are_imported_in_their_order(new_stream: NewStream) -> None:
    stream = new_stream(partitions=3)
    stream.run(f"CREATE (:{stream.label}_counter {{n: 0}})")
    stream.create(IN_ORDER, size=7)
    stream.start()
    for start in range(0, 200, 50):
        for partition in range(3):
            stream.send([f"{partition} {value}" for value in numbers(start, start + 50)], partition=partition)
    stream.await_count(600)
    rows = stream.run(f"MATCH (n:{stream.label}) RETURN n.value AS value, n.at AS at ORDER BY at")
    assert [row["at"] for row in rows] == list(range(1, 601))
    for partition in range(3):
        values = [row["value"].split()[1] for row in rows if row["value"].startswith(f"{partition} ")]
        assert values == numbers(0, 200)


def test_a_new_stream_begins_with_the_earliest_message(stream: Stream) -> None:
    stream.send(numbers(0, 5))
    stream.create()
    stream.send(numbers(5, 10))
    stream.start()
    stream.await_values(numbers(0, 10))


def test_several_streams_of_one_topic_each_import_everything(new_stream: NewStream) -> None:
    first = new_stream(partitions=2)
    streams = [first, new_stream(topic=first.topic), new_stream(topic=first.topic)]
    first.send(numbers(0, 20))
    for stream in streams:
        stream.create()
        stream.start()
    first.send(numbers(20, 40))
    for stream in streams:
        stream.await_values(numbers(0, 40))


def test_tombstones_empty_and_binary_messages_reach_the_transform_as_they_are(stream: Stream) -> None:
    stream.create(ODD)
    stream.start()
    stream.send([b"\xff\x00\n", None, b"", "\u017d", b"\x00" * 3])
    stream.await_values(["", "000000", "c5bd", "ff000a", "tombstone"])
    assert stream.status == "running"


def test_large_messages_and_large_batches_arrive_whole(stream: Stream) -> None:
    bodies = ["x" * 900_000, "\u017d" * 200_000, "y" * 65_535, "z" * 65_536]
    stream.create(BODIES, interval=LONG, size=len(bodies))
    stream.start()
    stream.send(bodies)
    stream.await_values([str(len(body.encode())) for body in bodies])
    rows = stream.run(f"MATCH (n:{stream.label}) RETURN n.body AS body")
    assert sorted(row["body"] for row in rows) == sorted(bodies)


def test_a_transform_that_makes_no_query_lets_the_stream_go_on(stream: Stream) -> None:
    stream.send(numbers(0, 20))
    stream.create("def stream(batch):\n    return []\n")
    stream.start(limit=2)
    stream.await_status("stopped")
    stream.send(["last"])
    assert stream.error is None
    stream.drop()
    stream.create()
    stream.start()
    stream.await_values([*numbers(0, 20), "last"])


def test_a_transform_that_raises_ends_the_stream_in_error_and_a_start_goes_on_at_that_message(
    stream: Stream, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    uri = stream.script(BLOCKED.replace("FLAG", str(flag)))
    stream.send(numbers(0, 12))
    stream.create(transform_uri=uri, size=5)
    for _ in range(2):
        stream.start()
        stream.await_status("error")
        assert stream.values == numbers(0, 7)
        reason = f"transform {uri}: stream(batch) raised RuntimeError: no way (line 6)"
        assert str(stream.error).startswith(f"{_place(stream, offset=7)}: {reason}")
    flag.touch()
    stream.start()
    stream.await_values(numbers(0, 12))
    assert stream.status == "running"


def test_a_stream_in_error_can_be_stopped_tested_and_dropped(stream: Stream) -> None:
    stream.send(["1"])
    stream.create("def stream(batch):\n    return 5\n")
    stream.start()
    stream.await_status("error")
    with pytest.raises(Exception, match="must return a list"):
        stream.test()
    stream.stop()
    assert stream.status in {"error", "stopped"}
    stream.drop()
    assert stream.status is None


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("CREATE (:LABEL {value: $missing})", id="a missing parameter"),
        pytest.param("CREAT (:LABEL)", id="a syntax error"),
        pytest.param("CALL no.such_procedure()", id="an unknown procedure"),
        pytest.param("COMMIT", id="commit"),
        pytest.param(" /* */ ; rollback;", id="rollback"),
        pytest.param("// a\\nBEGIN", id="begin"),
    ],
)
def test_a_query_that_is_refused_ends_the_stream_in_error_with_nothing_of_its_message(
    stream: Stream, query: str
) -> None:
    stream.send(numbers(0, 3))
    stream.create(QUERY.replace("QUERY", query))
    stream.start()
    stream.await_status("error")
    assert stream.count == 0
    assert str(stream.error).startswith(f"{_place(stream, offset=0)}: ")


def test_a_batch_that_is_refused_at_its_commit_ends_the_stream_in_error(unique: Stream) -> None:
    unique.run(f"CREATE (:{unique.label} {{value: '000007'}})")
    unique.send(numbers(0, 12))
    unique.create(size=5)
    unique.start()
    unique.await_status("error")
    assert str(unique.error).startswith(f"{_place(unique, offset=7)}: ")
    assert unique.values == [*numbers(0, 7), "000007"]
    unique.run(f"MATCH (n:{unique.label} {{value: '000007'}}) DELETE n")
    unique.start()
    unique.await_values(numbers(0, 12))


def test_one_stream_in_error_does_not_trouble_another(new_stream: NewStream) -> None:
    good, bad = new_stream(), new_stream()
    for stream in (good, bad):
        stream.send(numbers(0, 10))
    good.create()
    bad.create("def stream(batch):\n    return 5\n")
    good.start()
    bad.start()
    bad.await_status("error")
    good.send(numbers(10, 20))
    good.await_values(numbers(0, 20))
    assert good.status == "running"


def test_a_transform_that_loops_exits_leaks_or_is_killed_ends_its_stream_and_nothing_else(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    host = own_host(env={"SLUICE_TRANSFORM_TIMEOUT": "1", "SLUICE_TRANSFORM_MEMORY_MB": "256"})
    good = Stream(host.run, kafka, tmp_path, "good")
    good.create(VALUES)
    good.start()
    ends = {
        "loops": ("while True: pass", "stream(batch) did not end within 1 s"),
        "exits": ("import os; os._exit(3)", "its process ended (exit status 3)"),
        "leaks": ("a = [bytes(1 << 20) for _ in range(4096)]", "stream(batch) raised MemoryError (line 2)"),
        "killed": ("import os; os.kill(os.getpid(), 9)", "its process was ended by signal 9"),
    }
    streams = [Stream(host.run, kafka, tmp_path, name, topic=good.topic) for name in ends]
    good.send(["000000"])
    uris = {stream.name: stream.script(f"def stream(batch):\n    {ends[stream.name][0]}\n") for stream in streams}
    for stream in streams:
        stream.create(transform_uri=uris[stream.name])
        stream.start()
    for stream in streams:
        stream.await_status("error")
        reason = f"transform {uris[stream.name]}: {ends[stream.name][1]}"
        assert str(stream.error).startswith(f"{_place(stream, offset=0)}: {reason}")
        with pytest.raises(Exception, match="sluice.errors.TransformError"):
            stream.test()
    good.send(numbers(1, 10))
    good.await_values(numbers(0, 10))
    assert good.status == "running"
    eventually(lambda: transforms_running(host), equals=1)


FORGES = """
import __main__
from sluice.bolt import messages
from sluice.bolt.framing import frame
from sluice.scripting import packing
from sluice.scripting.frames import DISCARD_ALL

honest = packing.pack_queries

def forged(packed, queries, given):
    queries = list(queries)
    count = honest(packed, queries, given)
    if any("000003" in str(parameters) for _, parameters in queries):
        {body}
    return count

__main__.pack_queries = packing.pack_queries = forged
"""


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param("packed += frame(messages.commit())", "6 bytes follow the last query", id="COMMIT after"),
        pytest.param(
            "packed[-len(DISCARD_ALL):] = frame(messages.commit())", "not followed by its DISCARD", id="COMMIT within"
        ),
        pytest.param(
            "packed[:] = frame(messages.run('RETURN 1') + b'\\xb0\\x12') + DISCARD_ALL; count = 1",
            "does not end with an empty map",
            id="COMMIT in a message's tail",
        ),
    ],
)
def test_a_script_that_writes_to_the_server_past_its_queries_loses_nothing(
    empty_host: Host, kafka: KafkaBroker, tmp_path: Path, body: str, reason: str
) -> None:
    stream = Stream(empty_host.run, kafka, tmp_path, "forges")
    stream.create(FORGES.format(body=body) + VALUES)
    stream.send(numbers(0, 6))
    stream.start()
    stream.await_status("error")
    assert f"{_place(stream, offset=3)}: " in str(stream.error)
    assert "its process returned data that must not be sent: " in str(stream.error)
    assert reason in str(stream.error)
    assert stream.values == numbers(0, 3)
    (told,) = empty_host.run("CALL streams.info($name) YIELD positions RETURN positions", name=stream.name)
    assert told["positions"] == {"0": 3}


def test_what_a_transform_writes_is_not_the_servers_log_and_is_told_when_it_dies(
    empty_host: Host, kafka: KafkaBroker, tmp_path: Path
) -> None:
    stream = Stream(empty_host.run, kafka, tmp_path, "talks")
    talks = "import os, sys\ndef stream(batch):\n    sys.stderr.write('secret ' * 200_000)\n"
    stream.create(f"{talks}    print('and then', flush=True)\n    os._exit(3)\n")
    stream.send(["0"])
    stream.start()
    stream.await_status("error")
    assert "its process ended (exit status 3); it wrote: ..." in str(stream.error)
    assert "secret and then" in str(stream.error)
    assert empty_host.log_text().count("secret") < 1000


def _place(stream: Stream, offset: int) -> str:
    return f"Kafka stream {stream.name}, topic {stream.topic}, partition 0, offset {offset}"
