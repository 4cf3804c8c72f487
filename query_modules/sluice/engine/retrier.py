"""
Applies parked messages again: effect and removal in one transaction, so that each takes effect once.

For a stream that runs its worker does this, in turn with what comes in; for one that does not, a worker that does
nothing else and ends.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, NamedTuple

from sluice.bolt import messages
from sluice.bolt.framing import frame
from sluice.engine.group_size import pause
from sluice.engine.listener import Listener, Stop, Transaction
from sluice.engine.merge_guard import Admission, MergeGuard, Waits
from sluice.engine.refusal import NO_QUERIES, refused_query
from sluice.engine.retry_policy import RetryPolicy
from sluice.errors import (
    FenceLost,
    QueryRefused,
    ScriptError,
    SettingError,
    Stopped,
    TransformError,
    TransientFailure,
    one_line,
)
from sluice.host.settings import Settings
from sluice.persistence import nodes
from sluice.persistence.loopback import Loopback
from sluice.persistence.sink import Sink
from sluice.scripting.process import PackedQueries
from sluice.scripting.transformer import Transformer
from sluice.values.configuration import Isolate
from sluice.values.failed_message import described_query, now
from sluice.values.model import Checkpoint, Desired, VertexId
from sluice.values.parked_message import ParkedMessage, RetryRequest, groups
from sluice.values.record import Messages, Records

log = logging.getLogger("sluice.retrier")

VIOLATION_TRIES = 3
"Tries of what violates a uniqueness constraint, before it is to blame."

SLICE = 0.5
"Seconds of retrying after which a stream looks after what came in meanwhile."

GONE_TEXT = "sluice: a parked message is gone"

# The number is compared as well: on some hosts an id is given again.
REMOVE = f"""
UNWIND $messages AS message
OPTIONAL MATCH (m:{nodes.PARKED})
WHERE id(m) = message.id AND m.number = message.number AND m.{nodes.OWNER} = $uid
WITH m, assert(m IS NOT NULL, '{GONE_TEXT}') AS there
DETACH DELETE m
"""

CHANGE = f"""
UNWIND $messages AS message
MATCH (m:{nodes.PARKED})
WHERE id(m) = message.id AND m.number = message.number AND m.{nodes.OWNER} = $uid
SET m += message.changes
"""

Group = Sequence[tuple[VertexId, ParkedMessage]]


class Refusal(NamedTuple):
    """Why messages cannot be applied."""

    error: Exception
    query: tuple[str, Any] | None
    "Text and parameters of the query that was refused; None if that is not known."


class Retrier:
    """
    Answers what `streams.retry` asks of one stream.

    Threads: for the thread that owns loopback and sink.
    """

    def __init__(
        self,
        desired: Desired,
        settings: Settings,
        loopback: Loopback,
        sink: Sink,
        pack: Callable[[Messages], PackedQueries],
        stop: Stop,
        listener: Listener,
        retry_policy: RetryPolicy,
        admission: Admission | None = None,
    ) -> None:
        """
        Args:
            sink: over the loopback's connection.
            doubts: what is thought of refusals so far.
            admission: the stream's turns among others that merge the same; None: there are no others.
        """
        self._admission = admission or Admission(MergeGuard(), desired.checkpoint_id.vertex, stop, Waits())
        self._desired = desired
        self._spec = desired.spec
        self._max_bytes = settings.batch_max_bytes
        self._loopback = loopback
        self._sink = sink
        self._pack = pack
        self._stop = stop
        self._listener = listener
        self._retry_policy = retry_policy
        self._steps: Iterator[None] | None = None
        "What is under way; None: nothing."

    def step(self) -> bool:
        """
        Goes on with what is asked for, for about `SLICE` seconds. Nothing may be in flight.

        Returns:
            whether there is more to do.

        Raises:
            QueryRefused, GraphError: what was applied is applied; the rest is still asked for.
            Stopped: the same.
        """
        until = time.monotonic() + SLICE
        self._steps = self._steps or self._all()
        for _ in self._steps:
            if time.monotonic() >= until:
                return True
        self._steps = None
        return False

    def _all(self) -> Iterator[None]:
        """Answers every request that there is, a group at a time."""
        for request in self._loopback.read_requests(self._desired.stream_id):
            if request.number > self._sink.held.retry_completed:
                yield from self._answer(request)

    def _answer(self, request: RetryRequest) -> Iterator[None]:
        there = self._loopback.list_parked(self._desired.checkpoint_id)
        ids = {message.number: vertex for vertex, message in there if request.means(message)}
        meant = [message for _, message in there if message.number in ids]
        applied = 0
        for group in groups(meant, self._spec.batch_size, self._max_bytes):
            applied += self._apply(
                self._loopback.read_parked(self._spec.uid, [ids[message.number] for message in group])
            )
            yield
        self._write(NO_QUERIES, dataclasses.replace(self._sink.held, retry_completed=request.number))
        log.info("stream %s: of %s parked messages, %s took effect", self._spec.name, len(ids), applied)

    def _apply(self, group: Group) -> int:
        """Applies what can be applied of a group, in ever smaller parts; how many messages took effect."""
        applied = 0
        untried = [group] if group else []  # the next last
        while untried:
            if self._stop.is_set():
                raise Stopped
            part = untried.pop()
            refusal = self._try(part)
            if refusal is None:
                applied += len(part)
            elif len(part) > 1 and self._spec.config.isolate is Isolate.BISECT:
                middle = len(part) // 2
                untried += [part[middle:], part[:middle]]
            else:
                self._note(part, refusal)
        return applied

    def _try(self, part: Group) -> Refusal | None:
        """Applies a part, all of it or nothing; why it cannot be applied, if it cannot."""
        queries = NO_QUERIES
        try:
            queries = self._pack(Records(message.record for _, message in part))
            self._write(_joined(_removal(part, self._spec.uid), queries), self._without(part))
        except (TransformError, ScriptError, SettingError, ValueError) as error:
            if isinstance(error, ScriptError | SettingError) and error.retryable:
                raise
            return Refusal(error, None)
        except QueryRefused as error:
            index = None if error.index is None else error.index - 1
            if index == -1 and GONE_TEXT in str(error):
                raise FenceLost(GONE_TEXT) from error
            if not self._retry_policy.of_data(error):
                raise
            return Refusal(error, refused_query(queries, index))
        return None

    def _note(self, part: Group, refusal: Refusal) -> None:
        """Writes into the nodes of messages that stay why they do."""
        text, params = described_query(refusal.query)
        changes = {
            "error": one_line(refusal.error),
            "query": text,
            "params": params,
            "transform_sha256": self._spec.transform.sha256,
            "tried": now(),
        }
        failed = [
            {"id": vertex, "number": message.number, "changes": {**changes, "attempts": message.attempts + 1}}
            for vertex, message in part
        ]
        text = f"{part[0][1].place} stays parked: {refusal.error}"
        self._listener.refused(text, str(refusal.error), len(part))
        self._write(_packed(CHANGE, {"messages": failed, "uid": self._spec.uid}), self._sink.held)

    def _write(self, queries: PackedQueries, reached: Checkpoint) -> None:
        """One transaction, waited for; again and again where it conflicts with others."""
        failures = violations = 0
        before = self._sink.held.positions
        while True:
            self._admission.enter(queries.keys)
            self._listener.sent(Transaction(reached))
            self._sink.send(queries, reached, nodes.checkpoint_properties(reached))
            try:
                self._sink.settle()
            except FenceLost:
                self._admission.refused()
                raise
            except QueryRefused as error:
                self._admission.refused()
                self._listener.unsent()
                if error.violates_uniqueness and not violations:
                    self._loopback.unlabel(self._desired.checkpoint_id)
                violations += error.violates_uniqueness
                if 0 < violations < VIOLATION_TRIES:
                    continue  # what it met is committed, so a MERGE finds it at once
                if not isinstance(error, TransientFailure):
                    raise
                self._retry_policy.refused(error)
                if self._retry_policy.of_data(error):
                    raise
                failures += 1
                seconds = pause(failures)
                self._listener.failed(str(error), seconds)
                if self._stop.wait(seconds):
                    raise Stopped from None
            else:
                break
        self._admission.committed(moved=self._sink.held.positions != before)
        self._retry_policy.committed()
        self._listener.committed(Transaction(self._sink.held, notice=self._sink.notice, shapes=queries.shapes))

    def _without(self, part: Group) -> Checkpoint:
        held = self._sink.held
        return dataclasses.replace(held, messages=held.messages + len(part), failed=max(0, held.failed - len(part)))


class RetrySession:
    """
    What a worker does for a stream that does not run: answers what is asked of it, and ends. No consumer, no topic.

    Threads: as `Session`.
    """

    def __init__(
        self,
        desired: Desired,
        settings: Settings,
        loopback: Loopback,
        stop: Stop,
        listener: Listener,
        retry_policy: RetryPolicy,
        admission: Admission,
    ) -> None:
        self._resources = ExitStack()
        self._resources.callback(admission.abandon)
        transformer = Transformer(desired.spec, settings, stop.is_set, wants_keys=admission.wants_keys)
        self._resources.callback(transformer.close)
        loopback.unlabel(desired.checkpoint_id)
        held = loopback.read_checkpoint(desired.checkpoint_id)
        listener.begun(held)
        sink = Sink(loopback.connection, desired.checkpoint_id, held)
        pack = transformer.whole
        self._retrier = Retrier(desired, settings, loopback, sink, pack, stop, listener, retry_policy, admission)

    def __enter__(self) -> RetrySession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    def run(self) -> None:
        """Until every request is answered. Raises as `Retrier.step`."""
        while self._retrier.step():
            pass


def _removal(part: Group, uid: str) -> PackedQueries:
    removed = [{"id": vertex, "number": message.number} for vertex, message in part]
    return _packed(REMOVE, {"messages": removed, "uid": uid})


def _packed(query: str, parameters: dict[str, Any]) -> PackedQueries:
    return PackedQueries(1, frame(messages.run(query, parameters)) + frame(messages.pull(-1)))


def _joined(first: PackedQueries, then: PackedQueries) -> PackedQueries:
    frames = b"".join((first.frames, then.frames))
    return PackedQueries(first.size + then.size, frames, keys=then.keys, shapes=then.shapes)
