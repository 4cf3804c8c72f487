"""Steering a stream: other settings, another place in its topic, a new script; OR REPLACE and IF [NOT] EXISTS."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import neo4j
import pytest

from tests.eventually import eventually
from tests.hosts import Host
from tests.integration.configured import Configured
from tests.integration.test_kit import VALUES, OwnHost, Row, Run, numbers, refusal
from tests.kafka import KafkaBroker

SEEK = "CALL streams.seek($name, $to, $dry_run) YIELD partition, from, to, messages, effect"
RELOAD = "CALL streams.reload_transform($name, $trial) YIELD old_sha256, new_sha256, tried"


class Steered(Configured):
    """A `Configured` stream, and what steers it."""

    def seek(self, to: Any, *, dry_run: bool = False) -> list[tuple[Any, ...]]:
        rows = self.run(SEEK, name=self.name, to=to, dry_run=dry_run)
        return sorted(tuple(row[key] for key in ("partition", "from", "to", "messages", "effect")) for row in rows)

    def reload(self, trial: int = 100) -> Row:
        (row,) = self.run(RELOAD, name=self.name, trial=trial)
        return row

    def alter(self, changes: dict[str, Any]) -> None:
        self.run("CALL streams.alter($name, $changes)", name=self.name, changes=changes)

    def read_all(self, count: int) -> None:
        """Run until there are so many vertices, then stop."""
        self.start()
        self.await_count(count)
        self.stop()

    @property
    def often(self) -> Counter[int]:
        """How often a message has been applied -> how many of them."""
        return Counter(Counter(self.values).values())


@pytest.fixture
def new_stream(
    run: Run, kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]
) -> Callable[..., Steered]:
    return lambda **options: Steered(run, kafka, tmp_path, new_stream_name(), **options)


@pytest.fixture
def stream(new_stream: Callable[..., Steered]) -> Steered:
    return new_stream()


def test_seeking_back_reads_exactly_so_many_again_and_forth_skips_them(stream: Steered) -> None:
    stream.send(numbers(0, 100))
    stream.create(VALUES)
    stream.read_all(100)
    # A dry run changes nothing.
    assert stream.seek({"relative": -30}, dry_run=True) == [(0, 100, 70, 30, "read again")]
    assert stream.info["positions"] == {"0": 100}
    assert stream.seek({"relative": -30}) == [(0, 100, 70, 30, "read again")]
    assert stream.info["positions"] == {"0": 70}
    assert stream.status == "stopped"
    stream.read_all(130)
    assert stream.often == {1: 70, 2: 30}
    assert stream.seek({"0": 40}) == [(0, 100, 40, 60, "read again")]
    assert stream.seek({"relative": 50}) == [(0, 40, 90, 50, "skipped")]
    stream.start(limit=1)
    stream.await_status("stopped")  # by itself: after STOP it could still get what is sent next
    assert stream.often == {1: 70, 2: 20, 3: 10}
    # New messages come in between, and LATEST passes them by.
    stream.send(numbers(100, 110))
    assert stream.seek("latest") == [(0, 100, 110, 10, "skipped")]
    stream.send(numbers(110, 111))
    stream.read_all(141)
    assert stream.values[-1] == numbers(110, 111)[0]
    assert stream.seek("earliest") == [(0, 111, 0, 111, "read again")]
    assert stream.info["positions"] == {}
    stream.read_all(141 + 111)
    assert stream.often == {1: 10, 2: 70 + 1, 3: 20, 4: 10}


def a_time_between() -> int:
    """Milliseconds since 1970: after all messages that were sent, before all that will be. Producers stamp them."""
    between = int(time.time() * 1000) + 1
    eventually(lambda: time.time() * 1000 > between + 1, interval=0.001)
    return between


def test_seeking_to_a_time(stream: Steered) -> None:
    stream.send(numbers(0, 10))
    stream.create(VALUES)
    stream.read_all(10)
    since = a_time_between()
    stream.send(numbers(10, 15))
    stream.read_all(15)
    assert stream.seek({"timestamp": since}) == [(0, 15, 10, 5, "read again")]
    iso = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(since / 1000 - 86400))
    assert stream.seek(iso, dry_run=True) == [(0, 10, 0, 10, "read again")]
    # Nothing is that new: after what there is.
    assert stream.seek({"timestamp": since + 86_400_000}) == [(0, 10, 15, 5, "skipped")]


def test_each_partition_goes_its_own_way(new_stream: Callable[..., Steered]) -> None:
    stream = new_stream(partitions=3)
    for partition in range(3):
        stream.send(numbers(partition * 100, partition * 100 + 10 * (partition + 1)), partition=partition)
    stream.create(VALUES)
    stream.read_all(60)
    assert stream.seek({"relative": -15}, dry_run=True) == [
        (0, 10, 0, 10, "read again"),
        (1, 20, 5, 15, "read again"),
        (2, 30, 15, 15, "read again"),
    ]
    assert stream.seek({"2": 29, "0": 9}) == [
        (0, 10, 9, 1, "read again"),
        (1, 20, 20, 0, "none"),
        (2, 30, 29, 1, "read again"),
    ]
    stream.read_all(62)
    assert stream.often == {1: 58, 2: 2}


@pytest.mark.parametrize(
    ("to", "message"),
    [
        pytest.param({"0": 11}, "partition 0 can be read from offset 0 to 10, not 11", id="after the end"),
        pytest.param({"7": 0}, "the stream reads no partition 7, only 0", id="a partition that is not there"),
        pytest.param(500, "expected 'earliest', 'latest', a time", id="a bare number"),
    ],
)
def test_a_wrong_target_is_refused(stream: Steered, to: Any, message: str) -> None:
    stream.send(numbers(0, 10))
    stream.create(VALUES)
    error = refusal(stream.seek, to)
    assert error.startswith(f"sluice.errors.SettingError: Kafka stream {stream.name}, seek: ")
    assert message in error


def test_a_running_stream_has_to_be_stopped_for_a_seek_but_not_for_a_dry_run(stream: Steered) -> None:
    stream.send(numbers(0, 10))
    stream.create(VALUES)
    stream.start()
    stream.await_count(10)
    assert stream.seek("earliest", dry_run=True) == [(0, 10, 0, 10, "read again")]
    assert refusal(stream.seek, "earliest") == (
        f"sluice.errors.StreamRunning: Kafka stream {stream.name} is running, and has to be stopped before it can be"
        f" sent elsewhere: STOP STREAM {stream.name}"
    )
    assert refusal(stream.alter, {"batch_size": 5}).endswith(
        f"has to be stopped before it can be altered: STOP STREAM {stream.name}"
    )


def test_a_running_stream_is_sent_elsewhere_in_one_transaction(stream: Steered, host: Host) -> None:
    stream.send(numbers(0, 200))
    stream.create(VALUES, size=1)
    stream.start()
    stream.await_at_least(20)

    def move(transaction: neo4j.ManagedTransaction) -> list[tuple[Any, ...]]:
        run = stream.run
        stream.run = lambda query, /, **parameters: transaction.run(query, parameters).data()
        try:
            stream.stop()
            moved = stream.seek("earliest")
            stream.start()
        finally:
            stream.run = run
        return moved

    # A batch in flight makes this conflict now and then: drivers try a transient error again, here by hand.
    with host.driver().session() as session:
        moved = eventually(lambda: session.execute_write(move), timeout=30)
    again = moved[0][1]
    stream.await_count(200 + again)
    assert stream.often == Counter({1: 200 - again, 2: again} if again < 200 else {2: 200})


SLOWLY = "import time" + VALUES.replace("return", "time.sleep(0.01)\n    return")


def sent_about(stream: Steered, count: int, ways: list[int], disturb: Callable[[], None]) -> Counter[int]:
    """
    Sends a stream back and on, right after its STOP, while batches are still in flight.

    Args:
        count: messages in its topic.
        ways: how far, each time.
        disturb: called while it runs, each time.

    Returns:
        message -> how often it was read, by what the seeks said of where the stream was and where it went.
    """
    read: Counter[int] = Counter()
    position = 0
    for way in ways:
        stream.start()
        stream.await_at_least(stream.count + 10)
        disturb()
        stream.stop()
        # A conflict with the batch in flight raises.
        ((_, came, goes, *_),) = eventually(partial(stream.seek, {"relative": way}), timeout=20, interval=0)
        read.update(range(position, came))
        position = goes
    stream.start()
    read.update(range(position, count))
    return read


def test_whatever_a_seek_meets_each_message_is_applied_as_often_as_it_was_read(stream: Steered) -> None:
    stream.send(numbers(0, 1000))
    stream.create(SLOWLY, size=3)
    read = sent_about(stream, 1000, [-40, 15, -1, -500, 7, -30, -30, 100, -3, -50], lambda: None)
    stream.await_count(sum(read.values()), timeout=60)
    assert Counter(map(int, stream.values)) == read


@pytest.mark.soak
@pytest.mark.faults
@pytest.mark.timeout(600)
def test_the_same_with_a_server_that_is_killed_all_the_time(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    host = own_host()
    stream = Steered(host.run, kafka, tmp_path, "steered")
    stream.send(numbers(0, 2000))
    stream.create(SLOWLY, size=3)

    def disturb() -> None:
        host.kill()
        host.start()
        stream.await_at_least(stream.count + 1)

    read = sent_about(stream, 2000, [-40, 15, -200, 7, -300, 100, -1, -500], disturb)
    stream.await_count(sum(read.values()), timeout=120)
    assert Counter(map(int, stream.values)) == read


def test_a_seek_that_is_rolled_back_never_was(stream: Steered, host: Host) -> None:
    stream.send(numbers(0, 10))
    stream.create(VALUES)
    stream.read_all(10)
    with host.driver().session() as session, session.begin_transaction() as transaction:
        inside = stream.within(transaction)
        assert Steered.seek(inside, {"relative": -5}) == [(0, 10, 5, 5, "read again")]
        transaction.rollback()
    assert stream.info["positions"] == {"0": 10}


def test_a_seek_gets_a_stream_over_what_it_stopped_at(stream: Steered) -> None:
    stream.send([*numbers(0, 5), "raise", *numbers(5, 10)])
    stream.configured(None)
    stream.start()
    stream.await_status("error")
    assert stream.seek({"relative": 1}) == [(0, 5, 6, 1, "skipped")]
    assert (stream.status, stream.info["reason"]) == ("stopped", None)
    stream.read_all(10)
    assert stream.often == {1: 10}


def test_a_seek_gets_a_stream_into_a_topic_that_was_made_anew(stream: Steered) -> None:
    stream.send(numbers(0, 10))
    stream.create(VALUES)
    stream.read_all(10)
    stream.kafka.topics.delete(stream.topic)
    eventually(lambda: stream.topic not in stream.kafka.topics.names())
    stream.kafka.topics.create(stream.topic)
    stream.start()
    stream.await_status("error")
    stream.send(numbers(10, 15))
    assert "a relative seek is not possible" in refusal(stream.seek, {"relative": -5})
    assert stream.seek("earliest") == [(0, 0, 0, 0, "none")]
    stream.read_all(15)
    assert stream.often == {1: 15}


@pytest.mark.parametrize("start", ["latest", "timestamp"])
def test_a_new_stream_begins_where_it_is_told_to(stream: Steered, start: str) -> None:
    stream.send(numbers(0, 10))
    given = a_time_between() if start == "timestamp" else "latest"
    if start == "timestamp":
        stream.send(numbers(10, 15))
    stream.configured({"start": given}, VALUES)
    assert stream.info["positions"] == {"0": 10}
    assert stream.info["config"] == {"start": given}
    if start == "latest":
        stream.send(numbers(10, 15))
    stream.start()
    stream.await_values(numbers(10, 15))


def test_what_cannot_be_a_start_is_refused(stream: Steered) -> None:
    for start in ("soon", 5, True):
        error = refusal(stream.configured, {"start": start})
        assert "config: start must be 'earliest', 'latest' or a timestamp" in error or "expected 'earliest'" in error
    stream.configured({"start": "latest"})
    error = refusal(stream.configure, {"start": "earliest"})
    assert error.endswith("start is where a new stream begins; SEEK STREAM sends this one elsewhere")


def test_alter_changes_what_it_is_given(stream: Steered) -> None:
    stream.send(numbers(0, 30))
    stream.configured({"on_error": "skip", "fetch.min.bytes": 1}, VALUES)
    stream.alter({"batch_size": 30, "batch_interval": 500, "config": {"on_error": None, "isolate": "never"}})
    assert stream.info["config"] == {"isolate": "never", "fetch.min.bytes": "1"}
    stream.alter({"config": {"isolate": None, "fetch.min.bytes": None}})
    assert stream.info["config"] == {}
    sha256 = stream.info["transform_sha256"]
    stream.alter({"transform": stream.script(VALUES.replace("$value", "$value, size: size($value)"))})
    assert stream.info["transform_sha256"] != sha256
    stream.start(limit=1)
    stream.await_count(30)
    (row,) = stream.run(f"MATCH (n:{stream.label}) RETURN count(n.size) AS count")
    assert row["count"] == 30


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            {"batchsize": 5}, "batchsize cannot be altered; uri, transform, batch_interval, ", id="a typing error"
        ),
        pytest.param(
            {"transform": "/nowhere.py"}, "Couldn't get the transform script from /nowhere.py", id="no script"
        ),
        pytest.param({"uri": "127.0.0.1:1"}, "broker unreachable at 127.0.0.1:1: ", id="a broker that is away"),
    ],
)
def test_what_cannot_be_altered_is_refused_and_nothing_is_changed(
    stream: Steered, changes: dict[str, Any], message: str
) -> None:
    stream.create(VALUES)
    before = stream.run("MATCH (s:SluiceStream {name: $name}) RETURN properties(s) AS all", name=stream.name)
    assert message in refusal(stream.alter, changes)
    assert stream.run("MATCH (s:SluiceStream {name: $name}) RETURN properties(s) AS all", name=stream.name) == before


def rewrite(stream: Steered, text: str) -> None:
    """Puts another script where the stream's is."""
    (row,) = stream.run("MATCH (s:SluiceStream {name: $name}) RETURN s.transform AS path", name=stream.name)
    Path(row["path"]).write_text(text.replace("LABEL", stream.label), encoding="utf-8")


