"""Bad input: each kind ends in its one-line message, makes nothing, and leaves the host working."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import neo4j
import pytest

from tests.eventually import eventually, within
from tests.hosts import Host, ScriptServer
from tests.integration.test_kit import (
    SHOW,
    VALUES,
    NewStream,
    OwnHost,
    Run,
    Stream,
    metadata,
    refusal,
    transforms_running,
)
from tests.kafka import KafkaBroker
from tests.ports import free_port

COUNT = "must be an integer from 1 to 2147483647, got"
CREATE = "CALL streams.create($name, $uri, $topic, $transform, $interval, $size)"

NO_FUNCTION = "it defines no function stream(batch) or stream_messages(batch)"


@pytest.fixture
def new_stream(run: Run, kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]) -> NewStream:
    return lambda **where: Stream(run, kafka, tmp_path, new_stream_name(), **where)


@pytest.fixture
def stream(new_stream: NewStream) -> Stream:
    return new_stream()


@pytest.fixture
def created(stream: Stream) -> Stream:
    """A stream that is there, stopped."""
    stream.create()
    return stream


@pytest.fixture(autouse=True)
def _nothing_is_made_or_lost(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test on the shared host that changed the streams there are, or that left the host not working."""
    if "own_host" in request.fixturenames:
        yield
        return
    if "created" in request.fixturenames:
        request.getfixturevalue("created")
    run: Run = request.getfixturevalue("run")
    before, streams = metadata(run), run(SHOW)
    yield
    assert (metadata(run), run(SHOW)) == (before, streams)
    assert run("RETURN 1 AS one") == [{"one": 1}]


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        pytest.param(
            {"name": ""}, "the name of a Kafka stream must be printable text and not empty, got ''", id="name"
        ),
        pytest.param(
            {"name": "a\nb"}, r"the name of a Kafka stream must be printable text and not empty, got 'a\nb'", id="lines"
        ),
        pytest.param({"interval": 0}, f"Kafka stream NAME, BATCH_INTERVAL {COUNT} 0", id="no interval"),
        pytest.param({"interval": -100}, f"Kafka stream NAME, BATCH_INTERVAL {COUNT} -100", id="negative interval"),
        pytest.param({"size": 0}, f"Kafka stream NAME, BATCH_SIZE {COUNT} 0", id="no size"),
        pytest.param({"size": -1}, f"Kafka stream NAME, BATCH_SIZE {COUNT} -1", id="negative size"),
        pytest.param({"size": 2**31}, f"Kafka stream NAME, BATCH_SIZE {COUNT} 2147483648", id="huge size"),
        pytest.param(
            {"uri": ""}, "Kafka stream NAME, the Kafka URI must be printable text and not empty, got ''", id="uri"
        ),
        pytest.param(
            {"topic": " "}, "Kafka stream NAME, the topic must be printable text and not empty, got ' '", id="topic"
        ),
        pytest.param(
            {"transform": ""},
            "Kafka stream NAME, the transform URI must be printable text and not empty, got ''",
            id="transform",
        ),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(stream: Stream, wrong: dict[str, Any], expected: str) -> None:
    expected = expected.replace("NAME", stream.name)
    assert refusal(_create, stream, **wrong) == f"sluice.errors.SettingError: {expected}"


@pytest.mark.parametrize(
    "wrong",
    [{"name": 1}, {"uri": None}, {"interval": "100"}, {"size": 1.5}, {"size": None}],
    ids=["name", "uri", "interval", "fraction", "null"],
)
def test_an_argument_of_a_wrong_type_is_refused(stream: Stream, wrong: dict[str, Any]) -> None:
    (argument,) = wrong
    assert {"interval": "batch_interval", "size": "batch_size"}.get(argument, argument) in refusal(
        _create, stream, **wrong
    )


def test_a_missing_argument_is_refused(run: Run) -> None:
    assert "streams.create" in refusal(run, "CALL streams.create('s', 'localhost:9092')")


@pytest.mark.parametrize("verb", ["start", "`stop`", "drop", "test"])
def test_a_stream_that_is_not_there_is_refused_by_name(run: Run, verb: str) -> None:
    columns = "YIELD query, params" if verb == "test" else ""
    expected = "sluice.errors.StreamNotFound: Kafka stream nowhere, stream not found"
    assert refusal(run, f"CALL streams.{verb}('nowhere') {columns}") == expected


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_is_not_positive_is_refused(created: Stream, limit: int) -> None:
    expected = f"sluice.errors.SettingError: Kafka stream {created.name}, LIMIT {COUNT} {limit}"
    assert refusal(created.start, limit) == expected
    assert refusal(created.test, limit) == expected
    assert created.status == "stopped"


