"""
What a transform process and its owner say to each other. Frames are a length, the number of the request, then that many
bytes.

Parent to child: a marshalled `dict` that says how the process is limited, and what to fetch or to load; after a fetch
another, to load it; then a marshalled `(kind, columns, sizes, lacks, wants_keys)` per group: the columns of all of its
messages (`record.Columns`), how many messages each batch has, what the server does not do that queries need
(`folding.Need`), and what matters of what the queries merge (`merge_keys.Wanted`). Child to parent: one byte that says
what follows. Nothing that the child sends is unmarshalled or unpickled by the database, and none of it is believed:
`walk` checks the queries before they are sent to the server.

An answer has the number of its request: a transform that forks may give the same answer twice, and the second must not
be taken for that of the next batch.

Beside the frames there is a counter in shared memory: how many batches the child has begun. It is how the parent tells
a transform that is slow from one that does not end, and which batch it did not end at.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from sluice.bolt import messages
from sluice.bolt.framing import frame

HEAD = struct.Struct(">II")
"Length, and number of the request, counted from 0."

COUNTER = struct.Struct("=Q")
"Batches begun by the child since it started, at the beginning of the shared memory."

SCRIPT = b"S"
"The script as it was fetched, in UTF-8."
NOT_FETCHED = b"N"
"Why it was not, as a PackStream list of what the error says, or null, and of the cause that the log has, or null."
READY = b"K"
"The script is loaded; and what its transform is called, and the fields of messages that it wants (`contract.Entry`)."
PACKED = b"P"
"Asks for, or is: the group's queries as framed Bolt messages, each RUN with its DISCARD, after an `Answer`."
FOLDED = b"F"
"Asks for, or is: the same, of fewer queries that do the same to the graph."
ROWS = b"R"
"Asks for, or is: the queries of the only batch as a PackStream list of [query, parameters]."
FAILED = b"E"
"What went wrong, one line of UTF-8."
UNAVAILABLE = b"\0"
"Begins that line, also an `Answer`'s, where it is no fault of the batch: a service of the transform's does not answer."

DISCARD_ALL = frame(messages.discard(-1))
"Follows each RUN: what a query returns is not wanted. It is run to its end, and no row of it is sent."

MAX_ANSWER = 256 << 20
"Bytes of an answer: PACKED, FOLDED."
MAX_ROWS = 16 << 20
"... ROWS, which become values in the database's interpreter."
MAX_TEXT = 4096
"... any other, a script apart; and the bytes of an `Answer`'s error."
MAX_NEWS = 256 << 10
"Bytes of an `Answer`'s explanations."
MAX_EXPLAINED = 100
"Texts that one answer explains, so that it stays below that."

PATIENCE = 0.2
"""
Seconds after which the child answers with the batches that it has done, and leaves the others of the group to a later
request: a stream of slow transforms moves batch by batch.
"""

MAX_MERGES = 64 << 20
"Bytes of what an `Answer` says that its queries merge."

_ANSWER = struct.Struct(">IIIIII")


class Answer(NamedTuple):
    """The beginning of an answer to PACKED and FOLDED: texts, then the queries."""

    batches: int
    "How many batches, the first of the group, were done."
    given: int
    "How many queries they gave."
    size: int
    "How many queries follow."
    error: bytes
    "What went wrong with the next batch, one line of UTF-8; empty: nothing."
    news: bytes
    "What was found out about the texts of queries, as a PackStream list of [text, explanation]; or empty."
    merges: bytes = b""
    "What the queries merge, as `merge_keys.Analysis.encoded`; or empty."

    @property
    def header(self) -> bytes:
        """As bytes."""
        texts = self.error, self.news, self.merges
        return _ANSWER.pack(self.batches, self.given, self.size, *map(len, texts)) + b"".join(texts)


def answer_of(frame: memoryview) -> tuple[Answer, memoryview]:
    """
    The reverse of `Answer.header`, and what follows.

    Raises:
        struct.error: the frame is too short.
        ValueError: its texts are too long.
    """
    batches, given, size, *sizes = _ANSWER.unpack_from(frame)
    at, texts = _ANSWER.size, []
    for length, limit in zip(sizes, (MAX_TEXT, MAX_NEWS, MAX_MERGES), strict=True):
        if length > limit:
            raise ValueError(f"a text of {length} bytes")
        texts.append(bytes(frame[at : at + length]))
        at += length
    return Answer(batches, given, size, *texts), frame[at:]
