"""
Runs a transform in a process of its own, so that it may loop, leak, crash or exit without harming the database.

The child (`child`) also packs the queries, so what comes back is bytes for the loopback, and the database's
interpreter lock is free while a transform computes.
"""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from sluice.bolt.packstream import unpack
from sluice.errors import HeadersUnreadable, RemoteProtocolError, ServiceUnavailable, TransformError
from sluice.folding import Need
from sluice.host.settings import Settings
from sluice.scripting.bulk_walk import check_queries
from sluice.scripting.client import Client, WantsStop, load, never
from sluice.scripting.contract import STREAM_MESSAGES
from sluice.scripting.frames import FAILED, FOLDED, PACKED, ROWS, UNAVAILABLE, answer_of
from sluice.scripting.walk import check_text, check_values
from sluice.values.configuration import DEFAULT, Configuration, MessageSource
from sluice.values.dead_letter import originals
from sluice.values.merge_keys import NOTHING, MergeKeys, MergeShape, Wanted, analysis_of
from sluice.values.model import Transform
from sluice.values.output_lines import OutputLines
from sluice.values.record import FIELDS, Columns, Messages

OUT_OF_MEMORY = re.compile(rb"\w+\(batch\) raised MemoryError")
"How a failure begins after which a process is of no use any more: what it has leaked stays leaked."


class PackedQueries(NamedTuple):
    """The queries of a group's first batches as framed Bolt messages, ready to be sent."""

    size: int
    "How many queries; each is a RUN and a DISCARD."
    frames: bytes | memoryview
    batches: int = 1
    "How many batches were done. Fewer than asked for: the others are to be asked for again."
    given: int = 0
    "How many queries they gave, before any were folded."
    failed: int = 0
    "The number of the batch that `error` is about; those between `batches` and it are as those after it."
    error: TransformError | None = None
    "Why a batch cannot be transformed."
    news: tuple[tuple[str, str], ...] = ()
    "Texts of queries that were met for the first time, and how queries of each are folded, or why not."
    keys: MergeKeys = NOTHING
    "What they merge."
    shapes: tuple[MergeShape, ...] = ()
    "Kinds of vertices and relationships that were merged for the first time."


