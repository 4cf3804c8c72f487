"""
Takes batches to the graph: transform, one transaction, and what is to happen if that cannot be.

Errors of data end here: the message that causes one is found, and the stream's policy says whether to stop at it or to
go on behind it. All other errors pass through, with the graph holding the checkpoint that tells how far it came.
"""

from __future__ import annotations

import dataclasses
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from sluice import nodes, set_aside
from sluice.batch import Batch
from sluice.bolt.framing import MessageBuffer
from sluice.bolt.messages import parse
from sluice.configuration import Isolate, OnError
from sluice.dead_letter import DeadLetters
from sluice.errors import MessageRefused, QueryRefused, TransformError, one_line
from sluice.jail import PackedQueries, Stopped
from sluice.kept import KeptMessage, kept
from sluice.model import Checkpoint, Desired, Status
from sluice.set_aside import SetAside
from sluice.settings import Settings
from sluice.sink import Sink

log = logging.getLogger("sluice.applier")

NO_QUERIES = PackedQueries(0, b"")

REASON_LIMIT = 300
"Characters of a refusal that the stream's error repeats, so that what to do about it fits behind."

GOES_ON = "on_error 'skip', 'keep' or 'dead_letter' goes on behind it"

MAX_MESSAGE = 1 << 30
"Bytes of a query that can be looked into after it was refused."

Packer = Callable[[Sequence[bytes | None]], PackedQueries]
"A transform: payloads to queries."


class Listener(Protocol):
    """Who wants to know how a stream is doing."""

    def committed(self, positions: Mapping[int, int]) -> None:
        """These positions are in the graph: what was wrong before is over."""

    def trouble(self, text: str | None) -> None:
        """What the stream is trying to get over, in one line; None: nothing."""


class Refused(NamedTuple):
    """A batch, or a part of one, that cannot be applied."""

    batch: Batch
    error: TransformError | QueryRefused
    queries: PackedQueries
    "None at all if it was the transform that refused."