MARKED = VALUES.replace("$value", "$value, marked: true")


def test_trial_seek_and_start_get_over_a_restart_of_the_broker(
    run: Run, own_kafka: Callable[[], KafkaBroker], tmp_path: Path, new_stream_name: Callable[[], str]
) -> None:
    broker = own_kafka()
    running, stopped, new = (Steered(run, broker, tmp_path, new_stream_name()) for _ in range(3))
    for stream in (running, stopped, new):
        stream.send(numbers(0, 10))
    running.create(VALUES)
    running.start()  # and keeps the client that all of them ask
    stopped.create(VALUES)
    stopped.read_all(10)
    stopped.seek("earliest", dry_run=True)  # the client knows who leads
    new.configured({"start": "latest"})
    new.drop()
    broker.restart()
    rewrite(stopped, MARKED)
    assert stopped.reload(trial=10)["tried"] == 10
    assert stopped.seek({"relative": -3}) == [(0, 10, 7, 3, "read again")]
    new.configured({"start": "latest"})
    assert new.info["positions"] == {"0": 10}


def test_a_running_stream_goes_on_with_a_reloaded_script(stream: Steered) -> None:
    stream.send(numbers(0, 25))
    stream.create(VALUES)
    stream.start()
    stream.await_count(25)
    unchanged = stream.reload()
    assert (unchanged["old_sha256"], unchanged["tried"]) == (unchanged["new_sha256"], 0)
    rewrite(stream, MARKED)
    row = stream.reload(trial=10)
    assert (row["old_sha256"], row["tried"]) == (unchanged["old_sha256"], 10)
    assert stream.info["transform_sha256"] == row["new_sha256"] != row["old_sha256"]
    assert stream.status == "running"

    def marked() -> int:
        stream.send(["after"])
        (found,) = stream.run(f"MATCH (n:{stream.label}) WHERE n.marked RETURN count(n) AS count")
        return int(found["count"])

    eventually(marked, timeout=20)
    assert stream.often[1] >= 25


