"""
Takes groups of batches to the graph: transform, one transaction, and what is to happen if that cannot be.

Errors of data end here: the message that causes one is found, and the stream's policy says whether to stop at it or to
continue after it. So do conflicts with other transactions: the group is sent again, in smaller ones. All other errors
pass through, with the graph holding the checkpoint that tells how far it came.
"""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sluice.brokers.dead_letters import DeadLetters
from sluice.engine.group_size import GroupSize, pause
from sluice.engine.listener import SEARCH, Listener, Stop, Transaction
from sluice.engine.merge_guard import Admission, MergeGuard, Waits
from sluice.engine.progress import Progress
from sluice.engine.refusal import NO_QUERIES, Refused, divided
from sluice.engine.retry_policy import RetryPolicy
from sluice.errors import FenceLost, MessageRefused, QueryRefused, Stopped, TransformError, TransientFailure, one_line
from sluice.host.settings import Settings
from sluice.persistence.sink import Sink
from sluice.scripting.process import PackedQueries
from sluice.values.batch import Batch, Group
from sluice.values.configuration import Isolate, OnError
from sluice.values.failed_message import FailedMessage
from sluice.values.model import Checkpoint, Desired, Status
from sluice.values.parked_message import ParkedMessage, parked

NOTHING = Group([])

REASON_LIMIT = 300
"Characters of a refusal that the stream's error repeats, so that what to do about it still fits."

VIOLATION_TRIES = 3
"Tries of what cannot be divided any more and violates a uniqueness constraint, before it is to blame."

GOES_ON = "on_error 'skip', 'park' or 'dead_letter' continues after it"

Packer = Callable[[Group], PackedQueries]
"A transform: batches to queries."


class _Sent(NamedTuple):
    """A group on its way."""

    group: Group
    queries: PackedQueries
    transformed: float
    written: float
    at: float
    "When it was sent: `time.monotonic`."


