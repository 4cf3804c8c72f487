"""Finds the messages of a refused group that cannot be applied, and does with each what the stream's policy says."""

from __future__ import annotations

import dataclasses
import re

from sluice.brokers.dead_letters import DeadLetters
from sluice.engine.memory_trial import lacks_memory
from sluice.engine.progress import Progress
from sluice.engine.refusal import Refused, bisect, divided
from sluice.engine.run import SEARCH, Run
from sluice.engine.writer import Writer
from sluice.errors import MessageRefused, QueryRefused, one_line
from sluice.persistence.nodes import OWNER
from sluice.persistence.transaction import NO_QUERIES, NOTHING, Transaction
from sluice.scripting.process import PackedQueries
from sluice.scripting.transformer import Transformer
from sluice.values import failed_message
from sluice.values.batch import Batch, Group
from sluice.values.configuration import Isolate, OnError
from sluice.values.failed_message import FailedMessage, now
from sluice.values.model import Checkpoint, Status
from sluice.values.parked_message import ParkedMessage, parked

REASON_LIMIT = 300
"Characters of a refusal that the stream's error repeats, so that what to do about it still fits."

TRIGGER = re.compile("Trigger '.*' caused the transaction to fail", re.DOTALL)

OWN_VERTICES = (
    "it fails at Sluice's own vertices as well, which each transaction of a stream changes: have it leave them out, "
    f"as in UNWIND updatedVertices AS u WITH u.vertex AS v WHERE v.{OWNER} IS NULL"
)

GOES_ON = "on_error 'skip', 'park' or 'dead_letter' continues after it"


