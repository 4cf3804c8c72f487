"""A message that is kept comes back as it was; a request means what was there when it was made."""

from __future__ import annotations

import dataclasses

import pytest
from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st

from sluice.values.failed_message import of_message
from sluice.values.parked_message import (
    RetryRequest,
    as_bytes,
    as_text,
    decode_requests,
    encode_requests,
    groups,
    message_of,
    parked,
)

payloads = st.one_of(st.none(), st.binary(), st.text().map(str.encode), st.text().map(lambda t: f"base64:{t}".encode()))


def keep(value: bytes | None, number: int = 1, **message):
    given = Message(**{"topic": "t", "partition": 0, "offset": number, "value": value, **message})
    entry = of_message(given, action="keep", error="why", query=None, transform_sha256="ab", payload_limit=8)
    return parked(given, entry, number)


@given(payloads)
def test_bytes_come_back_as_they_were(data):
    assert as_bytes(as_text(data)) == data


@given(payloads, payloads, st.lists(st.tuples(st.text(), payloads), max_size=3))
def test_a_message_comes_back_from_its_node(value, key, headers):
    message = keep(value, key=key, headers=headers, timestamp=(1, 1_700_000_000_123))
    record = message_of(message.properties()).record
    assert record == (value, key, headers, "t", 0, 1, 1_700_000_000_123)
    assert message.payload_bytes == len(value or b"")


def test_a_node_that_was_edited_is_an_error():
    good = keep(b"x").properties()
    for wrong in (
        *({"number": "x"}, {"headers": "1"}, {"headers": "["}, {"partition": None}, {"offset": float("inf")}),
        *({"key": True}, {"payload": 1}, {"timestamp": "now"}, {"headers": '[["h", 1]]'}, {"query": ["x"]}),
    ):
        with pytest.raises(ValueError, match="the node of a parked message cannot be read"):
            message_of({**good, **wrong})
    with pytest.raises(ValueError, match="base64"):
        as_bytes("base64:no!")


@pytest.mark.parametrize(
    ("request_", "meant"),
    [
        pytest.param(RetryRequest(1, 99), [1, 2, 3], id="all"),
        pytest.param(RetryRequest(1, 2), [1, 2], id="not what is parked later"),
        pytest.param(RetryRequest(1, 99, partition=1), [], id="another partition"),
        pytest.param(RetryRequest(1, 99, partition=0, offset=3), [3], id="one message"),
        pytest.param(RetryRequest(1, 99, topic="t"), [1, 2, 3], id="of the topic"),
        pytest.param(RetryRequest(1, 99, topic="u"), [], id="of another topic"),
        pytest.param(RetryRequest(1, 2, partition=0, offset=3), [], id="one message, later"),
    ],
)
def test_a_request_means_these(request_, meant):
    assert [n for n in (1, 2, 3) if request_.means(keep(b"x", n))] == meant
    assert decode_requests(encode_requests([request_])) == (request_,)


@pytest.mark.parametrize(
    "text", [None, "", "x", "1", "[1]", '[{"number": 1}]', '[{"what": 1}]', '[{"number": "x", "upto": 1}]']
)
def test_requests_that_cannot_be_read_are_none(text):
    assert decode_requests(text) == ()


def test_groups_are_bounded_by_messages_and_by_bytes():
    messages = [dataclasses.replace(keep(b"x", n), payload_bytes=size) for n, size in enumerate([5, 5, 1, 30, 1, 1, 1])]
    sizes = [[message.payload_bytes for message in group] for group in groups(messages, 2, 10)]
    assert sizes == [[5, 5], [1], [30], [1, 1], [1]]
    assert groups([], 2, 10) == []