def test_a_script_that_fails_where_the_old_one_does_not_is_not_taken(stream: Steered) -> None:
    stream.send([*numbers(0, 7), "special", *numbers(7, 20)])
    stream.create(VALUES)
    stream.read_all(21)
    before = stream.info["transform_sha256"]
    rewrite(stream, VALUES.replace("return", "assert b'special' not in batch, 'not that one'\n    return"))
    assert refusal(stream.reload) == (
        f"sluice.errors.TransformError: Kafka stream {stream.name}, nothing was changed: the new script fails where the"
        f" old one does not, at topic {stream.topic}, partition 0, offset 7: transform"
        f" {stream.run('MATCH (s:SluiceStream {name: $name}) RETURN s.transform AS t', name=stream.name)[0]['t']}:"
        " stream(batch) raised AssertionError: not that one (line 3)"
    )
    assert stream.info["transform_sha256"] == before
    # What was not tried is not known; what does not load is refused in any case.
    rewrite(stream, "def stream(batch) return []")
    assert "bad transform" in refusal(stream.reload, 0)
    assert stream.info["transform_sha256"] == before
    rewrite(stream, VALUES.replace("return", "assert b'special' not in batch\n    return"))
    assert stream.reload(trial=13)["tried"] == 13


def test_a_script_may_fail_where_the_old_one_does(stream: Steered) -> None:
    stream.send(["a", "raise", "b"])
    stream.configured({"on_error": "skip"})
    stream.read_all(2)
    (row,) = stream.run("MATCH (s:SluiceStream {name: $name}) RETURN s.transform_source AS source", name=stream.name)
    rewrite(stream, row["source"] + "\n# the same, but for this")
    assert stream.reload()["tried"] == 3
    # Beside a message that the old one fails at, others still count.
    rewrite(
        stream,
        row["source"].rpartition("    return ")[0] + "    if value == 'b':\n        raise KeyError(value)\n" + QUERY,
    )
    assert "partition 0, offset 2: " in refusal(stream.reload)
    assert refusal(stream.reload, -1).endswith("trial_messages must be an integer from 0 to 10000, got -1")


