"""What is known of a failed message fits into a node, and comes back out of it."""

from __future__ import annotations

import json

import pytest
from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st

from sluice.values.failed_message import TEXT_LIMIT, as_text, decode, encode, extended, of_gap, of_message

MESSAGE = Message(topic="t", partition=3, offset=17, key=b"k", value=b"\xff\x00", headers=[("h", b"1"), ("none", None)])


def entry(message: Message = MESSAGE, **changes):
    facts = {"action": "skip", "error": "why", "query": None, "transform_sha256": "ab", "payload_limit": 8, **changes}
    return of_message(message, **facts)


def at(offset: int, action: str = "skip"):
    return entry(Message(topic="t", partition=0, offset=offset, value=b"x"), action=action)


def test_a_message_is_described():
    made = entry(query=("CREATE ($x)", {"x": b"raw"}))
    assert (made.topic, made.partition, made.offset, made.count, made.action) == ("t", 3, 17, 1, "skip")
    assert (made.key, made.payload, made.payload_bytes) == ("k", "base64:/wA=", 2)
    assert made.headers == (("h", "1"), ("none", None))
    assert (made.query, made.params) == ("CREATE ($x)", '{"x": "b\'raw\'"}')
    assert made.time.endswith("Z")


def test_a_tombstone_has_no_payload():
    made = entry(Message(topic="t", partition=0, offset=0, value=None))
    assert (made.key, made.payload, made.payload_bytes, made.headers) == (None, None, 0, ())


@pytest.mark.parametrize(
    ("data", "limit", "text"),
    [
        pytest.param(None, 5, None, id="nothing"),
        pytest.param(b"", 5, "", id="empty"),
        pytest.param(b"hello you", 5, "hello", id="cut"),
        pytest.param("häh".encode(), 2, "h", id="cut through a character"),
        pytest.param(b"\xff\xff\xff\xff", 2, "base64://8=", id="no text, cut"),
        pytest.param(b"\0\0\0\5", 4, "base64:AAAABQ==", id="a number"),
    ],
)
def test_bytes_as_text(data, limit, text):
    assert as_text(data, limit) == text


def test_a_long_message_is_cut_everywhere():
    big = b"x" * 100_000
    message = Message(topic="t", partition=0, offset=0, key=big, value=big, headers=[(f"h{i}", big) for i in range(9)])
    made = entry(message, query=("Q" * 100_000, {"p": "v" * 100_000}), error="e" * 100_000, payload_limit=64)
    assert made.payload_bytes == 100_000
    assert len(encode([made])) < 6 * TEXT_LIMIT


def test_the_latest_are_kept_the_newest_last():
    assert [e.offset for e in extended([at(1), at(2)], [at(3), at(4)], limit=3)] == [2, 3, 4]


def test_a_message_that_was_stopped_at_again_is_there_once():
    assert [(e.offset, e.action) for e in extended([at(1, "stop"), at(2)], [at(1)], limit=9)] == [
        (2, "skip"),
        (1, "skip"),
    ]


def test_history_survives_the_node():
    history = (entry(query=("Q", {"a": [1, None]})), of_gap("t", 0, 5, 90, "gone"), at(7))
    assert decode(encode(history)) == history


@pytest.mark.parametrize("text", ["", "{", "7", "[7]", '[{"time":1}]', "null", '[{"headers":7}]'])
def test_an_edited_history_is_no_history(text):
    assert decode(text) == ()


@given(st.binary())
def test_whatever_the_payload_is_it_can_be_stored(payload):
    made = entry(Message(topic="t", partition=0, offset=0, value=payload))
    assert json.loads(encode([made]))[0]["payload"] == made.payload


def test_a_record_holds_lists_only():
    assert entry().as_row()["headers"] == [["h", "1"], ["none", None]]
