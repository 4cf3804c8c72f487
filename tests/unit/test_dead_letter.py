"""What a transform gets of a dead letter: the message that it was."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from confluent_kafka import Message

from sluice.brokers.dead_letters import DeadLetters
from sluice.host.settings import Settings
from sluice.scripting.process import TransformProcess
from sluice.values.configuration import Configuration, MessageSource
from sluice.values.dead_letter import HEADERS, original, originals
from sluice.values.failed_message import of_message
from sluice.values.model import StreamSpec, Transform
from sluice.values.record import FIELDS, Record, Records, columns_of, columns_of_messages, record_of, records_of

OWN = [("trace", b"1"), ("sluice.topic", b"mine"), ("trace", None)]


def message(topic: str, offset: int, headers: list[tuple[str, bytes | None]], timestamp: int = 1000) -> Message:
    kind = (1, timestamp) if timestamp >= 0 else (0, timestamp)
    return Message(topic=topic, partition=3, offset=offset, key=b"k", value=b"v", headers=headers, timestamp=kind)


def letter_of(failed: Message, topic: str, offset: int, monkeypatch: pytest.MonkeyPatch) -> Message:
    """The dead letter that a stream makes of a message, as it is read from its topic."""
    entry = of_message(
        failed, action="dead_letter", error=ValueError("no"), query=None, transform_sha256="f00", payload_limit=100
    )
    sent: list[list[tuple[str, Any]]] = []
    letters = DeadLetters(StreamSpec("u", "people", "localhost:1", "t", Transform("/t.py", "", "")), lambda: False)
    monkeypatch.setattr(letters, "_connected", lambda: type("Fake", (), {"flush": lambda *_: 0}))
    monkeypatch.setattr(letters, "_send", lambda _, __, headers: sent.append(headers))
    letters.deliver([(failed, entry)])
    return message(topic, offset, sent[0], timestamp=9999)


@pytest.mark.parametrize("timestamp", [1000, -1])
def test_it_is_the_message_that_it_was(monkeypatch: pytest.MonkeyPatch, timestamp: int):
    was = message("people", 7, OWN, timestamp)
    letter = record_of(letter_of(was, "letters", 0, monkeypatch))
    assert letter.topic == "letters"
    assert tuple(name for name, _ in letter.headers[-len(HEADERS) :]) == HEADERS
    assert original(letter) == record_of(was)
    assert original(letter).headers == OWN


def test_one_that_failed_again_is_the_first_one(monkeypatch: pytest.MonkeyPatch):
    was = message("people", 7, OWN)
    again = letter_of(letter_of(was, "letters", 0, monkeypatch), "letters2", 5, monkeypatch)
    assert original(record_of(again)) == record_of(was)


FACTS = dict.fromkeys(HEADERS, b"1")


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([], id="no headers"),
        pytest.param(OWN, id="others' headers"),
        pytest.param([*list(FACTS.items())[1:]], id="one is missing"),
        pytest.param([*FACTS.items(), ("later", b"x")], id="others after ours"),
        pytest.param([*(FACTS | {"sluice.offset": None}).items()], id="no offset"),
        pytest.param([*(FACTS | {"sluice.offset": b"x"}).items()], id="an offset that is none"),
        pytest.param([*(FACTS | {"sluice.topic": b"\xff"}).items()], id="a topic that is no text"),
        pytest.param([*(FACTS | {"sluice.partition": b"9" * 5000}).items()], id="a partition without end"),
    ],
)
def test_what_is_no_dead_letter_is_itself(headers: list[tuple[str, bytes | None]]):
    record = Record(b"v", None, headers, "letters", 0, 1, None)
    assert original(record) == record


def test_columns_of_messages_are_those_of_their_records():
    messages = [message("people", 7, OWN), message("others", 8, [], timestamp=-1)]
    records = list(map(record_of, messages))
    assert columns_of_messages(messages, FIELDS) == columns_of(records)
    assert records_of(columns_of(records)) == records
    assert {type(record) for record in records_of(columns_of(records))} == {Record}


def test_headers_that_no_message_has_need_no_column():
    messages = [message("people", 7, []), message("people", 8, [])]
    columns = columns_of_messages(messages, FIELDS)
    assert "headers" not in columns
    assert records_of(columns) == list(map(record_of, messages))


def test_columns_are_of_the_originals():
    records = [Record(b"v", b"k", [*FACTS.items()], "letters", 0, 5, 8), Record(b"w", None, [], "letters", 0, 6, 9)]
    assert records_of(originals(columns_of(records))) == [Record(b"v", b"k", [], "1", 1, 1, 1), records[1]]


@pytest.mark.parametrize(
    ("source", "topic"), [(MessageSource.MESSAGES, "letters"), (MessageSource.DEAD_LETTERS, "people")], ids=str
)
def test_a_transform_gets_what_the_configuration_says(
    monkeypatch: pytest.MonkeyPatch, source: MessageSource, topic: str
):
    script = "def stream_messages(batch):\n    return [('RETURN $x', {'x': [m.topic for m in batch]})]"
    transform = Transform("/t.py", script, hashlib.sha256(script.encode()).hexdigest())
    letter = record_of(letter_of(message("people", 7, OWN), "letters", 0, monkeypatch))
    with TransformProcess(transform, Settings(script_timeout=60.0), config=Configuration(source=source)) as process:
        assert process.rows(Records([letter])) == [("RETURN $x", {"x": [topic]})]
