"""What a config may have, and what the server lets out to which brokers: by CALL, by clauses, and in edited nodes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import neo4j
import pytest

from sluice.persistence import nodes
from tests.hosts import Host, ServerHost
from tests.integration.configured import Configured, started
from tests.integration.shim_server import ShimServer
from tests.integration.test_kit import OwnHost, Run, numbers, refusal
from tests.kafka import KafkaBroker

SECRET, LOOPBACK = "kafka-hunter2", "loopback-hunter2"
"What must not be in anything that a client or a broker gets to see."


@pytest.fixture
def stream(run: Run, kafka: KafkaBroker, tmp_path: Path, stream_name: str) -> Configured:
    return Configured(run, kafka, tmp_path, stream_name)


@pytest.fixture
def elsewhere() -> Iterator[socket.socket]:
    """Where somebody waits for what the server sends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


def address(listener: socket.socket) -> str:
    return "127.0.0.1:{1}".format(*listener.getsockname())


def heard(listener: socket.socket) -> bool:
    """Whether anybody has come."""
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def edit(stream: Configured, **properties: str) -> None:
    stream.insist(f"MATCH (s:{nodes.STREAM} {{name: $name}}) SET s += $properties", properties=properties)


@contextmanager
def clauses(host: Host, folder: Path) -> Iterator[neo4j.Session]:
    """A session through a shim."""
    shim = ShimServer(folder, host.port)
    shim.start()
    try:
        with neo4j.GraphDatabase.driver(shim.uri, telemetry_disabled=True) as driver, driver.session() as session:
            yield session
    finally:
        shim.kill()


WRONG = [
    pytest.param("made.up", "1", "there is no key made.up; Sluice's own keys are ", id="unknown"),
    pytest.param("made_up_cb", "1", "made_up_cb cannot be set: ", id="callback"),
    pytest.param(
        "debug", "all", "debug has to be allowed by the administrator, with SLUICE_KAFKA_ALLOW=debug", id="debug"
    ),
    pytest.param(
        "sasl.oauthbearer.metadata.authentication.type", "none", "has to be allowed by the administrator", id="identity"
    ),
    pytest.param("fetch.max.bytes", 1 << 30, "(SLUICE_FETCH_BUFFER_KB in bytes), got '1073741824'", id="memory"),
    pytest.param("fetch.min.bytes", "env:HOME", "fetch.min.bytes takes neither env: nor file:", id="quoted"),
    pytest.param("sasl.password", "env:HOME", "the variable HOME, which is not allowed for 127.0.0.1:", id="variable"),
    pytest.param("sasl.password", "file:/etc/hostname", "/etc/hostname, which is not allowed for 127.0", id="file"),
    pytest.param("ssl.ca.location", "/etc/shadow", "/etc/shadow, which is not allowed for 127.0.0.1:", id="path"),
]


@pytest.mark.parametrize(("key", "value", "words"), WRONG)
def test_what_is_not_allowed_is_refused_by_create_and_alter_in_the_same_words(
    stream: Configured, host: Host, tmp_path: Path, key: str, value: object, words: str
) -> None:
    said = {refusal(stream.configured, {key: value})}
    assert stream.status is None
    stream.configured({"client.id": "me"})
    said.add(refusal(stream.configure, {key: value}))
    assert len(said) == 1
    (text,) = said
    assert text.startswith(f"sluice.errors.SettingError: Kafka stream {stream.name}, config: ")
    assert words in text
    assert stream.info["config"] == {"client.id": "me"}
    clause = f"ALTER STREAM {stream.name} SET CONFIG {{'{key}': $value}}"
    with clauses(host, tmp_path) as session, pytest.raises(neo4j.exceptions.Neo4jError) as caught:
        session.run(clause, value=value).consume()
    assert str(caught.value.message) == text.removeprefix("sluice.errors.SettingError: ")


