"""librdkafka's properties are an allow-list; no value that is wrong, and none that is internal, gets to librdkafka."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from sluice.brokers import clients
from sluice.errors import SettingError
from sluice.host import settings
from sluice.host.kafka_kinds import Choice, Integer, Reference, Switch
from sluice.host.kafka_properties import PropertyAllow, WrongProperty, checked
from sluice.host.kafka_refusals import ON_REQUEST, REFUSED
from sluice.host.kafka_table import ALLOWED
from sluice.host.settings import Settings, load, put_in_force
from sluice.values.configuration import OWN_KEYS, Configuration, configuration_of, decode, decode_changed
from tests import librdkafka, property_tables

ROOT = Path(__file__).resolve().parents[2]

OF_THE_BINDING = {"default.topic.config", "logger", "on_commit", "on_delivery"}
"Keys that confluent-kafka itself takes."

HIDDEN = {"test.mock.num.brokers"}
"One that librdkafka does not document, and that people find."

KINDS = {Integer: {"integer", "float"}, Switch: {"boolean"}}


@pytest.fixture(autouse=True)
def _as_it_was():
    before = settings.in_force()
    yield
    put_in_force(before)


NONE = PropertyAllow()


def refusal(given: dict[str, Any], allow: PropertyAllow = NONE, buffer_kb: int = 16384) -> str:
    with pytest.raises(WrongProperty) as caught:
        checked(given, allow, buffer_kb, OWN_KEYS)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# The table, beside librdkafka's own


def test_the_installed_librdkafka_has_no_property_that_was_not_looked_through():
    listed = {item.name for item in librdkafka.listed()}
    new = {item.name for item in librdkafka.installed()} - listed
    assert not new, "decide what they are in kafka_table or kafka_refusals, then: python -m tests.librdkafka"


def test_the_list_is_of_the_version_that_the_images_install():
    pinned = re.search(r"^confluent-kafka==(\S+)", (ROOT / "docker/requirements-server.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert librdkafka.version() == pinned[1]


def test_each_property_that_there_is_is_allowed_or_for_the_administrator_or_refused():
    listed = {item.name for item in librdkafka.listed()}
    assert len(listed) > 180
    assert listed | OF_THE_BINDING | HIDDEN == {*ALLOWED, *ON_REQUEST, *REFUSED}
    assert len(ALLOWED) + len(ON_REQUEST) + len(REFUSED) == len({*ALLOWED, *ON_REQUEST, *REFUSED})


def test_kinds_and_limits_are_within_librdkafkas():
    kinds = {name: item.kind for name, item in ALLOWED.items()} | {name: kind for name, (kind, _) in ON_REQUEST.items()}
    compared = 0
    for item in librdkafka.listed():
        kind = kinds.get(item.name)
        if isinstance(kind, Integer):
            low, high = item.bounds
            assert low <= kind.low <= kind.high <= high, item
        if isinstance(kind, Choice) and item.range:
            assert set(kind.words) <= set(item.range.split(", ")), item
        if type(kind) in KINDS:
            assert item.kind in KINDS[type(kind)], item
            compared += 1
        elif item.kind in ("integer", "boolean", "see dedicated API"):
            assert item.name in REFUSED, item
    assert compared > 50


def test_both_names_of_a_property_are_the_same_property():
    for item in ALLOWED.values():
        if item.also:
            assert (ALLOWED[item.also].also, ALLOWED[item.also].kind) == (item.name, item.kind)


def test_secrets_are_references_by_their_kind():
    secret = re.compile(r"password|secret|passphrase|key\.pem$|oauthbearer\.config$")
    assert {name for name in ALLOWED if secret.search(name)} == {
        name for name, item in ALLOWED.items() if isinstance(item.kind, Reference) and not item.kind.literal
    }


def test_the_page_has_the_tables_that_the_code_checks_by():
    assert property_tables.written() == property_tables.tables()


# Names


@pytest.mark.parametrize(
    "key",
    ["made.up", "internal.made.up", "test.made.up", "ut_made_up", "", "client.id\0", "sasl.made.up\nsasl.username"],
)
def test_a_name_that_is_not_in_the_table_is_refused(key):
    assert refusal({key: "1"}).startswith("there is no key ")


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("CLIENT.ID", "client.id"),
        (" client.id", "client.id"),
        ("client.id ", "client.id"),
        ("sasl.pasword", "sasl.password"),
        ("on_eror", "on_error"),
        ("Sasl.Mechanism", "sasl.mechanism"),
    ],
)
def test_a_name_that_is_nearly_right_is_not_taken_and_the_right_one_is_told(key, meant):
    said = refusal({key: "hunter2"})
    assert said.endswith(f"did you mean {meant}?")
    assert "hunter2" not in said


@pytest.mark.parametrize("key", [*sorted(REFUSED), "made_up_cb"])
def test_what_no_stream_has_is_refused_with_its_reason_also_where_the_administrator_would_have_it(key):
    assert refusal({key: "hunter2"}).startswith(f"{key} cannot be set: ")
    with pytest.raises(ValueError, match=f"{re.escape(key)} cannot be allowed: "):
        PropertyAllow.parse(key)
    assert refusal({key: "hunter2"}, PropertyAllow(frozenset({key}))).startswith(f"{key} cannot be set: ")


@pytest.mark.parametrize("key", sorted(ON_REQUEST))
def test_what_is_the_administrators_to_allow_is_refused_until_it_is(key):
    kind = ON_REQUEST[key][0]
    value = {Integer: "2", Switch: "true", Reference: "env:MADE_UP"}.get(type(kind), "none")
    value = kind.words[0] if isinstance(kind, Choice) else value
    value = "1.0.0" if key == "broker.version.fallback" else value
    assert f"with SLUICE_KAFKA_ALLOW={key}, because {ON_REQUEST[key][1]}" in refusal({key: value})
    assert checked({key: value}, PropertyAllow.parse(f"batch.size, {key}"), 16384) == ((key, value),)
    assert refusal({key: "-17 hunter2"}, PropertyAllow.parse(key)).startswith(f"{key} ")


def test_a_name_that_there_is_not_cannot_be_allowed():
    with pytest.raises(SettingError, match="SLUICE_KAFKA_ALLOW has an invalid value: expected names of "):
        load({"SLUICE_KAFKA_ALLOW": "made.up"}, {})


def test_two_names_of_one_property_are_one_too_many():
    said = refusal({"linger.ms": 1, "queue.buffering.max.ms": 2})
    assert said == "linger.ms and queue.buffering.max.ms are two names of one property: give one of them"


# Values


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        pytest.param("fetch.min.bytes", 0, "must be an integer from 1 to 16777216 (", id="too small"),
        pytest.param("retries", -1, "must be an integer from 0 to 2147483647, got '-1'", id="negative"),
        pytest.param("retries", 1 << 40, "must be an integer from 0 to 2147483647", id="too large"),
        pytest.param("retries", "010", "must be an integer", id="octal"),
        pytest.param("retries", "0x10", "must be an integer", id="hexadecimal"),
        pytest.param("retries", "1_0", "must be an integer", id="underscore"),
        pytest.param("retries", " 1", "must be an integer", id="blank before"),
        pytest.param("retries", "1\n", "must be an integer", id="line break"),
        pytest.param("retries", "\u0661", "must be an integer", id="digits of others"),
        pytest.param("retries", "", "must be an integer", id="empty"),
        pytest.param("retries", True, "must be an integer", id="truth"),
        pytest.param("check.crcs", "yes", "must be true or false, got 'yes'", id="switch"),
        pytest.param("check.crcs", 1, "must be true or false, got '1'", id="number for a switch"),
        pytest.param("security.protocol", "magic", "must be one of plaintext, ssl, ", id="choice"),
        pytest.param("sasl.mechanism", "GSSAPI", "must be one of PLAIN, ", id="a program would run"),
        pytest.param("sasl.mechanism", "plain", "must be one of PLAIN, ", id="librdkafka heeds its case"),
        pytest.param("client.id", "a\0b", "must be printable text", id="NUL"),
        pytest.param("client.id", "a\nb", "must be printable text", id="two lines"),
        pytest.param("client.id", " a", "must be printable text", id="blank"),
        pytest.param("client.id", "", "must be printable text", id="nothing"),
        pytest.param("client.id", "a" * 5000, "must be printable text", id="long"),
        pytest.param("client.id", 1.5, "must be text, an integer, true or false, got a float", id="float"),
        pytest.param("client.id", ["x"], "must be text, an integer, true or false, got a list", id="list"),
        pytest.param("ssl.cipher.suites", "A B", "has characters that it cannot have", id="blank in a list"),
        pytest.param("ssl.ca.pem", "hunter2", "must be certificates in PEM format", id="no PEM"),
        pytest.param("ssl.ca.location", "ca.pem", "must be an absolute path", id="relative"),
        pytest.param("ssl.key.location", "probe", "must be an absolute path", id="only for authorities"),
        pytest.param("ssl.key.location", "/a\0b", "must be an absolute path", id="NUL in a path"),
        pytest.param(
            "sasl.oauthbearer.token.endpoint.url", "http://169.254.1.1/x", "must be a URL: ", id="plain to others"
        ),
        pytest.param("sasl.oauthbearer.token.endpoint.url", "file:///x", "takes neither env: nor file:", id="file"),
        pytest.param("sasl.oauthbearer.token.endpoint.url", "ftp://a/x", "must be a URL: ", id="ftp"),
        pytest.param("sasl.oauthbearer.token.endpoint.url", "https://u@h/x", "must be a URL: ", id="user"),
        pytest.param("sasl.oauthbearer.token.endpoint.url", "https://h\\@i/x", "must be a URL: ", id="backslash"),
        pytest.param("sasl.oauthbearer.token.endpoint.url", "https://h:0/x", "must be a URL: ", id="no port"),
        pytest.param(
            "sasl.password", "hunter2", "is a secret, and would be stored in the graph: give env:NAME", id="open"
        ),
        pytest.param("sasl.password", "env:A-B", "must name a variable", id="no variable"),
        pytest.param("sasl.password", "file:relative", "must have an absolute path", id="relative reference"),
        pytest.param("sasl.password", "file:/a\0b", "must have an absolute path", id="NUL in a reference"),
        pytest.param("sasl.username", "\thunter2", "must be printable text", id="user name"),
        pytest.param("client.id", "env:PATH", "takes neither env: nor file:, those are for secrets", id="env"),
        pytest.param("client.id", "file:/etc/passwd", "takes neither env: nor file:, those are for secrets", id="file"),
        pytest.param("retries", "env:PATH", "takes neither env: nor file:", id="env for a number"),
        pytest.param("ssl.ca.location", "file:/x", "takes neither env: nor file:, it takes a path itself", id="path"),
    ],
)
def test_a_wrong_value_is_refused_by_name_with_what_is_allowed(key, value, words):
    said = refusal({key: value})
    assert said.startswith(f"{key} {words}")
    assert "hunter2" not in said
    assert len(said) < 300


def test_a_private_key_in_the_wrong_place_is_not_repeated():
    key = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"
    certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    for name in sorted({*ALLOWED, *REFUSED}):
        assert "hunter2" not in refusal({name: key})
    assert "hunter2" not in refusal({"ssl.certificate.pem": certificate + key})
    assert checked({"ssl.certificate.pem": certificate}, PropertyAllow(), 1) == (("ssl.certificate.pem", certificate),)


@pytest.mark.parametrize("protocol", ["SASL_SSL", "sasl_plaintext"])
def test_signing_in_needs_a_mechanism_or_librdkafka_would_run_a_program(protocol):
    assert "also requires sasl.mechanism, one of PLAIN, " in refusal({"security.protocol": protocol})
    assert checked({"security.protocol": protocol, "sasl.mechanisms": "PLAIN"}, PropertyAllow(), 1)


# Memory

SIZES = [
    ("queued.max.messages.kbytes", 1000),
    ("queued.min.messages", 1000 * 1024 // 300),
    ("fetch.max.bytes", 1_024_000),
    ("fetch.message.max.bytes", 1_024_000),
    ("max.partition.fetch.bytes", 1_024_000),
    ("fetch.min.bytes", 1_024_000),
    ("message.max.bytes", 1_024_000),
    ("receive.message.max.bytes", 100_000_000),
]


@pytest.mark.parametrize(("key", "most"), SIZES)
def test_the_fetch_buffer_bounds_what_a_stream_may_ask_for(key, most):
    assert checked({key: most}, PropertyAllow(), 1000) == ((key, str(most)),)
    said = refusal({key: most + 1}, buffer_kb=1000)
    assert re.fullmatch(
        rf"{key} must be an integer from \d+ to {most} \(SLUICE_FETCH_BUFFER_KB.*\), got '{most + 1}'", said
    )


def test_a_large_buffer_lets_large_answers_in():
    assert checked({"receive.message.max.bytes": 200_000_512}, PropertyAllow(), 1_000_000)


def test_the_producers_queue_is_not_a_streams_to_set():
    assert "SLUICE_BATCH_MAX_BYTES" in refusal({"queue.buffering.max.kbytes": 1})


# Everybody passes it


@pytest.mark.parametrize("wrong", [{"made.up": "1"}, {"queued.max.messages.kbytes": 1 << 20}, {"client.id": "env:X"}])
def test_create_alter_and_an_edited_node_pass_the_same_check(wrong):
    stored = Configuration(kafka=tuple((key, str(value)) for key, value in wrong.items())).encode()
    said = set()
    for check, given in (
        (configuration_of, (wrong,)),
        (decode, (stored,)),
        (decode_changed, ('{"client.id":"x"}', wrong)),
    ):
        with pytest.raises(SettingError) as caught:
            check("s", *given)
        said.add(str(caught.value))
    assert len(said) == 1
    assert said.pop().startswith("Kafka stream s, config: ")


def test_the_settings_in_force_are_what_counts():
    put_in_force(Settings(kafka_allow=PropertyAllow.parse("batch.size"), fetch_buffer_kb=100))
    assert configuration_of("s", {"batch.size": 7}).kafka == (("batch.size", "7"),)
    with pytest.raises(SettingError, match="from 1 to 100 "):
        configuration_of("s", {"queued.max.messages.kbytes": 101})


def test_what_is_not_allowed_any_more_can_be_taken_out():
    held = '{"made.up":"1","on_error":"skip"}'
    with pytest.raises(SettingError):
        decode("s", held)
    with pytest.raises(SettingError):
        decode_changed("s", held, {"on_gap": "skip"})
    assert decode_changed("s", held, {"made.up": None}) == configuration_of("s", {"on_error": "skip"})


def test_debug_that_the_administrator_has_allowed_reaches_the_log():
    put_in_force(Settings(kafka_allow=PropertyAllow.parse("debug")))
    configuration = configuration_of("s", {"debug": "broker"})
    own = {"logger": object(), "log_level": 2}
    assert clients.make(dict, "s", "h:1", configuration, defaults={}, own=own)["log_level"] == 7
    assert clients.make(dict, "s", "h:1", Configuration(), defaults={}, own=own)["log_level"] == 2
