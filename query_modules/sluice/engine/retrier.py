"""
Applies parked messages again: effect and removal in one transaction, so that each takes effect once.

The worker of a stream that runs does this in turn with what comes in; for one that does not run, a worker does nothing
else and ends.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from sluice.bolt import messages
from sluice.bolt.framing import frame
from sluice.engine.refusal import Refused, bisect
from sluice.engine.run import Run
from sluice.engine.writer import Writer
from sluice.errors import (
    FenceLost,
    QueryRefused,
    ScriptError,
    ServiceUnavailable,
    SettingError,
    TransformError,
    one_line,
)
from sluice.persistence import nodes
from sluice.persistence.transaction import NO_QUERIES, Transaction
from sluice.scripting.process import PackedQueries
from sluice.scripting.transformer import Transformer
from sluice.values.configuration import Isolate
from sluice.values.failed_message import described_query, now
from sluice.values.model import Checkpoint, VertexId
from sluice.values.parked_message import ParkedMessage, RetryRequest, groups
from sluice.values.record import Records

log = logging.getLogger("sluice.retrier")

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

Part = Sequence[tuple[VertexId, ParkedMessage]]


class Retrier:
    """Answers what `streams.retry` asks of one stream. Threads: for the thread that owns the writer."""

    def __init__(self, run: Run, writer: Writer, transform: Transformer) -> None:
        self._run = run
        self._spec = run.spec
        self._writer = writer
        self._loopback = writer.loopback
        self._transform = transform
        self._request: RetryRequest | None = None
        "What is being answered; None: nothing."
        self._due: deque[list[VertexId]] = deque()
        "The groups of messages that are left of it."
        self._asked = self._applied = 0  # messages of it

    def step(self) -> bool:
        """
        Continues with what is asked for, for about `SLICE` seconds. Nothing may be in flight. Returns whether there may
        be more to do.

        Raises:
            QueryRefused, GraphError: what was applied is applied; the rest is still asked for.
            Stopped: the same.
        """
        until = time.monotonic() + SLICE
        while self._request is not None or self._take_request():
            if self._due:
                self._apply(self._loopback.read_parked(self._spec.uid, self._due.popleft()))
            else:
                self._answer()
            if time.monotonic() >= until:
                return True
        return False

    def _take_request(self) -> bool:
        """Begins with the next request; whether there is one."""
        held = self._writer.sink.held
        requests = self._loopback.read_requests(self._run.desired.stream_id)
        due = (request for request in requests if request.number > held.retry_completed)
        self._request = next((request.for_lane(self._spec.lane.number) for request in due), None)
        if self._request is None:
            return False
        there = self._loopback.list_parked(self._run.desired.checkpoint_id)
        ids = {message.number: vertex for vertex, message in there if self._request.means(message)}
        meant = [message for _, message in there if message.number in ids]
        together = groups(meant, self._spec.batch_size, self._run.settings.batch_max_bytes)
        self._due.extend([ids[message.number] for message in group] for group in together)
        self._asked, self._applied = len(ids), 0
        return True

    def _answer(self) -> None:
        """Takes down that the request is answered."""
        assert self._request is not None
        self._commit(NO_QUERIES, dataclasses.replace(self._writer.sink.held, retry_completed=self._request.number))
        text = "stream %s: of %s parked messages, %s took effect"
        log.info(text, self._spec.name, self._asked, self._applied)
        self._request = None

    def _apply(self, part: Part) -> None:
        """Applies what can be applied of a group, in ever smaller parts."""
        for refused in bisect([part] if part else [], self._attempt, self._halves):
            self._note(refused)

    def _halves(self, part: Part) -> tuple[Part, ...]:
        middle = len(part) // 2 if self._spec.config.isolate is Isolate.BISECT else 0
        return (part[:middle], part[middle:]) if middle else ()

    def _attempt(self, part: Part) -> list[Part | Refused[Part]]:
        """Applies a part, all of it or nothing; gives it back if it cannot be applied."""
        self._run.check()
        queries = NO_QUERIES
        try:
            queries = self._transform.whole(Records(message.record for _, message in part))
            held, count = self._writer.sink.held, len(part)
            after = dataclasses.replace(held, messages=held.messages + count, failed=max(0, held.failed - count))
            self._commit(_joined(_removal(part, self._spec.uid), queries), after, divisible=bool(self._halves(part)))
        except (TransformError, ScriptError, SettingError, ValueError) as error:
            if isinstance(error, ScriptError | SettingError | ServiceUnavailable) and error.retryable:
                raise
            return [Refused(part, error)]
        except QueryRefused as error:
            if error.index == 0 and GONE_TEXT in str(error):
                raise FenceLost(GONE_TEXT) from error
            if not self._run.retry_policy.of_data(error):
                raise
            return [Refused(part, error, queries)]
        self._applied += len(part)
        return []

    def _note(self, refused: Refused[Part]) -> None:
        """Writes into the nodes of messages that stay why they do."""
        part = refused.part
        text, params = described_query(refused.query(skipped=1))
        changes = {
            "error": one_line(refused.error),
            "query": text,
            "params": params,
            "transform_sha256": self._spec.transform.sha256,
            "tried": now(),
        }
        failed = [
            {"id": vertex, "number": message.number, "changes": {**changes, "attempts": message.attempts + 1}}
            for vertex, message in part
        ]
        text = f"{part[0][1].place} stays parked: {refused.error}"
        self._run.status.refused(text, str(refused.error), len(part))
        self._commit(_packed(CHANGE, {"messages": failed, "uid": self._spec.uid}), self._writer.sink.held)

    def _commit(self, queries: PackedQueries, after: Checkpoint, *, divisible: bool = False) -> None:
        properties = nodes.checkpoint_properties(after)
        self._writer.commit(Transaction(self._writer.sink.held, after, properties, queries), divisible=divisible)


def _removal(part: Part, uid: str) -> PackedQueries:
    removed = [{"id": vertex, "number": message.number} for vertex, message in part]
    return _packed(REMOVE, {"messages": removed, "uid": uid})


def _packed(query: str, parameters: dict[str, Any]) -> PackedQueries:
    return PackedQueries(1, frame(messages.run(query, parameters)) + frame(messages.pull(-1)))


def _joined(first: PackedQueries, then: PackedQueries) -> PackedQueries:
    frames = b"".join((first.frames, then.frames))
    return PackedQueries(first.size + then.size, frames, keys=then.keys, shapes=then.shapes)
