"""What an operator sees of a stream: all of it by one CALL, right under load, and right about its broker at once."""

from __future__ import annotations

import contextlib
import hashlib
import re
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import neo4j
import pytest

from sluice.clauses import translate
from sluice.engine.history import STAGES
from tests.eventually import eventually
from tests.hosts import Host, ServerHost
from tests.integration.configured import POISON, Configured
from tests.integration.shim_server import ShimServer
from tests.integration.test_kit import OwnHost, Row, Run, numbers, refusal
from tests.kafka import KafkaBroker
from tests.ports import free_port

INFO = (
    "name, status, reason, since, retrying, uri, topic, transform, transform_sha256, transform_source, batch_interval, "
    "batch_size, config, generation, positions, watermarks, lag, total_lag, batches, messages, failed, rates, "
    "times_ms, retries, last_batch, last_error"
)
PROGRESS = "name, topic, status, reason, retrying, total_lag, messages, failed, rates, retries, last_error"
BATCHES = "time, begin, end, batches, messages, failed, queries, sent, ms, retries, transform_sha256"

AT_ONCE = 5.0
"""
Seconds in which the status has to be right. It takes one; the rest is for a machine that does other things too: the
soak test takes the second at its word.
"""

SLOW = """
import os
import time


def stream(batch):
    if not os.path.exists("GO"):
        time.sleep(0.7)
    return [("CREATE (:LABEL {value: $value})", {"value": message.decode()}) for message in batch]
"""


class Operated(Configured):
    """A stream with everything that is told of it."""

    @property
    def info(self) -> Row:
        (row,) = self.run(f"CALL streams.info($name) YIELD {INFO} RETURN {INFO}", name=self.name)
        return row

    def batches(self, limit: int = 100_000) -> list[Row]:
        return self.run(
            f"CALL streams.batches($name, $limit) YIELD {BATCHES} RETURN {BATCHES}", name=self.name, limit=limit
        )


NewOperated = Callable[..., Operated]


@pytest.fixture
def new_stream(run: Run, kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]) -> NewOperated:
    return lambda broker=kafka, **where: Operated(run, broker, tmp_path, new_stream_name(), **where)


@pytest.fixture
def stream(new_stream: NewOperated) -> Operated:
    return new_stream()


def test_a_new_stream_is_told_as_it_was_asked_for(stream: Operated) -> None:
    stream.configured({"on_error": "skip", "sasl.password": "env:PATH"}, size=7)
    info = stream.info
    assert info["since"].startswith("2")
    asked = ("uri", "topic", "batch_interval", "batch_size", "config", "status", "reason", "retrying", "generation")
    assert [info[name] for name in asked] == [
        stream.kafka.bootstrap, stream.topic, 100, 7, {"on_error": "skip", "sasl.password": "env:PATH"},
        "stopped", None, None, 0,
    ]  # fmt: skip
    source = POISON.replace("LABEL", stream.label)
    assert info["transform_source"] == source
    assert info["transform_sha256"] == hashlib.sha256(source.encode()).hexdigest()
    unknown = ("watermarks", "lag", "total_lag", "last_batch", "last_error")
    assert [info[name] for name in unknown] == [None] * len(unknown)
    assert info["rates"] == {"messages_per_s": 0.0, "batches_per_s": 0.0}
    assert stream.batches() == []


def test_all_streams_are_told_at_once(stream: Operated, new_stream: NewOperated) -> None:
    streams = [stream, new_stream()]
    for one in streams:
        one.configured(None)
    told = stream.run("CALL streams.info() YIELD name, status RETURN name, status")
    assert [row["name"] for row in told] == sorted(row["name"] for row in told)
    assert {one.name for one in streams} <= {row["name"] for row in told}


def test_progress_is_what_info_says(new_stream: NewOperated) -> None:
    stream = new_stream(partitions=2)
    streams = {one.name: one for one in (stream, new_stream(), new_stream())}
    fresh, failed = list(streams.values())[1:]
    for one, config in zip(streams.values(), ({"on_error": "skip", "lanes": 2}, None, None), strict=True):
        one.configured(config)
    for one in (stream, failed):
        one.send([*numbers(0, 20), "raise"])
        one.start()
    eventually(lambda: stream.info["failed"], equals=1)
    failed.await_status("error")
    query = f"CALL streams.progress() YIELD {PROGRESS}, queries, sent RETURN {PROGRESS}, queries, sent"

    def agree() -> bool:
        told = {row["name"]: row for row in stream.run(query) if row["name"] in streams}
        assert list(told) == sorted(streams)
        for name, row in told.items():
            info = streams[name].info
            (folded,) = stream.run("CALL streams.info($name) YIELD folding AS f RETURN f.queries, f.sent", name=name)
            expected = {column: info[column] for column in PROGRESS.split(", ")}
            expected |= {"queries": folded["f.queries"], "sent": folded["f.sent"]}
            # Rates change by themselves.
            if {**row, "rates": set(row["rates"])} != {**expected, "rates": set(expected["rates"])}:
                return False
        return [told[one.name]["status"] for one in streams.values()] == ["running", "stopped", "error"]

    eventually(agree)
    assert fresh.info["messages"] == 0


