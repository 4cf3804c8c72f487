"""A stream's config is checked key by key; secrets are references everywhere but in the client."""

from __future__ import annotations

import pytest

from sluice.errors import SettingError
from sluice.values.configuration import (
    DEFAULT,
    Configuration,
    Isolate,
    OnError,
    OnGap,
    configuration_of,
    decode,
    decode_changed,
)
from sluice.values.model import StreamSpec, Transform

EVERYTHING = {
    "on_error": "dead_letter",
    "dead_letter_topic": "errors",
    "isolate": "never",
    "on_gap": "skip",
    "fold": False,
    "partitions": [3, 0],
    "security.protocol": "SASL_SSL",
    "sasl.mechanism": "PLAIN",
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
        partitions=(0, 3),
        kafka=(
            ("enable.ssl.certificate.verification", "true"),
            ("fetch.wait.max.ms", "10"),
            ("sasl.mechanism", "PLAIN"),
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
            {"on_error": "ignore"}, "on_error must be one of stop, skip, park, dead_letter, got 'ignore'", id="error"
        ),
        pytest.param({"park_limit": 0}, "park_limit must be an integer from 1 to 100000, got 0", id="keep limit"),
        pytest.param({"park_limit": True}, "park_limit must be an integer from 1 to 100000, got True", id="no number"),
        pytest.param({"on_gap": 1}, "on_gap must be one of stop, skip, got 1", id="gap"),
        pytest.param({"isolate": "each"}, "isolate must be one of bisect, never, got 'each'", id="isolate"),
        pytest.param({"source": "x"}, "source must be one of messages, dead_letters, got 'x'", id="source"),
        pytest.param({"fold": "yes"}, "fold must be true or false, got 'yes'", id="fold"),
        *(
            pytest.param({"partitions": wrong}, "partitions must be a list of the numbers of partitions", id=f"{wrong}")
            for wrong in (3, "0,3", [], [0, "1"], [-1], [True], [2**31])
        ),
        *(
            pytest.param({"lanes": wrong}, "lanes must be an integer from 1 to 64, or 'auto'", id=f"lanes {wrong}")
            for wrong in (0, 65, True, "many")
        ),
        pytest.param({"partitions": [0, 3, 0]}, "partitions must have each number once", id="twice"),
        pytest.param({"on_error": "dead_letter"}, "on_error dead_letter needs a dead_letter_topic", id="no topic"),
        pytest.param({"dead_letter_topic": " "}, "dead_letter_topic must be printable text", id="blank topic"),
        pytest.param({"client.id": 1.5}, "client.id must be text, an integer, true or false, got a float", id="float"),
        pytest.param({"client.id": ["x"]}, "client.id must be text, an integer, true or false, got a list", id="list"),
        pytest.param({"stats_cb": "x"}, "stats_cb cannot be set: it is not a text, number or boolean", id="callback"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(given, message):
    with pytest.raises(SettingError) as caught:
        configuration_of("people", given)
    assert str(caught.value).startswith(f"Kafka stream people, config: {message}")


def test_a_change_keeps_the_other_keys_and_null_takes_one_back():
    held = configuration_of("s", {"on_error": "skip", "on_gap": "skip", "client.id": "x"}).encode()
    after = decode_changed("s", held, {"on_gap": None, "client.id": None, "isolate": "never"})
    assert after == Configuration(on_error=OnError.SKIP, isolate=Isolate.NEVER)


def test_where_a_stream_began_is_not_changed():
    held = configuration_of("s", {"start": "latest"}).encode()
    assert decode_changed("s", held, {"start": "latest"}).start == "latest"
    for start in ("earliest", None):
        with pytest.raises(SettingError, match="SEEK STREAM sends this one elsewhere"):
            decode_changed("s", held, {"start": start})


@pytest.mark.parametrize("text", ["[]", "{", "7", '{"on_error":"perhaps"}'])
def test_a_node_edited_by_hand_is_named(text):
    with pytest.raises(SettingError, match="Kafka stream s, config: "):
        decode("s", text)


def test_dead_letters_cannot_go_where_they_came_from():
    config = Configuration(on_error=OnError.SKIP, dead_letter_topic="t")
    with pytest.raises(SettingError, match="dead_letter_topic cannot be the stream's own topic"):
        StreamSpec("u", "s", "h:1", "t", Transform("/t.py", "", ""), config=config)
