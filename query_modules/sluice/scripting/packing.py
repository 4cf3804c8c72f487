"""
The queries of a transform as Bolt messages, and what is refused in them: values that a query cannot take.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sluice.bolt import messages
from sluice.bolt.framing import MAX_CHUNK, frame
from sluice.bolt.values import FLOAT
from sluice.errors import LocalProtocolError, ServiceUnavailable, TransformError
from sluice.folding.lookups import nan_sought
from sluice.scripting.confinement import hint
from sluice.scripting.contract import Query, value_error
from sluice.scripting.frames import DISCARD_ALL, MAX_TEXT, UNAVAILABLE, Answer

NAN = re.compile(rb"\xc1[\x7f\xff][\xf0-\xff]")
"How each NaN begins in PackStream. Integers hardly have it, infinity has."

FLOAT_MARKER = bytes((FLOAT,))


def may_hold_nan(packed: bytes | bytearray) -> bool:
    """Whether packed values may contain NaN; quick, quickest where no float is, and never wrongly False."""
    return FLOAT_MARKER in packed and NAN.search(packed) is not None


def check_lookups(queries: Sequence[Query]) -> None:
    """
    Raises TransformError, naming the place, if MATCH or MERGE of a query looks for NaN. From several of them an index
    of Memgraph 3 is out of order, and other values are not found in it; 2.14.1 answers with an unknown exception.
    """
    for index, (query, parameters) in enumerate(queries):
        place = nan_sought(query, parameters)
        if place:
            raise TransformError(
                f"the parameters of item {index} contain NaN, and MATCH or MERGE looks for it: {place}. "
                "NaN is equal to nothing: return no query for such a message, or use another value"
            )


def pack_queries(packed: bytearray, queries: Iterable[tuple[str, Mapping[str, Any]]], given: Sequence[Query]) -> int:
    """
    Appends each query as RUN and DISCARD, in frames; returns how many there are.

    Args:
        given: those of the transform that these stand for.

    Raises:
        TransformError: a value is none that a query can take.
    """
    count, start = 0, len(packed)
    is_suspect = False
    for query, parameters in queries:
        try:
            message = messages.run(query, parameters)
        except LocalProtocolError as error:
            raise value_error(count, error) from error
        if len(message) > MAX_CHUNK:  # a value may be divided in what is sent
            is_suspect = is_suspect or may_hold_nan(message)
        packed += frame(message)
        packed += DISCARD_ALL
        count += 1
    if is_suspect or may_hold_nan(packed[start:]):
        check_lookups(given)
    return count


def one_by_one(done: list[Sequence[Query]], error: bytes) -> tuple[Answer, bytearray]:
    """The queries of all batches before the first whose values a query cannot take, and what is wrong with that one."""
    packed = bytearray()
    size = 0
    for number, queries in enumerate(done):
        before = len(packed)
        try:
            size += pack_queries(packed, queries, queries)
        except TransformError as refusal:
            del packed[before:]
            return Answer(number, size, size, text_of(refusal), b""), packed
    return Answer(len(done), size, size, error, b""), packed


def text_of(text: object) -> bytes:
    """As an answer has it, one byte of which is its kind."""
    if isinstance(text, ServiceUnavailable):
        return UNAVAILABLE + f"{text}{hint(text)}".encode("utf-8", "replace")[: MAX_TEXT - 2]
    return str(text).encode("utf-8", "replace")[: MAX_TEXT - 1]