class Committer:
    """
    One stream's batches, in order, each applied once.

    Several transactions may be in flight; after a refusal one by one, until the refused group is dealt with.

    Threads: for the thread that owns the sink.
    """

    def __init__(
        self,
        desired: Desired,
        settings: Settings,
        sink: Sink,
        pack: Packer,
        letters: DeadLetters,
        stop: Stop,
        listener: Listener,
        *,
        fold: Packer | None = None,
        retry_policy: RetryPolicy | None = None,
        count_parked: Callable[[], int] = lambda: 0,
        between: Callable[[], None] = lambda: None,
        violated: Callable[[], None] = lambda: None,
        admission: Admission | None = None,
    ) -> None:
        """
        Args:
            pack: the transform.
            fold: the transform, and what it gives folded; None: it never is.
            doubts: what is thought of refusals so far; None: nothing.
            count_parked: how many messages are parked, as committed.
            between: called between the parts of a group, since those of a slow transform take their time.
            violated: called when a COMMIT was refused because of a uniqueness constraint, with nothing in flight.
            admission: the stream's turns among others that merge the same; None: there are no others.
        """
        self._spec = desired.spec
        self._settings = settings
        self._sink = sink
        self._pack = pack
        self._fold = fold or pack
        self._letters = letters
        self._stop = stop
        self._listener = listener
        self._progress = Progress(desired, settings.error_history)
        self._pace = GroupSize(self._spec.batch_size)
        self._sent: deque[_Sent] = deque()
        self._settled_at = 0.0
        self._refusals = 0  # in a row, for reasons that pass
        self._retry_policy = retry_policy or RetryPolicy()
        self._count_kept = count_parked
        self._between = between
        self._violated = violated
        self._admission = admission or Admission(MergeGuard(), desired.checkpoint_id.vertex, stop, Waits())
        self._parking: list[ParkedMessage] = []  # to be written by the next transaction
        self._passed: Checkpoint | None = None  # reached, and failed messages after it that no transaction has told

    @property
    def in_flight(self) -> int:
        """Groups sent and not settled."""
        return len(self._sent)

    @property
    def full(self) -> bool:
        """Whether a group should be settled before the next is given."""
        return self._sink.full

    @property
    def answered(self) -> bool:
        """Whether a group can be settled at little cost, and the server has another to go on with meanwhile."""
        return len(self._sent) > 1 and self._sink.answered

    @property
    def room(self) -> int:
        """How many batches the next group may have."""
        left = self._progress.batches_left(self._sink.reached)
        return self._pace.batches if left is None else max(1, min(self._pace.batches, left))

    @property
    def held(self) -> Checkpoint:
        """The checkpoint as committed, as far as is known."""
        return self._sink.held

    @property
    def finished(self) -> bool:
        """Whether the limit of batches is reached once everything that was sent is committed."""
        return self._progress.batches_left(self._sink.reached) == 0

    def apply(self, group: Group) -> None:
        """
        Sends a group on its way, whole or, where transforms take their time, in parts; `settle` tells what became of
        it.

        Raises:
            MessageRefused: a message cannot be applied and the stream stops at it; all before it are applied.
            QueryRefused: for now; nothing that was in flight took effect from that group on.
            BrokerError, GraphError: the checkpoint tells how far it came.
            Stopped: the owner wants to stop; the same.
        """
        untried: list[Group | Refused] = [group]  # the next last
        while untried:
            if self._stop.is_set():
                raise Stopped
            item = untried.pop()
            if isinstance(item, Refused):
                self.drain()  # what comes before it is not to blame
                self._part(item)
                continue
            began = time.monotonic()
            queries = self._fold(item)
            now, later = divided(item, queries)
            untried += reversed(later)
            if now:
                while self.full or self.answered:
                    self.settle()
                self._send(now, queries, time.monotonic() - began)
            if untried:
                self._between()

    def settle(self) -> None:
        """Waits until the oldest group in flight is applied, or dealt with. Raises as `apply`."""
        oldest = self._sent[0]
        try:
            self._settle_oldest()
        except QueryRefused as error:
            self._listener.unsent()
            again = list(self._sent)
            self._sent.clear()
            if error.violates_uniqueness and self._retry_policy.violated():
                self._rest(error, oldest.group)
            elif self._retry_policy.of_data(error):
                self._part(Refused(oldest.group, error, oldest.queries))
                del again[0]
            elif not isinstance(error, TransientFailure):
                raise
            else:
                self._rest(error, oldest.group)
            most = self._pace.batches
            for sent in again:
                if len(sent.group) <= most:
                    self._send(sent.group, sent.queries, sent.transformed)
                    continue
                for start in range(0, len(sent.group), most):
                    self.apply(sent.group.part(start, start + most))
        else:
            self._committed(self._sent.popleft())

    def drain(self) -> None:
        """Until nothing is in flight. Raises as `apply`."""
        while self._sent:
            self.settle()

    def move(self, entries: Sequence[FailedMessage] = (), **changes: Any) -> None:
        """
        Changes the checkpoint by itself, with nothing in flight.

        Args:
            entries: what to put into the history.
            changes: of the checkpoint's fields.
        """
        self._write(NOTHING, NO_QUERIES, dataclasses.replace(self._progress.told(self.held, entries), **changes))

    def _settle_oldest(self) -> None:
        """As `Sink.settle`; others get their turn as soon as it is known that a transaction has ended."""
        before = self._sink.held.positions
        try:
            self._sink.settle()
        except (QueryRefused, FenceLost):
            self._admission.refused()
            raise
        self._admission.committed(moved=self._sink.held.positions != before)

    def _send(self, group: Group, queries: PackedQueries, transformed: float) -> None:
        if not self._admission.try_enter(queries.keys):
            self.drain()  # nobody waits while a transaction of his is open
            self._admission.enter(queries.keys, self._between)
        reached = self._progress.after(self._sink.reached, group)
        properties = self._progress.properties(self._sink.reached, reached)
        began = time.monotonic()
        self._listener.sent(_transaction(reached, _Sent(group, queries, transformed, 0.0, began)))
        self._sink.send(queries, reached, properties)
        now = time.monotonic()
        self._sent.append(_Sent(group, queries, transformed, now - began, now))

    def _committed(self, sent: _Sent) -> None:
        """What is to be done once the oldest group is in the graph."""
        group, now = sent.group, time.monotonic()
        if group:
            self._pace.took(len(group), now - max(sent.at, self._settled_at))
        self._settled_at = now
        transaction = _transaction(self.held, sent, now - sent.at, self._refusals)._replace(notice=self._sink.notice)
        self._refusals = 0
        self._retry_policy.committed()
        self._listener.committed(transaction)

    def _rest(self, error: QueryRefused, group: Group) -> None:
        """Waits before a group is sent again that was refused for a reason that may pass. Raises Stopped."""
        self._refusals += 1
        if isinstance(error, TransientFailure):
            self._retry_policy.refused(error)
        self._pace.refused(len(group))
        seconds = pause(self._refusals)
        self._listener.failed(str(error), seconds)
        if self._stop.wait(seconds):
            raise Stopped

    def _part(self, refused: Refused) -> None:
        """
        Applies what can be applied of a group that was refused, in ever smaller parts, each in a transaction of its
        own: the group's halves, down to batches, and the batches' halves, down to messages.

        For k messages that cannot be applied, in a group of b batches of n, these are at most
        2 k (ceil(log2 b) + ceil(log2 n)) + 1 transactions, the refused one among them; and one more if the last message
        fails, and no later transaction carries its checkpoint. If only the folded queries were at fault, three.
        """
        self._heed(refused.error)
        self._listener.refused(f"{refused.error}; looking for the message that caused it", str(refused.error), 0)
        self._listener.trouble(f"{SEARCH}: {refused.error}")
        untried: list[Group | Refused] = [refused]  # the next last
        unproven = self._fold is not self._pack or _violates(refused.error)
        if refused.queries.size and unproven and not self._divisible(refused.group):
            # What cannot be parted has to fail as it is, so that the query that fails is known; and by itself, where
            # another transaction may have been to blame.
            untried = [refused.group]
        while untried:
            if self._stop.is_set():
                raise Stopped
            item = untried.pop()
            if isinstance(item, Group):
                untried += reversed(self._try(item))
            elif self._divisible(item.group):
                untried += reversed(item.group.halves())
            else:
                self._pass(item)
        if self._passed is not None:
            self._write(NOTHING, NO_QUERIES, self._passed)

    def _divisible(self, group: Group) -> bool:
        return len(group) > 1 or (group.messages > 1 and self._spec.config.isolate is Isolate.BISECT)

    def _try(self, group: Group) -> list[Group | Refused]:
        """Applies a part, as much of it as can be at once; what is left of it, in order."""
        queries = self._pack(group)
        now, later = divided(group, queries)
        if now:
            try:
                self._write(now, queries, self._progress.after(self._passed or self.held, now))
            except QueryRefused as error:
                self._heed(error)
                if not self._retry_policy.of_data(error):
                    raise
                return [Refused(now, error, queries), *later]
        return later

    def _heed(self, error: TransformError | QueryRefused) -> None:
        """Says so if a refusal shows that the graph has a uniqueness constraint. Nothing may be in flight."""
        if isinstance(error, QueryRefused) and error.violates_uniqueness:
            self._violated()

    def _write(
        self, group: Group, queries: PackedQueries, reached: Checkpoint, ended: Mapping[str, Any] | None = None
    ) -> None:
        """One transaction, waited for."""
        properties = {**self._progress.properties(self.held, reached), **(ended or {})}
        violations = 0
        while True:
            self._admission.enter(queries.keys, self._between)
            began = time.monotonic()
            self._listener.sent(_transaction(reached, _Sent(group, queries, 0.0, 0.0, began)))
            self._sink.send(queries, reached, properties, self._parking)
            now = time.monotonic()
            try:
                self._settle_oldest()
            except QueryRefused as error:
                self._listener.unsent()
                violations += error.violates_uniqueness
                if 0 < violations < VIOLATION_TRIES and not self._divisible(group):
                    continue  # what it met is committed, so a MERGE finds it at once
                if not isinstance(error, TransientFailure) or self._retry_policy.of_data(error):
                    raise
                self._rest(error, group)
            else:
                break
        if violations:
            self._retry_policy.raced()
        self._passed = None
        self._parking = []
        self._committed(_Sent(group, queries, 0.0, now - began, now))

    def _pass(self, refused: Refused) -> None:
        """
        Continues after a batch that cannot be applied, as the policy says: what comes next takes the checkpoint along.

        Raises:
            MessageRefused: the policy is to stop. The error is in the checkpoint.
        """
        spec, [batch] = self._spec, refused.group.batches
        full = self._full_for(batch)
        policy = OnError.STOP if full else spec.config.on_error
        entries = refused.entries(policy, spec.transform.sha256, self._settings.error_payload_bytes)
        before = self._passed or self.held
        place = f"topic {spec.topic}, {batch.place}"
        if policy is OnError.STOP:
            reason = one_line(refused.error, REASON_LIMIT)
            remedy = full or f"START STREAM {spec.name} tries it again, {GOES_ON}"
            text = f"Kafka stream {spec.name}, {place}: {reason}; {remedy}"
            ended = self._progress.ended(Status.ERROR, text)
            self._write(NOTHING, NO_QUERIES, self._progress.told(before, entries), ended)
            raise MessageRefused(text)
        if policy is OnError.DEAD_LETTER:
            self._letters.deliver(list(zip(batch.messages, entries, strict=True)))
        if policy is OnError.PARK:
            numbered = enumerate(zip(batch.messages, entries, strict=True), before.parked + 1)
            self._parking += [parked(message, entry, number) for number, (message, entry) in numbered]
            before = dataclasses.replace(before, parked=before.parked + len(batch))
        self._listener.refused(f"{place}: {refused.error}; {policy.value}", str(refused.error), len(batch))
        self._passed = self._progress.beyond(before, refused.group, entries)

    def _full_for(self, batch: Batch) -> str:
        """What to do about there being no room to park the batch's messages; empty if there is, or it is not wanted."""
        config, name = self._spec.config, self._spec.name
        if config.on_error is not OnError.PARK:
            return ""
        there = self._count_kept() + len(self._parking)
        if there + len(batch) <= config.park_limit:
            return ""
        held = f"{there} messages are parked already, and park_limit is {config.park_limit}"
        more = f"CALL streams.configure('{name}', {{park_limit: ...}}) makes room"
        return f"{held}: CALL streams.retry('{name}') applies them again, {more}"


def _violates(error: Exception) -> bool:
    return isinstance(error, QueryRefused) and error.violates_uniqueness


def _transaction(reached: Checkpoint, sent: _Sent, committed: float = 0.0, refusals: int = 0) -> Transaction:
    group, queries = sent.group, sent.queries
    return Transaction(
        reached, group.ends, group.messages, queries.given, queries.size, queries.news,
        group.polled, sent.transformed, sent.written, committed, refusals, shapes=queries.shapes,
    )  # fmt: skip
