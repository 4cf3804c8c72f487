"""How a stream's checkpoint moves on, and what its node is to hold then. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from sluice.persistence import nodes
from sluice.values import failed_message
from sluice.values.batch import Group
from sluice.values.failed_message import FailedMessage
from sluice.values.lane import WHOLE
from sluice.values.model import Checkpoint, Desired, Status


class Progress:
    """Of one run of a stream."""

    def __init__(self, desired: Desired, history_limit: int) -> None:
        """`history_limit`: how many failed messages a checkpoint holds."""
        self._generation = desired.generation
        self._limit = desired.limit_batches if desired.spec.lane == WHOLE else None  # lanes share a `BatchLimit`
        self._history_limit = history_limit

    def after(self, before: Checkpoint, group: Group) -> Checkpoint:
        """After a group that was applied."""
        return self._counted(before.moved(group.end), batches=group.ends, messages=group.messages)

    def beyond(self, before: Checkpoint, group: Group, entries: Sequence[FailedMessage]) -> Checkpoint:
        """After a group that failed."""
        moved = self.with_entries(before, entries).moved(group.end)
        after = dataclasses.replace(moved, failed=before.failed + group.messages)
        return self._counted(after, batches=group.ends, messages=0)

    def with_entries(self, before: Checkpoint, entries: Sequence[FailedMessage]) -> Checkpoint:
        """Where it was, with these in its history."""
        if not entries:
            return before
        return dataclasses.replace(
            before, history=failed_message.extended(before.history, entries, self._history_limit)
        )

    def batches_left(self, reached: Checkpoint) -> int | None:
        """How many batches of the run's limit are left; None: there is no limit."""
        return None if self._limit is None else max(0, self._limit - reached.batches_in(self._generation))

    def properties(self, before: Checkpoint, reached: Checkpoint) -> dict[str, Any]:
        """
        What the checkpoint node is to hold that held `before`; with the last batch of a limit, also that the run has
        ended.
        """
        properties = nodes.checkpoint_properties(reached)
        if reached.history is not before.history:
            properties |= nodes.history_properties(reached)
        if self.batches_left(reached) == 0:
            properties |= self.ended(Status.STOPPED, None)
        return properties

    def ended(self, status: Status, error: str | None) -> dict[str, Any]:
        """What the checkpoint node is to hold beside that when the run has ended by itself."""
        return nodes.ended_properties(self._generation, status, error)

    def _counted(self, checkpoint: Checkpoint, *, batches: int, messages: int) -> Checkpoint:
        return dataclasses.replace(
            checkpoint,
            batches=checkpoint.batches + batches,
            messages=checkpoint.messages + messages,
            generation=self._generation,
            generation_batches=checkpoint.batches_in(self._generation) + batches,
        )
