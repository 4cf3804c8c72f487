"""A message whose headers the client cannot read costs itself alone, and is asked for them once."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from confluent_kafka import Message

from sluice.brokers.dead_letters import DeadLetters
from sluice.errors import HeadersUnreadable
from sluice.host.settings import Settings
from sluice.scripting.process import TransformProcess
from sluice.values.batch import Batch
from sluice.values.failed_message import FailedMessage, of_message
from sluice.values.model import StreamSpec, Transform
from sluice.values.parked_message import parked
from sluice.values.record import headers_of, readable_headers, record_of

SOURCE = """
def {}(batch):
    return [("RETURN 1", {{}}) for _ in batch]
"""


class Unreadable(Message):  # type: ignore[misc]
    """As confluent-kafka's own with a name that is not UTF-8, which can be asked for its headers once."""

    asked = 0

    def headers(self) -> Any:
        given = super().headers()
        if given is not None:
            return given
        self.asked += 1
        assert self.asked == 1, "confluent-kafka may not outlast this"
        raise SystemError("<method 'headers'> returned a result with an exception set")


def message(offset: int, kind: type[Message] = Message) -> Message:
    return kind(topic="t", partition=0, offset=offset, value=b"x")


def described(bad: Message) -> FailedMessage:
    return of_message(bad, action="park", error="why", query=None, transform_sha256="", payload_limit=8)


def process_of(function: str) -> TransformProcess:
    source = SOURCE.format(function)
    transform = Transform("/t.py", source, hashlib.sha256(source.encode()).hexdigest())
    return TransformProcess(transform, Settings(transform_timeout=10.0))


def test_headers_are_asked_for_once():
    bad = message(7, Unreadable)
    for _ in range(3):
        with pytest.raises(
            HeadersUnreadable, match=r"partition 0, offset 7 cannot be read: a name in them is not UTF-8"
        ):
            headers_of(bad)
    assert readable_headers(bad) == []
    assert record_of(bad, lenient=True).headers == []


@pytest.mark.parametrize("given", [None, [], [("name", b"value"), ("none", None)]])
def test_other_headers_are_as_they_were(given):
    good = Message(topic="t", partition=0, offset=0, value=b"x", headers=given)
    assert headers_of(good) == headers_of(good) == (given or [])


def test_only_the_batch_with_the_message_fails():
    batches = [Batch([message(0)]), Batch([message(1), message(2, Unreadable)]), Batch([message(3)])]
    with process_of("stream_messages") as process:
        before = process.pack(batches)
        assert (before.batches, before.error) == (1, None)
        failed = process.pack(batches[1:])
        assert (failed.batches, failed.failed, type(failed.error)) == (0, 0, HeadersUnreadable)
        good, bad = batches[1].halves()
        assert process.pack([good]).error is None
        assert isinstance(process.pack([bad]).error, HeadersUnreadable)
        assert process.pack(batches[2:]).batches == 1


def test_a_transform_that_wants_values_alone_is_given_them():
    with process_of("stream") as process:
        assert process.pack([Batch([message(0, Unreadable)])]).error is None


def test_what_fails_is_described_and_parked_without_them():
    bad = message(5, Unreadable)
    entry = described(bad)
    assert (entry.offset, entry.headers) == (5, ())
    assert parked(bad, entry, 1).headers == ()


def test_a_dead_letter_has_our_headers_alone(monkeypatch: pytest.MonkeyPatch):
    bad, sent = message(5, Unreadable), []
    spec = StreamSpec("u", "people", "localhost:1", "t", Transform("/t.py", "", ""))
    letters = DeadLetters(spec, lambda: False)
    monkeypatch.setattr(letters, "_connected", lambda: type("Fake", (), {"flush": lambda *_: 0}))
    monkeypatch.setattr(letters, "_send", lambda _, __, headers: sent.extend(headers))
    letters.deliver([(bad, described(bad))])
    assert sent
    assert all(name.startswith("sluice.") for name, _ in sent)