@pytest.fixture
def guarded(own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path) -> ServerHost:
    """A host with a secret that is for one broker, and a password of its own in a folder that is let out."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "secret").write_text(f"{SECRET}\n")
    (tmp_path / "folder" / "loopback").write_text(f"{LOOPBACK}\n")
    return own_host(
        env={
            "KAFKA_SECRET": f"{SECRET}\n",
            "SLUICE_LOOPBACK_PASSWORD_FILE": str(tmp_path / "folder" / "loopback"),
            "SLUICE_SECRETS_ALLOW": f"KAFKA_SECRET@{kafka.bootstrap},{tmp_path}/folder@{kafka.bootstrap}",
            "SLUICE_KAFKA_ALLOW": "batch.size",
        }
    )


def test_a_bound_secret_reaches_no_other_broker_however_it_is_asked_for(
    guarded: ServerHost, kafka: KafkaBroker, tmp_path: Path, elsewhere: socket.socket
) -> None:
    stream = Configured(guarded.run, kafka, tmp_path, "bound")
    config = {"sasl.username": f"file:{tmp_path}/folder/secret", "sasl.password": "env:KAFKA_SECRET", "batch.size": 9}
    stream.send(numbers(0, 5))
    stream.configured(config)
    stream.start()
    stream.await_values(numbers(0, 5))
    stream.stop()
    there = address(elsewhere)
    other = Configured(guarded.run, kafka, tmp_path, "other", topic=stream.topic)
    altered = "CALL streams.alter($name, {uri: $uri})"
    for said in (
        refusal(other.configured, config, uri=there),
        refusal(stream.run, altered, name=stream.name, uri=there),
        refusal(stream.run, altered, name=stream.name, uri=f"{kafka.bootstrap},{there}"),
    ):
        assert "is not allowed for" in said
        assert there in said
    edit(stream, uri=there)
    stream.start()
    stream.await_status("error")
    assert f"which is not allowed for {there}" in stream.info["reason"]
    assert "is not allowed for" in refusal(stream.test)
    assert not heard(elsewhere)
    assert SECRET not in guarded.log_text()


def test_the_modules_own_password_goes_nowhere(guarded: ServerHost, kafka: KafkaBroker, tmp_path: Path) -> None:
    stream = Configured(guarded.run, kafka, tmp_path, "curious")
    password = f"{tmp_path}/folder/loopback"
    for config, words in (
        ({"sasl.password": f"file:{password}"}, f"refers to {password}, which is never allowed"),
        ({"sasl.username": "env:SLUICE_LOOPBACK_PASSWORD_FILE"}, "which is never allowed"),
        ({"client.id": f"file:{password}"}, "client.id takes neither env: nor file:"),
        ({"ssl.ca.location": password, "security.protocol": "ssl"}, f"refers to {password}, which is never allowed"),
        ({"ssl.key.location": str(guarded.data)}, "which is never allowed"),
    ):
        said = refusal(stream.configured, config)
        assert words in said
        assert LOOPBACK not in said
    stream.configured(None)
    edit(stream, config=f'{{"sasl.password":"file:{password}"}}')
    stream.start()
    stream.await_status("error")
    assert f"refers to {password}, which is never allowed" in stream.info["reason"]
    assert LOOPBACK not in guarded.log_text()


def test_what_a_client_says_of_a_file_is_not_told(guarded: ServerHost, kafka: KafkaBroker, tmp_path: Path) -> None:
    stream = Configured(guarded.run, kafka, tmp_path, "quoting")
    place = f"{tmp_path}/folder/secret"
    for key in ("ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.crl.location"):
        said = refusal(stream.configured, {"security.protocol": "ssl", key: place})
        assert f"cannot use the config: librdkafka does not take {key} (_INVALID_ARG): " in said
        assert SECRET not in said
        assert "error:" not in said
    assert SECRET not in guarded.log_text()


def test_a_stream_whose_config_is_not_allowed_any_more_ends_and_can_be_put_right(stream: Configured) -> None:
    started(stream)
    edit(stream, config='{"made.up":"1","on_error":"skip"}')
    stream.await_status("error")
    assert "config: there is no key made.up" in stream.info["reason"]
    assert "there is no key made.up" in refusal(stream.configure, {"on_gap": "skip"})
    stream.configure({"made.up": None})
    assert stream.info["config"] == {"on_error": "skip"}
    stream.send(numbers(10, 20))
    stream.start()
    stream.await_values(numbers(0, 20))
