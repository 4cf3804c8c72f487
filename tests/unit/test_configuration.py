"""A stream's config is checked key by key; secrets are references everywhere but in the client."""

from __future__ import annotations

import pytest
from confluent_kafka import Producer

from sluice.brokers import clients
from sluice.errors import BrokerError, SettingError
from sluice.values.configuration import (
    DEFAULT,
    REFUSED,
    SECRETS,
    Configuration,
    Isolate,
    OnError,
    OnGap,
    configuration_of,
    decode,
)
from sluice.values.model import StreamSpec, Transform

EVERYTHING = {
    "on_error": "dead_letter",
    "dead_letter_topic": "errors",
    "isolate": "never",
    "on_gap": "skip",
    "fold": False,
    "security.protocol": "SASL_SSL",
    "sasl.password": "env:KAFKA_PASSWORD",
    "fetch.wait.max.ms": 10,
    "enable.ssl.certificate.verification": True,
}


def test_no_config_is_the_default():
    assert configuration_of("s", None) == configuration_of("s", {}) == DEFAULT == Configuration()
    assert DEFAULT.encode() == "{}"


def test_every_key_arrives():
    assert configuration_of("s", EVERYTHING) == Configuration(
        on_error=OnError.DEAD_LETTER,
        dead_letter_topic="errors",
        isolate=Isolate.NEVER,
        on_gap=OnGap.SKIP,
        fold=False,
        kafka=(
            ("enable.ssl.certificate.verification", "true"),
            ("fetch.wait.max.ms", "10"),
            ("sasl.password", "env:KAFKA_PASSWORD"),
            ("security.protocol", "SASL_SSL"),
        ),
    )


def test_it_survives_the_node():
    configuration = configuration_of("s", EVERYTHING)
    assert decode("s", configuration.encode()) == configuration
    assert decode("s", "") == DEFAULT


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param(
            {"on_error": "ignore"}, "on_error must be one of stop, skip, keep, dead_letter, got 'ignore'", id="error"
        ),
        pytest.param({"keep_limit": 0}, "keep_limit must be an integer from 1 to 100000, got 0", id="keep limit"),
        pytest.param({"keep_limit": True}, "keep_limit must be an integer from 1 to 100000, got True", id="no number"),
        pytest.param({"on_gap": 1}, "on_gap must be one of stop, skip, got 1", id="gap"),
        pytest.param({"isolate": "each"}, "isolate must be one of bisect, never, got 'each'", id="isolate"),
        pytest.param({"fold": "yes"}, "fold must be true or false, got 'yes'", id="fold"),
        pytest.param({"on_error": "dead_letter"}, "on_error dead_letter needs a dead_letter_topic", id="no topic"),
        pytest.param({"dead_letter_topic": " "}, "dead_letter_topic must be printable text", id="blank topic"),
        pytest.param({"client.id": 1.5}, "client.id must be text, an integer, true or false, got a float", id="float"),
        pytest.param({"client.id": ["x"]}, "client.id must be text, an integer, true or false, got a list", id="list"),
        pytest.param({"stats_cb": "x"}, "stats_cb cannot be set: it is no text, number or truth value", id="callback"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(given, message):
    with pytest.raises(SettingError) as caught:
        configuration_of("people", given)
    assert str(caught.value).startswith(f"Kafka stream people, config: {message}")


@pytest.mark.parametrize("key", sorted(REFUSED))
def test_what_the_stream_sets_itself_is_refused_by_name(key):
    with pytest.raises(SettingError, match=f"config: {key} cannot be set: "):
        configuration_of("people", {key: "secret-value"})


@pytest.mark.parametrize("key", sorted(SECRETS))
def test_a_secret_is_refused_in_the_open_and_not_repeated(key):
    with pytest.raises(SettingError) as caught:
        configuration_of("people", {key: "hunter2"})
    assert key in str(caught.value)
    assert "env:NAME or file:PATH" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_change_keeps_the_other_keys_and_null_takes_one_back():
    before = configuration_of("s", {"on_error": "skip", "on_gap": "skip", "client.id": "x"})
    after = before.changed("s", {"on_gap": None, "client.id": None, "isolate": "never"})
    assert after == Configuration(on_error=OnError.SKIP, isolate=Isolate.NEVER)


@pytest.mark.parametrize("text", ["[]", "{", "7", '{"on_error":"perhaps"}'])
def test_a_node_edited_by_hand_is_named(text):
    with pytest.raises(SettingError, match="Kafka stream s, config: "):
        decode("s", text)


def test_dead_letters_cannot_go_where_they_came_from():
    config = Configuration(on_error=OnError.SKIP, dead_letter_topic="t")
    with pytest.raises(SettingError, match="dead_letter_topic cannot be the stream's own topic"):
        StreamSpec("u", "s", "h:1", "t", Transform("/t.py", "", ""), config=config)


def test_secrets_are_resolved_from_variables_and_files(monkeypatch, tmp_path):
    monkeypatch.setenv("KAFKA_PASSWORD", "hunter2")
    file = tmp_path / "key"
    file.write_text("swordfish\n")
    given = {"sasl.password": "env:KAFKA_PASSWORD", "ssl.key.password": f"file:{file}", "client.id": "plain"}
    resolved = clients.resolve("s", configuration_of("s", given))
    assert resolved == {"sasl.password": "hunter2", "ssl.key.password": "swordfish", "client.id": "plain"}


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("env:SLUICE_NO_SUCH", "refers to the variable SLUICE_NO_SUCH, which the server does not have"),
        ("env:MEMGRAPH_NO_SUCH", "refers to the variable MEMGRAPH_NO_SUCH, which the server does not have"),
        ("env:NO_SUCH_VARIABLE", "refers to the variable NO_SUCH_VARIABLE, which the server does not have"),
        ("file:/no/such/file", "refers to /no/such/file, which is no file"),
        ("file:/dev/zero", "refers to /dev/zero, which is no file"),
    ],
)
def test_a_reference_to_nothing_is_named(reference, reason):
    with pytest.raises(SettingError) as caught:
        clients.resolve("s", configuration_of("s", {"sasl.password": reference}))
    assert str(caught.value) == f"Kafka stream s, config: sasl.password {reason}"


@pytest.mark.parametrize("variable", ["SLUICE_LOOPBACK_PASSWORD", "MEMGRAPH_PASSWORD", "MEMGRAPH_ENTERPRISE_LICENSE"])
def test_our_own_variables_and_the_servers_go_to_no_broker(monkeypatch, variable):
    monkeypatch.setenv(variable, "hunter2")
    with pytest.raises(SettingError, match="which the server does not have"):
        clients.resolve("s", configuration_of("s", {"sasl.password": f"env:{variable}"}))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"on_eror": "skip"}, 'No such configuration property: "on_eror"; the keys that are not librdkafka\'s are '),
        ({"security.protocol": "magic"}, 'Invalid value "magic" for configuration property "security.protocol"'),
        ({"security.protocol": "env:PROTOCOL"}, 'Invalid value "***" for configuration property'),
    ],
)
def test_librdkafkas_reason_is_given_without_secrets(given, reason, monkeypatch):
    monkeypatch.setenv("PROTOCOL", "hunter2")
    with pytest.raises(BrokerError) as caught:
        clients.make(Producer, "s", "127.0.0.1:1", configuration_of("s", given), defaults={}, own={})
    assert not caught.value.retryable
    assert str(caught.value).startswith("Kafka stream s, cannot use the config: ")
    assert reason in str(caught.value)
    assert "hunter2" not in str(caught.value)
