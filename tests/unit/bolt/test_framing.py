from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.bolt.framing import MAX_CHUNK, MessageBuffer, end_of, frame
from sluice.errors import RemoteProtocolError

WIRE = bytes.fromhex("00000003 010203 00000001 04 0002 0506 00000000 00000001 07 0000".replace(" ", ""))
MESSAGES = [b"\x01\x02\x03", b"\x04\x05\x06", b"\x07"]


@pytest.mark.parametrize("step", range(1, len(WIRE) + 1))
def test_messages_come_out_the_same_however_the_bytes_arrive(step: int) -> None:
    buffer = MessageBuffer(100)
    found = []
    for start in range(0, len(WIRE), step):
        found += buffer.feed(WIRE[start : start + step])
    assert found == MESSAGES
    assert not buffer.pending


@pytest.mark.parametrize("cut", range(len(WIRE)))
def test_messages_come_out_the_same_wherever_the_bytes_are_cut(cut: int) -> None:
    buffer = MessageBuffer(100)
    assert buffer.feed(WIRE[:cut]) + buffer.feed(WIRE[cut:]) == MESSAGES


@pytest.mark.parametrize(
    ("size", "chunks"),
    [
        pytest.param(1, 1, id="small"),
        pytest.param(MAX_CHUNK, 1, id="one full chunk"),
        pytest.param(MAX_CHUNK + 1, 2, id="one byte more"),
        pytest.param(3 * MAX_CHUNK, 3, id="three full chunks"),
    ],
)
def test_a_message_takes_as_many_chunks_as_it_needs(size: int, chunks: int) -> None:
    message = bytes(size)
    framed = frame(message)
    assert len(framed) == size + 2 * chunks + 2
    assert MessageBuffer(size).feed(framed) == [message]


def test_a_message_at_the_limit_passes_and_one_byte_more_does_not() -> None:
    buffer = MessageBuffer(5)
    assert buffer.feed(frame(b"12345")) == [b"12345"]
    with pytest.raises(RemoteProtocolError, match="message is longer than 5 bytes"):
        buffer.feed(frame(b"123456"))


def test_the_limit_holds_for_many_small_chunks() -> None:
    buffer = MessageBuffer(1000)
    for _ in range(1000):
        assert buffer.feed(b"\0\1x") == []
    with pytest.raises(RemoteProtocolError):
        buffer.feed(b"\0\1x")


@pytest.mark.parametrize(("index", "end"), [(0, 6), (1, 12), (2, 18), (3, 18)])
def test_where_a_message_ends(index: int, end: int) -> None:
    assert end_of(frame(b"ab") * 3, index) == end


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5), st.data())
def test_frames_come_back_as_messages(messages: list[bytes], data: st.DataObject) -> None:
    wire = b"".join(map(frame, messages))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    buffer = MessageBuffer(300)
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        found += buffer.feed(wire[start:end])
    assert found == messages