def test_under_load_lag_is_kafkas_own_and_counters_are_the_ledgers(new_stream: NewOperated, tmp_path: Path) -> None:
    stream, go = new_stream(partitions=2), tmp_path / "go"
    stream.send(numbers(0, 1000), partition=0)
    stream.send(numbers(1000, 1100), partition=1)
    stream.configured(None, SLOW.replace("GO", str(go)))
    stream.start()
    eventually(lambda: stream.info["messages"] > 0, timeout=30)
    stream.send(numbers(1100, 2000), partition=1)
    topics = stream.kafka.topics
    ends = {str(partition): topics.watermarks(stream.topic, partition)[1] for partition in (0, 1)}
    assert ends == {"0": 1000, "1": 1000}
    eventually(lambda: stream.info["watermarks"], equals={name: {"low": 0, "high": 1000} for name in ends}, timeout=30)

    def differs_from_kafkas_own() -> int:
        info = stream.info
        assert info["status"] == "running"
        assert info["lag"] == {name: end - info["positions"].get(name, 0) for name, end in ends.items()}
        assert info["total_lag"] == sum(info["lag"].values()) > 0
        committed = topics.committed(f"sluice.{stream.name}", stream.topic)
        return abs(int(info["total_lag"]) - (2000 - sum(committed.values())))

    # Reported are positions once a second, and once the worker has heard of them: that is some batches of ten later.
    eventually(lambda: differs_from_kafkas_own() <= 30, timeout=30)
    assert all(row["ms"]["transform"] > 600 * row["batches"] for row in stream.batches())
    go.touch()
    stream.await_values(numbers(0, 2000), timeout=60)
    info = eventually(lambda: stream.info["lag"] == {"0": 0, "1": 0} and stream.info, timeout=30)
    check_ledger(stream, {"0": 1000, "1": 1000})
    assert info["last_batch"] == stream.batches(1)[0]
    assert info["rates"]["messages_per_s"] > 0
    committed = {0: 1000, 1: 1000}
    eventually(lambda: topics.committed(f"sluice.{stream.name}", stream.topic), equals=committed, timeout=30)


def test_counters_and_ledger_are_equal_at_any_moment(new_stream: NewOperated, host: Host) -> None:
    stream = new_stream()
    stream.configured(None, size=100)
    many = 50_000 if host.is_memgraph else 5_000  # enough to be looked at on the way
    stream.send(numbers(0, many))
    stream.start()
    with host.driver().session() as session:
        messages, seen = 0, set()
        while messages < many:
            with session.begin_transaction() as transaction:
                inside = stream.within(transaction)
                info, ledger = inside.info, inside.batches()
            for name in ("batches", "messages", "failed"):
                assert sum(row[name] for row in ledger) == info[name], name
            assert (info["last_batch"] or {}).get("end") == (ledger[0]["end"] if ledger else None)
            messages = info["messages"]
            seen.add(messages)
    assert len(seen) > 2, "it went too fast to be looked at"


def check_ledger(stream: Operated, positions: dict[str, int]) -> None:
    """The ledger adds up to the counters, and leads from the beginning to these positions without a gap."""
    ledger = list(reversed(stream.batches()))
    info = stream.info
    for name in ("batches", "messages", "failed"):
        assert sum(row[name] for row in ledger) == info[name], name
    reached: dict[str, int] = {}
    for row in ledger:
        assert row["begin"].keys() == row["end"].keys()
        for name, begin in row["begin"].items():
            assert begin == reached.get(name)
        reached |= row["end"]
    assert reached == info["positions"] == positions
    # The latest record has the time of its commit as soon as the worker has heard of that.
    eventually(lambda: stream.info["times_ms"] == _times(stream.batches()))


def _times(ledger: list[Row]) -> dict[str, Any]:
    return {stage: pytest.approx(sum(row["ms"][stage] for row in ledger), abs=1) for stage in STAGES}


def test_the_ledger_adds_up_where_messages_fail(stream: Operated) -> None:
    values = numbers(0, 30)
    values[4], values[13], values[29] = "raise", "refused", "missing"
    stream.send(values)
    stream.configured({"on_error": "skip"})
    stream.start()
    stream.await_position(30)
    check_ledger(stream, {"0": 30})
    info = stream.info
    assert (info["messages"], info["failed"]) == (27, 3)
    assert info["last_error"]["error"]
    (latest,) = stream.batches(1)
    assert latest["end"] == {"0": 30}
    assert refusal(stream.batches, 0).endswith("limit must be an integer from 1 to 2147483647, got 0")


def test_the_ledger_outlasts_stop_and_reload(empty_host: Host, kafka: KafkaBroker, tmp_path: Path) -> None:
    stream = Operated(empty_host.run, kafka, tmp_path, "kept")
    stream.configured(None)
    stream.send(numbers(0, 20))
    stream.start()
    stream.await_position(20)
    stream.stop()
    before = stream.batches()
    assert before
    empty_host.run("CALL mg.load_all()")
    eventually(stream.batches, equals=before)
    stream.send(numbers(20, 30))
    stream.start()
    stream.await_position(30)
    check_ledger(stream, {"0": 30})


