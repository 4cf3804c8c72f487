"""What librdkafka's complaints mean: an answer that is too large, an address that nobody reaches, or only a hiccup."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from sluice.brokers import topic
from sluice.brokers.complaints import LASTS, Complaints
from sluice.brokers.topic import TopicMetadata
from sluice.errors import BrokerUnreachable
from sluice.values.model import StreamSpec, Transform
from tests.unit.partitions import P0

SPEC = StreamSpec("u", "people", "kafka:9092, localhost", "t", Transform("/t.py", "", ""))
TOO_LARGE = (
    "kafka:9092/1: Receive failed: Invalid response size 3000123 (0..1100000): increase receive.message.max.bytes"
)
REFUSED = "10.0.0.5:9095/1: Connect to ipv4#10.0.0.5:9095 failed: Connection refused (after 0ms in state CONNECT)"


def complaint(text: str, code: int = KafkaError._TRANSPORT) -> KafkaError:
    return KafkaError(code, text)


def test_an_answer_that_is_too_large_names_its_size_and_the_setting_while_it_comes():
    clock = SimpleNamespace(now=100.0)
    complaints = Complaints(SPEC, lambda: clock.now)
    complaints.note(complaint(f"{TOO_LARGE} (after 5ms in state UP)", KafkaError._BAD_MSG))
    text = (
        "Kafka stream people: an answer of 3000123 bytes from broker kafka:9092, more than receive.message.max.bytes "
        "(1100000) allows, holds up all that comes from it: STOP STREAM people, ALTER STREAM people SET CONFIG "
        "{`receive.message.max.bytes`: 4048699} and START it"
    )
    assert complaints.obstacle == text
    assert str(complaints.silence("t", 10)) == text
    complaints.answered()  # as other brokers do
    clock.now += LASTS - 1
    assert complaints.obstacle == text
    clock.now += 1
    assert complaints.obstacle is None


def test_a_complaint_is_news_once():
    complaints = Complaints(SPEC)
    assert (complaints.pending, complaints.take()) == (False, None)
    complaints.note(complaint("kafka:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused"))
    complaints.note(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
    assert complaints.pending
    assert str(complaints.take()).endswith("failed: Connection refused")
    assert (complaints.pending, complaints.take(), complaints.obstacle) == (False, None, None)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (REFUSED, "10.0.0.5:9095"),
        ("sasl_ssl://inner:9095/2: Failed to resolve 'inner:9095': Name or service not known", "inner:9095"),
        (
            "10.0.0.5:9095/1: Connection setup timed out in state CONNECT (after 8000ms in state CONNECT)",
            "10.0.0.5:9095",
        ),
        ("kafka:9092/1: Connect to ipv4#10.0.0.5:9092 failed: Connection refused", None),
        ("localhost:9092/1: Connect to ipv4#127.0.0.1:9092 failed: Connection refused", None),
        ("GroupCoordinator: 10.0.0.5:9095: Connect to ipv4#10.0.0.5:9095 failed: Connection refused", "10.0.0.5:9095"),
        ("GroupCoordinator: kafka:9092: Connect to ipv4#10.0.0.5:9092 failed: Connection refused", None),
        ("other:9092/bootstrap: Connect to ipv4#10.0.0.5:9092 failed: Connection refused", None),
        ("10.0.0.5:9095/1: Disconnected (after 5ms in state UP)", None),
    ],
)
def test_an_address_that_brokers_give_and_nobody_reaches_is_named(text: str, address: str | None):
    complaints = Complaints(SPEC)
    complaints.note(complaint(text))
    assert complaints.advertised == address
    expected = f"; brokers at kafka:9092, localhost give {address} as their address (advertised.listeners)"
    for told in (str(complaints.take()), str(complaints.silence("t", 10))):
        assert (expected in told) == (address is not None)
        assert text in told


class Led:
    """A client whose topic is led by one broker; asked for offsets it complains, or answers."""

    def __init__(self, address: str, error: str | None, refusal: int | None = None) -> None:
        host, port = address.split(":")
        self.complaints = Complaints(SPEC)
        self.asked = 0
        self._error = error
        self._refusal = refusal
        self._metadata = SimpleNamespace(
            topics={"t": SimpleNamespace(partitions={0: SimpleNamespace(leader=1), 1: SimpleNamespace(leader=-1)})},
            brokers={1: SimpleNamespace(host=host, port=int(port))},
        )

    def list_topics(self, *_: Any, **__: Any) -> Any:
        return self._metadata

    def get_watermark_offsets(self, *_: Any, **__: Any) -> tuple[int, int] | None:
        self.asked += 1
        if self._refusal is not None:
            raise KafkaException(KafkaError(self._refusal))
        return (0, 0) if self._error is None else None

    def serve(self) -> None:
        if self._error:
            self.complaints.note(complaint(self._error))

    def check(self) -> None:
        client: Any = self
        TopicMetadata(client, SPEC, 0.2, self.complaints, self.serve).check_leaders(frozenset({P0}))


def test_leaders_that_are_not_in_the_uri_are_reached_or_named():
    known = Led("kafka:9092", "never asked")
    known.check()
    assert known.asked == 0
    reached = Led("10.0.0.5:9095", None)
    reached.check()
    assert reached.asked == 1
    denied = Led("10.0.0.5:9095", "", KafkaError.TOPIC_AUTHORIZATION_FAILED)
    denied.check()
    assert denied.asked == 1
    with pytest.raises(BrokerUnreachable, match=r"give 10\.0\.0\.5:9095 as their address") as caught:
        Led("10.0.0.5:9095", REFUSED).check()
    assert "Connection refused" in str(caught.value)


@pytest.mark.parametrize("complaint", ["", "10.0.0.7:9095/3: Connect to ipv4#10.0.0.7:9095 failed: Connection refused"])
def test_a_leader_that_says_nothing_is_named_in_time(monkeypatch: pytest.MonkeyPatch, complaint: str):
    monkeypatch.setattr(topic, "SLICE", 0.01)
    with pytest.raises(BrokerUnreachable, match=r"10\.0\.0\.5:9095 does not answer"):
        Led("10.0.0.5:9095", complaint).check()


def test_brokers_that_refuse_an_old_token_do_not_hide_why_there_is_no_new_one():
    clock = SimpleNamespace(now=100.0)
    complaints = Complaints(SPEC, lambda: clock.now)
    failed = "Failed to acquire SASL OAUTHBEARER token: Failed to retrieve OIDC token: closed for repairs"
    refused = complaint(
        'kafka:9092/1: SASL authentication error: {"status":"invalid_token"}', KafkaError._AUTHENTICATION
    )
    complaints.note(complaint(failed, KafkaError._AUTHENTICATION))
    assert (complaints.take() or "").count("closed for repairs") == 1
    complaints.note(refused)
    said = complaints.take() or ""
    assert "invalid_token" in said
    assert said.endswith("; there is no new token: Failed to retrieve OIDC token: closed for repairs")
    clock.now += LASTS
    complaints.note(refused)
    assert "no new token" not in (complaints.take() or "")
    complaints.note(complaint(failed, KafkaError._AUTHENTICATION))
    complaints.answered()
    complaints.note(refused)
    assert "no new token" not in (complaints.take() or "")