QUERY = "    return ('CREATE (:LABEL {value: $value})', {'value': value})\n"


def test_or_replace_takes_the_place_of_a_running_stream(stream: Steered) -> None:
    create = "CALL streams.create($name, $uri, $topic, $transform, 100, 10, null, $existing)"
    stream.send(numbers(0, 10))
    given = {"name": stream.name, "uri": stream.kafka.bootstrap, "topic": stream.topic}
    given["transform"] = stream.script(VALUES)
    stream.run(create, existing="keep", **given)
    stream.start()
    stream.await_count(10)
    assert "exists already" in refusal(stream.run, create, existing="refuse", **given)
    # IF NOT EXISTS does not even look at what it is given.
    stream.run(create, existing="keep", **{**given, "topic": "nowhere"})
    assert stream.status == "running"
    # A replacement that cannot be made leaves all as it is.
    assert "topic not found" in refusal(stream.run, create, existing="replace", **{**given, "topic": "nowhere"})
    assert (stream.status, stream.info["positions"]) == ("running", {"0": 10})
    stream.run(create, existing="replace", **given)
    info = stream.info
    assert (info["status"], info["positions"], info["messages"], info["generation"]) == ("stopped", {}, 0, 0)
    stream.read_all(20)
    assert stream.often == {2: 10}
    assert "existing must be one of refuse, keep, replace, got 'x'" in refusal(
        stream.run, create, existing="x", **given
    )


