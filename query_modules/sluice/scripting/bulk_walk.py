"""
Queries of a transform process, checked many at a time: those of one text differ in little but their values, so one
regular expression reads a window of them. What it does not match is walked: that a query is wrong is for `walk` to say.

All queries end with the same bytes, which cannot overlap with themselves. If these divide the data into as many pieces
as there are queries, and N pieces together are N times what a query may be, then each of the pieces is a query.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator
from itertools import compress
from operator import not_

from sluice.bolt.framing import MAX_CHUNK
from sluice.bolt.packstream import pack, unpack
from sluice.bolt.values import FLOAT, INTEGERS, LIST, MAP, STRING, Value
from sluice.errors import RemoteProtocolError
from sluice.scripting.frames import DISCARD_ALL
from sluice.scripting.walk import NO_EXTRA, ONE_BYTE, check_one_by_one, check_run

END_OF_QUERY = NO_EXTRA + b"\0\0" + DISCARD_ALL

WINDOW = 64
"Queries that one regular expression matches; where there are fewer, the first stands in for the others."

FEWEST = 8
"Queries that are worth that."

MAX_RARE = 4
"Texts with fewer than WINDOW queries, after which all others are walked: each costs a look at all that are left."

WORTHWHILE = 2000
"Queries, and as many for each value of theirs, from which on an expression saves the time that compiling it takes."

COUNTED = 9
"Bytes of a text, from which on the expression counts them: for few that takes longer."

MAX_VALUES, MAX_LITERAL = 64, 2048
"Values of a query that is matched by one; and bytes of all that is around them."


def check_queries(frames: bytes | bytearray | memoryview, count: int) -> None:
    """
    Raises RemoteProtocolError unless `frames` are `count` queries as the server may be sent them: each a RUN whose
    text neither begins nor ends a transaction, and a DISCARD.
    """
    data = bytes(frames)
    if count < FEWEST or not pass_in_windows(data, count):
        check_one_by_one(data, count)


def pass_in_windows(data: bytes, count: int) -> bool:
    """Whether `count` queries pass; False: something is wrong, or of a form that only a walk understands."""
    pieces = data.split(END_OF_QUERY)
    if pieces.pop() or len(pieces) != count:
        return False
    rare = 0
    try:
        while pieces and rare < MAX_RARE:
            before = len(pieces)
            pieces = _check_first_text(pieces)
            rare += before - len(pieces) < WINDOW
        for piece in pieces:
            _check(piece)
    except RemoteProtocolError:
        return False
    return True


def _check_first_text(pieces: list[bytes]) -> list[bytes]:
    """Checks the queries that have the text of the first; returns the others."""
    parameters = _check(pieces[0])
    text = pieces[0][2:parameters]
    beginnings = {size: _beginning(text, size) for size in set(map(len, pieces))}
    alike = [piece[:parameters] == beginnings[len(piece)] for piece in pieces]
    series, others = (pieces, []) if all(alike) else (list(compress(pieces, alike)), pieces)
    pattern = None
    if len(series) >= FEWEST:
        layout = _layout(parameters, tuple(_parts(unpack(pieces[0][parameters:]))))
        pattern = layout.pattern(len(series))
    for start in range(0, len(series), WINDOW):
        window = series[start : start + WINDOW]
        full = window + window[:1] * (WINDOW - len(window))
        if pattern is None or not pattern.fullmatch(END_OF_QUERY.join(full)):
            for piece in window:
                _check(piece)
    return list(compress(others, map(not_, alike)))


def _check(piece: bytes) -> int:
    """Walks a query up to the bytes that end it; where its parameters begin. Raises RemoteProtocolError as `walk`."""
    message = piece[2:] + NO_EXTRA
    if int.from_bytes(piece[:2], "big") != len(message):
        raise RemoteProtocolError("a query is not one chunk")
    return 2 + check_run(message, 0)


def _beginning(text: bytes, size: int) -> bytes | None:
    """How a query of this size and text begins, with the size of its chunk; None: no query has that size."""
    chunk = size - 2 + len(NO_EXTRA)
    return chunk.to_bytes(2, "big") + text if 0 < chunk <= MAX_CHUNK else None


class _Layout:
    """How queries look that have as long a text, and the same keys and structure in their parameters."""

    def __init__(self, parameters: int, parts: tuple[bytes | None, ...]) -> None:
        """
        Args:
            parameters: where they begin.
            parts: what they are, None for each value.
        """
        self._parameters = parameters
        self._parts = parts
        values, literal = parts.count(None), sum(map(len, filter(None, parts)))
        fits = values <= MAX_VALUES and literal <= MAX_LITERAL
        self._missing = WORTHWHILE * (1 + values) if fits else math.inf
        self._pattern: re.Pattern[bytes] | None = None

    def pattern(self, queries: int) -> re.Pattern[bytes] | None:
        """Matches WINDOW queries but for the end of the last; None: for so few it has not been worth compiling yet."""
        self._missing -= queries
        if self._pattern is None and self._missing <= 0:
            parts = b"".join(_SCALAR if part is None else re.escape(part) for part in self._parts)
            query = b".{%d}%s" % (self._parameters, parts)
            more = b"(?:%s%s){%d}" % (query, re.escape(END_OF_QUERY), WINDOW - 1)
            self._pattern = re.compile(more + query, re.DOTALL)
        return self._pattern


_layout = functools.lru_cache(maxsize=256)(_Layout)


def _parts(value: Value) -> Iterator[bytes | None]:
    """The bytes of maps, their keys and lists, as they are packed; None in place of any other value."""
    if isinstance(value, dict):
        yield MAP.header(len(value))
        for key, item in value.items():
            yield pack(key)
            yield from _parts(item)
    elif isinstance(value, list):
        yield LIST.header(len(value))
        for item in value:
            yield from _parts(item)
    else:
        yield None


def _alternatives() -> Iterator[bytes]:
    """In the order in which they are tried: a text takes longer the longer it is."""
    yield b"[%s]" % b"".join(b"\\x%02x" % byte for byte in ONE_BYTE)
    for marker, size in {FLOAT: 8, **INTEGERS}.items():
        yield re.escape(bytes((marker,))) + b"." * size
    for size in range(1, 0x100):
        yield re.escape(STRING.header(size)) + (b"." * size if size < COUNTED else b".{%d}" % size)


_SCALAR = b"(?:%s)" % b"|".join(_alternatives())
"A regular expression of null, a boolean, a number, or a text of at most 255 bytes."