def test_a_name_that_is_taken_is_refused(created: Stream) -> None:
    expected = f"sluice.errors.StreamExists: Kafka stream {created.name}, a stream of that name exists already"
    assert refusal(created.create, size=99) == expected


def test_a_running_stream_cannot_be_tested(created: Stream) -> None:
    created.start()
    text = f"Kafka stream {created.name} is running, and has to be stopped before it can be tested"
    assert refusal(created.test) == f"sluice.errors.StreamRunning: {text}: STOP STREAM {created.name}"
    created.stop()


def test_an_unreachable_broker_is_named(stream: Stream) -> None:
    uri = f"127.0.0.1:{free_port()}"
    began = time.monotonic()
    text = refusal(stream.create, uri=uri)
    assert text.startswith(
        f"sluice.errors.BrokerUnreachable: Kafka stream {stream.name}, broker unreachable at {uri}: "
    )
    assert within(5, began)


def test_a_broker_that_does_not_answer_is_named_in_time_and_holds_nobody_up(stream: Stream, host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as pool:
        uri = f"127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        waiting = pool.submit(refusal, stream.create, uri=uri)
        while wait([waiting], 0.1).not_done:
            asked = time.monotonic()
            host.run(SHOW)
            assert time.monotonic() - asked < 2
        assert within(10, began)
        assert f"Kafka stream {stream.name}, broker unreachable at {uri}: " in waiting.result()


def test_one_broker_that_is_there_is_enough(kafka: KafkaBroker, new_stream: NewStream) -> None:
    stream = new_stream()
    stream.create(uri=f"127.0.0.1:{free_port()},{kafka.bootstrap}")
    stream.drop()


def test_a_topic_that_is_not_there_is_refused_and_not_made(kafka: KafkaBroker, stream: Stream) -> None:
    stream.topic = f"missing-{stream.name}"
    assert refusal(stream.create) == f"sluice.errors.TopicNotFound: Kafka stream {stream.name}, topic not found"
    assert stream.topic not in kafka.topics.names()


def test_a_topic_that_kafka_cannot_have_is_refused(stream: Stream) -> None:
    stream.topic = "no/such topic"
    assert refusal(stream.create).startswith(f"sluice.errors.TopicNotFound: Kafka stream {stream.name}, topic")


def test_a_script_that_is_not_there_is_refused(stream: Stream, script_server: ScriptServer, tmp_path: Path) -> None:
    refused = script_server.serve("/secret.py", VALUES, status=403)
    script_server.redirect("/loop.py", "/loop.py")
    nobody = f"http://127.0.0.1:{free_port()}/transform.py"
    missing = [script_server.url("/a.py"), refused, script_server.url("/loop.py"), nobody, str(tmp_path / "a.py")]
    (tmp_path / "folder.py").mkdir()
    for uri in [*missing, f"file://{tmp_path}/a.py", str(tmp_path / "folder.py")]:
        expected = f"sluice.errors.ScriptError: Couldn't get the transform script from {uri}"
        assert refusal(stream.create, transform_uri=uri) == expected


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("ftp://there/a.py", "ftp:// is not supported"),
        ("file://there/a.py", "file:// takes no host"),
        ("http://there.example/a.py", "SLUICE_TRANSFORM_ALLOW does not allow it"),
        ("/etc/passwd", "the name of a script's file has to end with .py or .zip, and a folder's with /"),
        ("file:///proc/self/environ", "the name of a script's file has to end with .py or .zip, and a folder's with /"),
        ("/dev/zero", "the name of a script's file has to end with .py or .zip, and a folder's with /"),
    ],
)
def test_a_script_uri_that_is_not_allowed_is_refused_with_the_reason(stream: Stream, uri: str, reason: str) -> None:
    text = f"sluice.errors.ScriptError: Couldn't get the transform script from {uri}: {reason}"
    assert refusal(stream.create, transform_uri=uri).startswith(text)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param("def stream(batch)\n", "SyntaxError: expected ':' (line 1)", id="syntax"),
        pytest.param("a = 1\n\nraise KeyError('no')\n", "KeyError: 'no' (line 3)", id="raises"),
        pytest.param(
            "import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module' (line 1)", id="import"
        ),
        pytest.param("exit(3)\n", "SystemExit: 3", id="exits"),
        pytest.param(
            "def flow(batch):\n    return []\n",
            "it defines no function stream(batch) or stream_messages(batch)",
            id="no stream",
        ),
        pytest.param("stream = 7\n", "its stream is not callable", id="no function"),
        pytest.param("", NO_FUNCTION, id="empty"),
        pytest.param(
            "def stream(batch):\n    return []\nstream_messages = stream\n",
            "it defines both stream(batch) and stream_messages(batch): a transform has one of them",
            id="both",
        ),
    ],
)
def test_a_script_that_does_not_load_is_refused_and_says_where(stream: Stream, script: str, expected: str) -> None:
    uri = stream.script(script)
    text = refusal(stream.create, transform_uri=uri)
    assert text.startswith(f"sluice.errors.ScriptError: bad transform {uri}: {expected}")


