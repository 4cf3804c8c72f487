"""What comes over a wire: Bolt, the beginning of a connection through the shim, the transform process's channel."""

from __future__ import annotations

import functools
import socket
from contextlib import suppress
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from sluice.bolt import messages
from sluice.bolt.framing import MessageBuffer
from sluice.bolt.messages import Tag
from sluice.bolt.packstream import pack, unpack
from sluice.errors import ProtocolError, RemoteProtocolError, ScriptError, TransformError
from sluice.host.settings import Settings
from sluice.scripting import bulk_walk, script
from sluice.scripting.channel import Channel, Patience, WrongAnswer
from sluice.scripting.client import load
from sluice.scripting.frames import ROWS, answer_of
from sluice.scripting.process import TransformProcess
from sluice.scripting.walk import check_one_by_one
from sluice.values.model import Transform
from sluice.values.record import Record, Records
from sluice_tools.shim.handshake import Handshake, HandshakeKind
from sluice_tools.shim.session import Session
from sluice_tools.shim.websocket import WebSocket
from tests.fuzz.runner import Target

LIMIT = 1 << 10
"Bytes of a message that a buffer takes."

CLIENT, SERVER = 0, 1
"The first byte of a step of a conversation, modulo 2; two bytes say how long what it says is."


def pieces(data: bytes) -> list[bytes]:
    """The same bytes in parts, as a network might bring them; the same parts for the same bytes."""
    rng = Random(len(data))
    found = []
    while data:
        size = rng.choice((1, 2, 3, 7, 50, 4000))
        found.append(data[:size])
        data = data[size:]
    return found


def framing(data: bytes) -> None:
    """However its chunks arrive, the messages are the same, and so is a refusal."""
    at_once, refused = _fed([data])
    in_pieces, refused_in_pieces = _fed(pieces(data))
    assert refused == refused_in_pieces
    assert refused or at_once == in_pieces
    assert all(0 < len(message) <= LIMIT for message in at_once)
    if refused:
        raise RemoteProtocolError("too long")


def _fed(parts: list[bytes]) -> tuple[list[bytes], bool]:
    buffer = MessageBuffer(LIMIT)
    found: list[bytes] = []
    try:
        for part in parts:
            found += buffer.feed(part)
    except RemoteProtocolError:
        return found, True
    return found, False


def packstream(data: bytes) -> None:
    """What was read is written so that it is read again."""
    messages.parse(data, lenient=True)
    message = messages.parse(data)
    written = messages.pack_message(message)
    assert pack(unpack(written)) == written


def bolt_handshake(data: bytes) -> None:
    """A server's answer, and a client's proposals."""
    for parse in (messages.parse_answer, messages.parse_handshake):
        try:
            parse(data)
        except RemoteProtocolError:
            continue
        assert len(data) in (messages.ANSWER_SIZE, messages.HANDSHAKE_SIZE)


def conversation(data: bytes) -> list[tuple[int, bytes]]:
    """Steps: who says what."""
    steps = []
    while len(data) > 2:
        size = int.from_bytes(data[1:3], "big")
        steps.append((data[0] % 2, data[3 : 3 + size]))
        data = data[3 + size :]
    return steps


def shim_handshake(data: bytes) -> None:
    """Bolt or anything: whatever passes is what came, to the last byte."""
    handshake = Handshake()
    said = {CLIENT: b"", SERVER: b""}
    passed = {CLIENT: b"", SERVER: b""}
    for side, step in conversation(data):
        said[side] += step
        for part in pieces(step):
            passing, following = (handshake.from_client if side == CLIENT else handshake.from_server)(part)
            passed[side] += passing
            if handshake.kind is HandshakeKind.RAW:  # what was gathered to see whether it is Bolt comes first
                passed[side] += handshake.client_ended() if side == CLIENT else handshake.server_ended()
            passed[side] += following
    passed[CLIENT] += handshake.client_ended()
    passed[SERVER] += handshake.server_ended()
    assert passed == said


def shim_websocket(data: bytes) -> None:
    """What a browser may send: a handshake and frames, or anything."""
    websocket = WebSocket(frozenset(("https://lab.example.org",)))
    for part in pieces(data):
        websocket.received(part)
        websocket.reply()
        if websocket.over:
            return


def shim_session(data: bytes) -> None:
    """A connection through the shim does not fail; bytes that are not Bolt pass as they are."""
    session = Session("fuzz")
    said, passed = [b"", b""], [b"", b""]
    for side, step in conversation(data):
        said[side] += step
        for part in pieces(step):
            # By their names each time: the session gives out other functions once it knows more.
            passed[side] += session.from_client(part) if side == CLIENT else session.from_server(part)
            passed[CLIENT] += session.release()
    passed[CLIENT] += session.client_ended()
    passed[SERVER] += session.server_ended()
    assert session.opening.kind is HandshakeKind.BOLT or passed == said


