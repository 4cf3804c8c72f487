"""
A stream's transform, for as long as somebody wants it: in a new process whenever it has brought the last one down.
"""

from __future__ import annotations

from collections.abc import Callable

from sluice.batch import Group
from sluice.jail import Jail, PackedQueries
from sluice.model import StreamSpec
from sluice.record import Messages
from sluice.settings import Settings


class Transformer:
    """
    Makes queries of messages.

    Threads: for the thread that made it.
    """

    def __init__(self, spec: StreamSpec, settings: Settings, wants_stop: Callable[[], bool]) -> None:
        self._spec = spec
        self._settings = settings
        self._wants_stop = wants_stop
        self._jail: Jail | None = None

    def pack(self, group: Group) -> PackedQueries:
        """The queries of the group's first batches. As `Jail.pack`; raises as `Jail` does, too."""
        return self._running().pack(group.batches)

    def fold(self, group: Group) -> PackedQueries:
        """The same, folded where that is wanted."""
        fold = self._settings.fold and self._spec.config.fold
        return self._running().pack(group.batches, fold=fold)

    def whole(self, batch: Messages) -> PackedQueries:
        """The queries of a batch. Raises TransformError where there are none, and as `pack`."""
        queries = self._running().pack([batch])
        if queries.error is not None:
            raise queries.error
        return queries

    def close(self) -> None:
        """Ends the process."""
        if self._jail is not None:
            self._jail.close()

    def _running(self) -> Jail:
        if self._jail is None or self._jail.closed:
            self._jail = Jail(self._spec.transform, self._settings, self._wants_stop)
        return self._jail