class TransformProcess(AbstractContextManager["TransformProcess"]):
    """
    One transform, loaded in a process of its own.

    Threads: for the thread that made it. The process ends with that thread at the latest.
    """

    def __init__(
        self,
        transform: Transform,
        settings: Settings,
        wants_stop: WantsStop = never,
        config: Configuration = DEFAULT,
        lines: OutputLines | None = None,
    ) -> None:
        """
        Starts the process, loads the script and configures it with the options.

        Args:
            wants_stop, lines: as `Client`.
            config: of the stream, for the script's options, and for what the messages are that it will get.

        Raises:
            ScriptError: as `load`.
            SettingError: there is no interpreter to run it with.
            Stopped: `wants_stop` answered True meanwhile.
        """
        self._uri = transform.uri
        self._source = config.source
        self._timeout = settings.transform_timeout
        self.worn = False
        "Whether it has transformed anything yet."
        deadline = time.monotonic() + settings.script_timeout
        self._client = Client(transform.uri, settings, wants_stop, lines)
        try:
            self._entry, self._fields = load(self._client, transform, settings, deadline, config.transform)
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def pack(
        self,
        batches: Sequence[Messages],
        *,
        fold: bool = False,
        lacks: frozenset[Need] = frozenset(),
        wants_keys: Wanted = Wanted.MERGED,
    ) -> PackedQueries:
        """
        The queries that the transform gives for each batch, packed. At least those of the first batch, or why there
        are none; of further ones as many as do not take long.

        Args:
            fold: fewer queries, which do the same to the graph.
            lacks: what the server does not do that queries need.
            wants_keys: whether to compute what the queries merge, or also what else they find and write; otherwise
                their keys are EVERYTHING.

        Returns:
            With an error if a batch made the transform raise, break its contract or not end in time; the process can be
            used again only in the first two cases (`closed` tells).

        Raises:
            Stopped: the owner wants to stop.
        """
        kind = FOLDED if fold else PACKED
        before = self._client.begun
        try:
            answer, frames = answer_of(self._answer(kind, batches, lacks, wants_keys=wants_keys))
            if not 0 < answer.batches + bool(answer.error) <= len(batches):
                raise self._client.wrong("answered another request")
            check_queries(frames, answer.size)
            news = tuple((str(text), str(how)) for text, how in unpack(answer.news)) if answer.news else ()
            merges = analysis_of(answer.merges)
        except TransformError as error:
            # The process is gone, and with it what it had of the batches that it began before the last.
            failed = min(max(self._client.begun - before, 1), len(batches)) - 1
            return PackedQueries(0, b"", 0, failed=failed, error=error)
        except RemoteProtocolError as error:
            return PackedQueries(0, b"", 0, error=self._client.wrong(f"returned data that must not be sent: {error}"))
        except (struct.error, ValueError, TypeError):
            return PackedQueries(0, b"", 0, error=self._client.wrong("answered another request"))
        finally:
            self.worn = True
        failure = self._failure(answer.error) if answer.error else None
        keys = merges.keys if answer.size else NOTHING
        return PackedQueries(
            answer.size, frames, answer.batches, answer.given, answer.batches, failure, news, keys, merges.shapes
        )

    def rows(self, batch: Messages, lacks: frozenset[Need] = frozenset()) -> list[tuple[str, dict[str, Any]]]:
        """
        The queries that the transform gives, as (query, parameters), in which dates and times are `Structure`s.

        Args:
            lacks: as `pack`.

        Raises:
            TransformError: it raised, broke its contract or did not end in time.
            Stopped: the owner wants to stop.
        """
        answer = self._answer(ROWS, [batch], lacks)
        try:
            packed = bytes(answer)
            check_values(packed)
            return _rows(unpack(packed))
        except RemoteProtocolError as error:
            raise self._client.wrong(f"gave what is not to be run: {error}") from None

    @property
    def closed(self) -> bool:
        """Whether the process is gone."""
        return self._client.closed

    @property
    def died(self) -> bool:
        """As `Client.died`."""
        return self._client.died

    @property
    def output(self) -> str:
        """As `Client.output`."""
        return self._client.output

    def close(self) -> None:
        """Ends the process, and what it has started, at once. May be called twice."""
        self._client.close()

    def _answer(
        self,
        kind: bytes,
        batches: Sequence[Messages],
        lacks: frozenset[Need] = frozenset(),
        *,
        wants_keys: Wanted = Wanted.NOTHING,
    ) -> memoryview:
        columns, sizes = self._given(batches)
        names = sorted(need.value for need in lacks)
        request = (kind, columns, sizes, names, int(wants_keys))
        answer = self._client.ask(request, f"{self._entry}(batch)", self._timeout, batches=len(sizes))
        if answer[:1] == FAILED:
            raise self._failure(bytes(answer[1:]))
        if answer[:1] != kind:
            raise self._client.wrong("answered another request")
        return answer[1:]

    def _given(self, batches: Sequence[Messages]) -> tuple[Columns, list[int]]:
        """
        What the transform is given, and how many messages each batch has: those of the first, and of as many others as
        can be read with it. Raises HeadersUnreadable: the first cannot.
        """
        are_letters = self._entry == STREAM_MESSAGES and self._source is MessageSource.DEAD_LETTERS
        try:
            columns = batches[0].followed_by(batches[1:]).columns(FIELDS if are_letters else self._fields)
        except HeadersUnreadable:
            if len(batches) == 1:
                raise
            return self._given(batches[: len(batches) // 2])  # the others come again, and then the first is to blame
        return originals(columns) if are_letters else columns, list(map(len, batches))

    def _failure(self, reason: bytes) -> TransformError:
        if OUT_OF_MEMORY.match(reason):
            self._client.give_up()
        kind = ServiceUnavailable if reason.startswith(UNAVAILABLE) else TransformError
        text = f"transform {self._uri}: {reason.removeprefix(UNAVAILABLE).decode(errors='replace')}"
        return kind(self._client.with_output(text))


def _rows(value: object) -> list[tuple[str, dict[str, Any]]]:
    """The queries that a process gives as values. Raises RemoteProtocolError if they are none."""
    if not isinstance(value, list):
        raise RemoteProtocolError("it is not a list of queries")
    return [_row(number, item) for number, item in enumerate(value)]


def _row(number: int, item: object) -> tuple[str, dict[str, Any]]:
    """One of the queries that a process gives as values. Raises RemoteProtocolError if it is none."""
    query, parameters = item if isinstance(item, list) and len(item) == 2 else (None, None)
    if not isinstance(query, str) or not isinstance(parameters, dict):
        raise RemoteProtocolError(f"query {number} is not a text and a map")
    check_text(query, number)
    return query, parameters