class Applier:
    """
    One stream's batches, in order, each applied once.

    Several transactions may be in flight; after a refusal one by one, until the refused batch is dealt with.

    Threads: for the thread that owns the sink.
    """

    def __init__(
        self,
        desired: Desired,
        settings: Settings,
        sink: Sink,
        pack: Packer,
        letters: DeadLetters,
        wants_stop: Callable[[], bool],
        listener: Listener,
        *,
        fold: Packer | None = None,
        count_kept: Callable[[], int] = lambda: 0,
    ) -> None:
        """
        Args:
            pack: the transform.
            count_kept: how many messages are kept as nodes, as committed.
            fold: the transform, and what it gives folded; None: it never is.
        """
        self._desired = desired
        self._spec = desired.spec
        self._settings = settings
        self._sink = sink
        self._pack = pack
        self._fold = fold or pack
        self._letters = letters
        self._wants_stop = wants_stop
        self._listener = listener
        self._sent: deque[tuple[Batch, PackedQueries]] = deque()
        self._count_kept = count_kept
        self._keeping: list[KeptMessage] = []  # set aside, to be written by the next transaction
        self._passed: Checkpoint | None = None  # reached, and messages set aside behind it that no transaction has told

    @property
    def in_flight(self) -> int:
        """Batches sent and not settled."""
        return len(self._sent)

    @property
    def full(self) -> bool:
        """Whether a batch should be settled before the next is given."""
        return self._sink.full

    @property
    def held(self) -> Checkpoint:
        """The checkpoint as committed, as far as is known."""
        return self._sink.held

    @property
    def finished(self) -> bool:
        """Whether the limit of batches is reached once everything that was sent is committed."""
        return self._limit_reached(self._sink.reached)

    def apply(self, batch: Batch) -> None:
        """
        Sends a batch on its way; `settle` tells what became of it.

        Raises:
            MessageRefused: a message cannot be applied and the stream stops at it; all before it are applied.
            QueryRefused: for now; nothing that was in flight took effect from that batch on.
            BrokerError, GraphError: the checkpoint tells how far it came.
            Stopped: the owner wants to stop; the same.
        """
        try:
            queries = self._fold(batch.payloads)
        except TransformError as error:
            self.drain()  # what comes before it is not to blame
            if not self.finished:
                self._part(Refused(batch, error, NO_QUERIES))
        else:
            self._send(batch, queries)

    def settle(self) -> None:
        """Waits until the oldest batch in flight is applied, or dealt with. Raises as `apply`."""
        batch, queries = self._sent[0]
        try:
            self._sink.settle()
        except QueryRefused as error:
            _, *behind = self._sent
            self._sent.clear()
            if not error.of_data:
                raise
            self._part(Refused(batch, error, queries))
            for later in behind:
                if not self.finished:
                    self._send(*later)
        else:
            self._sent.popleft()
            self._listener.committed(self.held.positions)

    def drain(self) -> None:
        """Until nothing is in flight. Raises as `apply`."""
        while self._sent:
            self.settle()

    def move(self, entries: Sequence[SetAside] = (), **changes: Any) -> None:
        """
        Changes the checkpoint by itself, with nothing in flight.

        Args:
            entries: what to put into the history.
            changes: of the checkpoint's fields.
        """
        history = self._extended(self.held, entries) if entries else self.held.history
        self._write(NO_QUERIES, dataclasses.replace(self.held, history=history, **changes))

    def _send(self, batch: Batch, queries: PackedQueries) -> None:
        reached = self._after(batch, counts=True)
        self._sink.send(queries, reached, self._properties(reached))
        self._sent.append((batch, queries))

    def _part(self, refused: Refused) -> None:
        """
        Applies what can be applied of a batch that was refused, in ever smaller parts, each in a transaction of its
        own.

        For k messages that cannot be applied, of n, these are at most 2 k log2(n) + 1 transactions, the refused one
        among them; and one more if the last message is set aside, which has no transaction behind it to ride with.
        """
        log.warning("stream %s: %s; looking for the message that caused it", self._spec.name, refused.error)
        self._listener.trouble(f"looking for the message that cannot be applied: {refused.error}")
        untried: list[Batch] = []  # the next last
        failed: Refused | None = refused
        if self._fold is not self._pack and not self._divisible(refused.batch):
            # What cannot be parted has to fail as it is, so that the query that fails is known.
            failed = self._try(refused.batch, counts=True)
        while failed is not None or untried:
            if self._wants_stop():
                raise Stopped
            if failed is None:
                failed = self._try(untried.pop(), counts=not untried)
            elif self._divisible(failed.batch):
                untried += reversed(failed.batch.halves())
                failed = None
            else:
                self._set_aside(failed)
                failed = None
        if self._passed is not None:
            self._write(NO_QUERIES, self._counted(self._passed, messages=0, counts=True))

    def _divisible(self, batch: Batch) -> bool:
        return len(batch) > 1 and self._spec.config.isolate is Isolate.BISECT

    def _try(self, part: Batch, *, counts: bool) -> Refused | None:
        """Applies a part; if it cannot be applied, what there is to know of that."""
        queries = NO_QUERIES
        try:
            queries = self._pack(part.payloads)
            self._write(queries, self._after(part, counts=counts))
        except TransformError as error:
            return Refused(part, error, queries)
        except QueryRefused as error:
            if not error.of_data:
                raise
            return Refused(part, error, queries)
        return None

    def _write(self, queries: PackedQueries, reached: Checkpoint, ended: Mapping[str, Any] | None = None) -> None:
        """One transaction, waited for."""
        self._sink.send(queries, reached, {**self._properties(reached), **(ended or {})}, self._keeping)
        self._sink.settle()
        self._passed = None
        self._keeping = []
        self._listener.committed(self.held.positions)

    def _set_aside(self, refused: Refused) -> None:
        """
        Goes on behind a batch that cannot be applied, as the policy says: what comes next takes the checkpoint along.

        Raises:
            MessageRefused: the policy is to stop. The error is in the checkpoint.
        """
        spec, batch = self._spec, refused.batch
        index = refused.error.index if isinstance(refused.error, QueryRefused) else None
        query = refused_query(refused.queries, index)
        full = self._full_for(batch)
        policy = OnError.STOP if full else spec.config.on_error
        entries = [
            set_aside.of_message(
                message,
                action=policy.value,
                error=refused.error,
                query=query,
                transform_sha256=spec.transform.sha256,
                payload_limit=self._settings.error_payload_bytes,
            )
            for message in batch.messages
        ]
        before = self._passed or self.held
        place = f"topic {spec.topic}, {batch.place}"
        if policy is OnError.STOP:
            reason = one_line(refused.error, REASON_LIMIT)
            remedy = full or f"START STREAM {spec.name} tries it again, {GOES_ON}"
            text = f"Kafka stream {spec.name}, {place}: {reason}; {remedy}"
            ended = nodes.ended_properties(self._desired.generation, Status.ERROR, text)
            stopped = dataclasses.replace(before, history=self._extended(before, entries))
            self._write(NO_QUERIES, stopped, ended)
            raise MessageRefused(text)
        if policy is OnError.DEAD_LETTER:
            self._letters.deliver(list(zip(batch.messages, entries, strict=True)))
        last = before.kept
        if policy is OnError.KEEP:
            numbered = enumerate(zip(batch.messages, entries, strict=True), last + 1)
            self._keeping += [kept(message, entry, number) for number, (message, entry) in numbered]
            last += len(batch)
        log.warning("stream %s: %s: %s; %s", spec.name, place, refused.error, policy.value)
        self._passed = dataclasses.replace(
            before,
            kept=last,
            positions={**before.positions, **batch.end},
            set_aside=before.set_aside + len(batch),
            history=self._extended(before, entries),
        )

    def _full_for(self, batch: Batch) -> str:
        """What to do about there being no room to keep the batch's messages; empty if there is, or it is not wanted."""
        config, name = self._spec.config, self._spec.name
        if config.on_error is not OnError.KEEP:
            return ""
        there = self._count_kept() + len(self._keeping)
        if there + len(batch) <= config.keep_limit:
            return ""
        held = f"{there} messages are kept already, and keep_limit is {config.keep_limit}"
        more = f"CALL streams.configure('{name}', {{keep_limit: ...}}) makes room"
        return f"{held}: CALL streams.retry('{name}') applies them again, {more}"

    def _after(self, batch: Batch, *, counts: bool) -> Checkpoint:
        """The checkpoint behind `batch` and all that was sent, or set aside, before it."""
        before = self._passed or self._sink.reached
        behind = dataclasses.replace(before, positions={**before.positions, **batch.end})
        return self._counted(behind, messages=len(batch), counts=counts)

    def _counted(self, checkpoint: Checkpoint, *, messages: int, counts: bool) -> Checkpoint:
        """With so many more messages, and one more batch if it `counts`: parts of a batch do not."""
        generation = self._desired.generation
        return dataclasses.replace(
            checkpoint,
            batches=checkpoint.batches + counts,
            messages=checkpoint.messages + messages,
            generation=generation,
            generation_batches=checkpoint.batches_in(generation) + counts,
        )

    def _properties(self, reached: Checkpoint) -> dict[str, Any]:
        """What the checkpoint node is to hold; with the last batch of a limit, also that the run has ended."""
        properties = nodes.checkpoint_properties(reached)
        if reached.history is not self._sink.reached.history:
            properties |= nodes.history_properties(reached)
        if self._limit_reached(reached):
            properties |= nodes.ended_properties(self._desired.generation, Status.STOPPED, None)
        return properties

    def _extended(self, checkpoint: Checkpoint, entries: Sequence[SetAside]) -> tuple[SetAside, ...]:
        return set_aside.extended(checkpoint.history, entries, self._settings.error_history)

    def _limit_reached(self, checkpoint: Checkpoint) -> bool:
        limit = self._desired.limit_batches
        return limit is not None and checkpoint.batches_in(self._desired.generation) >= limit


def refused_query(queries: PackedQueries, index: int | None) -> tuple[str, Any] | None:
    """
    Text and parameters of the query that was refused; None if that is not known.

    Args:
        index: which of them; None: the transaction as a whole was refused.
    """
    if index is None and queries.size == 1:
        index = 0  # refused at COMMIT, and there is no other
    if index is None or not 0 <= index < queries.size:
        return None
    requests = MessageBuffer(MAX_MESSAGE).feed(queries.frames)
    query, parameters, *_ = parse(requests[2 * index]).fields
    return query, parameters