class FakeClient:
    """A transform process that gives one answer, whatever it is asked."""

    begun = 0
    died = closed = False

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def ask(self, request: Any, what: str, timeout: float, **_: object) -> memoryview:
        return memoryview(bytearray(self._answer))

    def wrong(self, reason: object) -> TransformError:
        return TransformError(reason)

    def with_output(self, error: str) -> str:
        return error

    def give_up(self) -> None:
        pass


def _process(answer: bytes) -> TransformProcess:
    process = TransformProcess.__new__(TransformProcess)
    process.__dict__ |= {
        "_uri": "x", "_timeout": 1.0, "worn": False, "_client": FakeClient(answer), "_entry": "stream",
        "_fields": ("value",),
    }  # fmt: skip
    return process


BATCHES = [Records([Record(b"1", None, [], "t", 0, 0, 1)]) for _ in range(3)]


def channel(data: bytes) -> None:
    """An answer with queries: those that pass are what the server reads, and no more than were announced."""
    if not data:
        return
    found = _process(data).pack(BATCHES, fold=data[:1] == b"F")
    requests = [messages.parse(message, lenient=True) for message in MessageBuffer(1 << 30).feed(bytes(found.frames))]
    assert [message.tag for message in requests] == [Tag.RUN, Tag.DISCARD] * found.size
    for text, parameters, extra in (message.fields for message in requests[::2]):
        assert (type(text), type(parameters), extra) == (str, dict, {})
    if found.error is not None and not found.size:
        raise found.error
    answer_of(memoryview(data)[1:])


SMALL_WINDOWS: dict[str, Any] = {
    "WINDOW": 2, "FEWEST": 2, "WORTHWHILE": 0, "_layout": functools.lru_cache(bulk_walk._Layout),
    "_SCALAR": rb"(?:[\x00-\x7f\xc0\xc2\xc3]|\x81.|\x82..|\xd0\x11.{17}|\xc8.|\xc9..)",
}  # fmt: skip
"Windows that inputs of this size fill, and that are quickly compiled."


def channel_windows(data: bytes) -> None:
    """What passes as queries of which many are checked at a time passes one by one, too."""
    count = data.count(bulk_walk.END_OF_QUERY)
    with patch.multiple(bulk_walk, **SMALL_WINDOWS):
        passes = bulk_walk.pass_in_windows(data, count)
    if passes:
        check_one_by_one(data, count)
    else:
        raise RemoteProtocolError("not in windows")


def channel_rows(data: bytes) -> None:
    """An answer with queries as values."""
    rows = _process(ROWS + data).rows(BATCHES[0])
    assert all(isinstance(text, str) and isinstance(parameters, dict) for text, parameters in rows)
    assert pack(unpack(data)) == pack([list(row) for row in rows])


def channel_script(data: bytes) -> None:
    """The answers to fetching and to loading."""
    if data:
        client: Any = FakeClient(data)
        client.interpreter = SimpleNamespace(is_ours=True)
        with suppress(ScriptError):
            script.fetched_by(client, "x.py", Settings(), 0.0)
        with suppress(ScriptError):
            load(client, Transform("x.py", "", ""), Settings(), 0.0)


def channel_frames(data: bytes) -> None:
    """What a process writes to its channel, and then it is gone."""
    ours, theirs = socket.socketpair()
    output = SimpleNamespace(descriptor=-1, read=lambda: False)
    counter = SimpleNamespace(value=0)
    process: Any = SimpleNamespace(socket=ours, counter=counter, output=output)
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        answer = Channel(process, lambda: False).exchange(0, b"", {b"P": 1 << 16}, Patience(5.0, 0))
        assert bytes(answer) == data[8 : 8 + len(answer)]


TARGETS = (
    Target("framing", framing, (RemoteProtocolError,)),
    Target("packstream", packstream, (ProtocolError,)),
    Target("bolt_handshake", bolt_handshake),
    Target("shim_handshake", shim_handshake),
    Target("shim_websocket", shim_websocket),
    Target("shim_session", shim_session),
    Target("channel", channel, (TransformError,)),
    Target("channel_windows", channel_windows, (RemoteProtocolError,)),
    Target("channel_rows", channel_rows, (TransformError,)),
    Target("channel_script", channel_script),
    Target("channel_frames", channel_frames, (WrongAnswer, ConnectionResetError)),
)