def test_a_script_that_is_too_large_or_no_text_is_refused(
    stream: Stream, script_server: ScriptServer, tmp_path: Path
) -> None:
    large, text = "#" * (1 << 20) + "\n", "sluice.errors.ScriptError: Couldn't get the transform script from"
    for uri in (stream.script(large), script_server.serve("/large.py", large)):
        assert refusal(stream.create, transform_uri=uri) == f"{text} {uri}: it is larger than 1048576 bytes"
    binary = tmp_path / "binary.py"
    binary.write_bytes(b"# \xff\n")
    assert refusal(stream.create, transform_uri=str(binary)) == f"{text} {binary}: it is not UTF-8 text (byte 2)"


def test_a_script_that_takes_too_long_is_refused_in_time(
    own_host: OwnHost, kafka: KafkaBroker, script_server: ScriptServer, tmp_path: Path
) -> None:
    host = own_host(env={"SLUICE_SCRIPT_TIMEOUT": "4"})
    stream = Stream(host.run, kafka, tmp_path, "slow")
    late = script_server.serve("/late.py", VALUES)
    script_server.delay("/late.py", 60)
    endless = stream.script("while True:\n    pass\n")
    began = time.monotonic()
    text = "sluice.errors.ScriptError:"
    slow = "it did not come within 4 s (SLUICE_SCRIPT_TIMEOUT)"
    assert refusal(stream.create, transform_uri=late) == f"{text} Couldn't get the transform script from {late}: {slow}"
    expected = f"{text} bad transform {endless}: loading it did not end within 4 s"
    assert refusal(stream.create, transform_uri=endless) == expected
    assert within(12, began)
    assert host.run(SHOW) == []
    assert transforms_running(host) == 0


def test_refused_calls_leave_no_thread_and_no_process(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path, script_server: ScriptServer
) -> None:
    host = own_host()
    stream = Stream(host.run, kafka, tmp_path, "never")
    missing_topic = Stream(host.run, kafka, tmp_path, "never", topic="no_such_topic")
    wrong = (
        lambda: stream.create(uri=f"127.0.0.1:{free_port()}"),
        lambda: stream.create("raise ValueError"),
        lambda: stream.create(transform_uri=script_server.url("/missing.py")),
        missing_topic.create,
        stream.start,
        stream.test,
    )

    def refuse_all() -> int:
        for call in wrong:
            refusal(call)
        return len(list(Path(f"/proc/{host.pid}/task").iterdir()))

    threads = refuse_all()
    eventually(lambda: refuse_all() <= threads)
    assert transforms_running(host) == 0
    assert metadata(host.run) == {"SluiceCatalog": 0, "SluiceStream": 0, "SluiceCheckpoint": 0}
    stream.create()
    stream.start()
    stream.send(["1"])
    stream.await_values(["1"])


def test_an_error_does_not_end_the_session(host: Host, stream: Stream) -> None:
    with host.driver().session() as session:
        for _ in range(3):
            with pytest.raises(neo4j.exceptions.Neo4jError):
                session.run("CALL streams.start('nowhere')").consume()
            assert session.run("RETURN 1 AS one").data() == [{"one": 1}]


def _create(stream: Stream, **wrong: Any) -> None:
    right = {"name": stream.name, "uri": stream.kafka.bootstrap, "topic": stream.topic, "interval": 100, "size": 10}
    stream.run(CREATE, **{**right, "transform": stream.script(VALUES), **wrong})