class Isolation:
    """One search after the other. Threads: for the thread that owns the writer."""

    def __init__(self, run: Run, writer: Writer, transform: Transformer, dead_letters: DeadLetters) -> None:
        self._run = run
        self._spec = run.spec
        self._writer = writer
        self._transform = transform
        self._dead_letters = dead_letters
        self._progress = Progress(run.desired, run.settings.error_history)
        self._passed: Checkpoint | None = None
        "Reached, after failed messages that no transaction has counted yet; None: there are none."
        self._parking: list[ParkedMessage] = []
        "Those of them that become nodes."

    def apply(self, refused: Refused[Group]) -> None:
        """
        Applies what can be applied of a group that was refused, in ever smaller parts, each in a transaction of its
        own: the group's halves, down to batches, and the batches' halves, down to messages. Nothing may be in flight.

        For k messages that cannot be applied, in a group of b batches of n, these are at most
        2 k (ceil(log2 b) + ceil(log2 n)) + 1 transactions, the refused one among them; and one more if the last message
        fails, and no later transaction carries its checkpoint. If only the folded queries were at fault, three.

        Raises:
            MessageRefused: the policy is to stop. The error is in the checkpoint.
            QueryRefused, BrokerError, GraphError: the checkpoint tells how far it came.
            Stopped: the same.
        """
        self._passed, self._parking = None, []
        status = self._run.status
        status.refused(f"{refused.error}; looking for the message that caused it", str(refused.error), 0)
        status.trouble(f"{SEARCH}: {refused.error}")
        first: Group | Refused[Group] = refused
        error = refused.error
        self._check_trigger(error)
        disputed = isinstance(error, QueryRefused) and (error.violates_uniqueness or lacks_memory(error))
        unproven = disputed or (self._run.settings.fold and self._spec.config.fold)
        if refused.queries.size and unproven and not self._halves(refused.part):
            # What cannot be parted has to fail as it is, so that the query that fails is known; and by itself, where
            # something else may have been to blame.
            first = refused.part
        for found in bisect([first], self._attempt, self._halves):
            self._pass(found)
        if self._passed is not None:
            self._commit(NOTHING, NO_QUERIES, self._passed)

    def _check_trigger(self, error: Exception) -> None:
        """
        Raises QueryRefused if it was a trigger that refuses the checkpoint alone as well: no message is to blame then.
        """
        if not TRIGGER.match(str(error)):
            return
        held = self._writer.sink.held
        try:
            self._writer.commit(Transaction(held, held, {"trigger_checked_at": now()}))
        except QueryRefused as refusal:
            raise QueryRefused(f"{refusal}; {OWN_VERTICES}", code=refusal.code) from refusal

    def _halves(self, group: Group) -> tuple[Group, ...]:
        divisible = len(group) > 1 or (group.messages > 1 and self._spec.config.isolate is Isolate.BISECT)
        return group.halves() if divisible else ()

    def _attempt(self, group: Group) -> list[Group | Refused[Group]]:
        self._run.check()
        queries = self._transform.pack(group)
        now, later = divided(group, queries)
        if now:
            try:
                self._commit(now, queries, self._progress.after(self._passed or self._writer.sink.held, now))
            except QueryRefused as error:
                if not self._run.retry_policy.of_data(error):
                    raise
                self._check_trigger(error)
                return [Refused(now, error, queries), *later]
        return later

    def _commit(self, group: Group, queries: PackedQueries, after: Checkpoint) -> None:
        before = self._writer.sink.held
        properties = self._progress.properties(before, after)
        transaction = Transaction(before, after, properties, queries, group, self._parking)
        self._writer.commit(transaction, divisible=bool(self._halves(group)))
        self._passed, self._parking = None, []

    def _pass(self, refused: Refused[Group]) -> None:
        """Passes a batch that cannot be applied, along with what comes next, or stops there, as the policy says."""
        spec, [batch] = self._spec, refused.part.batches
        full = self._full_for(batch)
        policy = OnError.STOP if full else spec.config.on_error
        entries = self._entries(refused, batch, policy)
        place = batch.place
        if policy is OnError.STOP:
            reason = one_line(refused.error, REASON_LIMIT)
            remedy = full or f"START STREAM {spec.name} retries it, {GOES_ON}"
            self._stop(f"Kafka stream {spec.name}, {place}: {reason}; {remedy}", entries)
        before = self._passed or self._writer.sink.held
        if policy is OnError.DEAD_LETTER:
            self._dead_letters.deliver(list(zip(batch.messages, entries, strict=True)))
        if policy is OnError.PARK:
            numbered = enumerate(zip(batch.messages, entries, strict=True), before.parked + 1)
            self._parking += [parked(message, entry, number) for number, (message, entry) in numbered]
            before = dataclasses.replace(before, parked=before.parked + len(batch))
        self._run.status.refused(f"{place}: {refused.error}; {policy.value}", str(refused.error), len(batch))
        self._passed = self._progress.beyond(before, refused.part, entries)

    def _stop(self, text: str, entries: list[FailedMessage]) -> None:
        before = self._writer.sink.held
        after = self._progress.with_entries(self._passed or before, entries)
        properties = {**self._progress.properties(before, after), **self._progress.ended(Status.ERROR, text)}
        self._writer.commit(Transaction(before, after, properties, parked=self._parking))
        raise MessageRefused(text)

    def _entries(self, refused: Refused[Group], batch: Batch, policy: OnError) -> list[FailedMessage]:
        """What is to be known of each of the messages."""
        query = refused.query()
        return [
            failed_message.of_message(
                message,
                action=policy.value,
                error=refused.error,
                query=query,
                transform_sha256=self._spec.transform.sha256,
                payload_limit=self._run.settings.error_payload_bytes,
            )
            for message in batch.messages
        ]

    def _full_for(self, batch: Batch) -> str:
        """What to do about there being no room to park the batch's messages; empty if there is, or it is not wanted."""
        config, name = self._spec.config, self._spec.name
        if config.on_error is not OnError.PARK:
            return ""
        there = self._writer.loopback.count_parked(self._run.desired) + len(self._parking)
        if there + len(batch) <= config.park_limit:
            return ""
        held = f"{there} messages are parked already, and park_limit is {config.park_limit}"
        more = f"ALTER STREAM {name} SET CONFIG {{park_limit: ...}} makes room"
        return f"{held}: CALL streams.retry('{name}') applies them again, {more}"