def test_what_show_create_says_makes_the_same_stream(stream: Operated) -> None:
    stream.configured({"on_error": "skip", "fetch.min.bytes": "2", "fold": False}, size=33)
    before = stream.info
    (row,) = stream.run("CALL streams.show_create($name) YIELD statement RETURN statement", name=stream.name)
    stream.drop()
    translation = translate(row["statement"])
    assert translation is not None
    stream.run(translation.query, **translation.parameters)
    after = stream.info
    spec = ("uri", "topic", "transform", "transform_sha256", "batch_interval", "batch_size", "config")
    assert [after[name] for name in spec] == [before[name] for name in spec]


@pytest.mark.soak
def test_the_status_is_right_within_a_second_of_losing_the_broker_and_having_it_back(
    new_stream: NewOperated, own_kafka: Callable[[], KafkaBroker]
) -> None:
    broker = own_kafka()
    stream = new_stream(broker)
    stream.configured(None)
    stream.send(numbers(0, 20))
    stream.start()
    stream.await_values(numbers(0, 20))
    stream.await_no_reason()
    for _ in range(5):
        broker.kill()
        stream.await_reason("broker unreachable at", timeout=1)
        broker.start()
        stream.await_no_reason(timeout=1)
    broker.kill()
    stream.stop()
    stream.start()  # a new worker, that has never seen the broker
    stream.await_reason("broker unreachable at", timeout=2)
    broker.start()
    stream.await_no_reason(timeout=1)


def test_status_and_log_tell_each_change_of_state_at_once_and_the_log_no_batch(
    own_host: OwnHost, own_kafka: Callable[[], KafkaBroker], tmp_path: Path
) -> None:
    host, broker = own_host(), own_kafka()
    stream = Operated(host.run, broker, tmp_path, "logged")
    stream.configured(None)
    stream.send(numbers(0, 100))
    stream.start()
    stream.await_position(100)
    stream.await_no_reason()
    eventually(lambda: stream.info["lag"], equals={"0": 0})
    broker.kill()
    reason = stream.await_reason("broker unreachable at", timeout=AT_ONCE)
    info = stream.info
    assert reason.startswith(f"retrying since {info['retrying']['since']}: Kafka stream {stream.name}, broker")
    assert (info["status"], info["lag"]) == ("running", {"0": 0})
    broker.start()
    stream.await_no_reason(timeout=AT_ONCE)
    assert "broker unreachable at" in stream.info["last_error"]["error"]
    stream.send([*numbers(100, 200), "raise"])
    stream.await_status("error")
    stream.configure({"on_error": "skip"})
    stream.start()
    stream.await_position(201)
    stream.stop()
    eventually(lambda: "stopped" in logged(host, stream)[-1])
    patterns = [
        r"started: reads topic \S+ from its beginning",
        r"retrying: Kafka stream logged, broker unreachable at .*",
        r"recovered, after \d+\.\d s",
        r"retrying: looking for the message that cannot be applied: .*",
        r"stopped by an error: Kafka stream logged, .*partition 0, offset 200: .*",
        r"started: reads topic \S+ from {0: 200}",
        r"retrying: looking for the message that cannot be applied: .*",
        r"recovered, after \d+\.\d s",
        r"stopped",
    ]
    lines = logged(host, stream)
    assert len(lines) == len(patterns), lines
    for pattern, line in zip(patterns, lines, strict=True):
        assert re.fullmatch(pattern, line), line


def logged(host: ServerHost, stream: Operated) -> list[str]:
    """What the worker of a stream has logged, in order."""
    return re.findall(rf"sluice\.worker: stream {stream.name}: (.*)", host.log_text())


def test_prometheus_is_told_by_the_shim(stream: Operated, host: Host, tmp_path: Path) -> None:
    port = free_port()
    shim = ShimServer(tmp_path, host.port, f"--metrics=127.0.0.1:{port}")
    stream.configured(None)
    stream.send(numbers(0, 25))
    stream.start()
    stream.await_position(25)
    with contextlib.ExitStack() as ending:
        ending.callback(shim.kill)
        shim.start()
        with neo4j.GraphDatabase.driver(shim.uri) as driver, driver.session() as session:
            assert stream.name in {row["name"] for row in session.run("SHOW STREAMS").data()}
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
    labels = f'stream="{stream.name}"'
    assert "sluice_up 1.0" in lines
    assert 'sluice_shim_clauses_total{clause="SHOW STREAMS"} 1.0' in lines
    assert f'sluice_stream_status{{status="running",{labels}}} 1.0' in [_ordered(line) for line in lines]
    assert f"sluice_stream_messages_total{{{labels}}} 25.0" in lines


def _ordered(line: str) -> str:
    """With the labels in alphabetical order."""
    found = re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line)
    return line if found is None else f"{found[1]}{{{','.join(sorted(found[2].split(',')))}}} {found[3]}"