def test_drop_if_exists(stream: Steered) -> None:
    drop = "CALL streams.drop($name, $if_exists)"
    stream.run(drop, name=stream.name, if_exists=True)
    assert "stream not found" in refusal(stream.run, drop, name=stream.name, if_exists=False)
    stream.create(VALUES)
    stream.run(drop, name=stream.name, if_exists=True)
    assert stream.status is None


def test_try_transform_needs_no_stream_and_no_broker(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "try.py"
    script.write_text(
        "def stream(batch):\n"
        "    texts = [message if message is None else message.decode() for message in batch]\n"
        "    return [('RETURN $m', {'m': text, 'n': 2 / len(text or 'xx')}) for text in texts]\n"
    )
    call = "CALL streams.try_transform($uri, $messages) YIELD query, params"
    rows = run(call, uri=str(script), messages=["a", None, "é"])
    assert [row["params"] for row in rows] == [{"m": "a", "n": 2.0}, {"m": None, "n": 1.0}, {"m": "é", "n": 2.0}]
    assert {row["query"] for row in rows} == {"RETURN $m"}
    assert run(call, uri=str(script), messages=[]) == []
    script.write_text("def stream(batch):\n    return 1 / len(batch[0])\n")
    error = refusal(run, call, uri=str(script), messages=[""])
    assert error.startswith(f"sluice.errors.TransformError: transform {script}: stream(batch) raised ZeroDivisionError")
    assert "Couldn't get the transform script from /nowhere.py" in refusal(run, call, uri="/nowhere.py", messages=["a"])


def test_try_transform_takes_all_that_there_is_of_a_message(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "try.py"
    script.write_text(
        "def stream_messages(batch):\n"
        "    return [('RETURN $m', {'m': repr((m.value, m.key, m.headers, m.topic, m.partition, m.offset))})\n"
        "            for m in batch]\n"
    )
    whole = {"value": "v", "key": "base64:/w==", "headers": {"h": "x", "none": None}, "topic": "t", "partition": 2}
    rows = run(
        "CALL streams.try_transform($uri, $messages) YIELD query, params", uri=str(script), messages=[whole, None, "a"]
    )
    assert [row["params"]["m"] for row in rows] == [
        repr((b"v", b"\xff", [("h", b"x"), ("none", None)], "t", 2, 0)),
        repr((None, None, [], "test", 0, 1)),
        repr((b"a", None, [], "test", 0, 2)),
    ]
