"""
A stream's transform, for as long as somebody wants it: in a new process whenever it has brought the last one down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sluice.jail import Jail, PackedQueries
from sluice.model import StreamSpec
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

    def pack(self, payloads: Sequence[bytes | None]) -> PackedQueries:
        """The messages' queries. Raises as `Jail` and `Jail.pack` do."""
        return self._running().pack(payloads)

    def fold(self, payloads: Sequence[bytes | None]) -> PackedQueries:
        """The same, folded where that is wanted. Raises as `pack`."""
        return self._running().pack(payloads, fold=self._settings.fold and self._spec.config.fold)

    def close(self) -> None:
        """Ends the process."""
        if self._jail is not None:
            self._jail.close()

    def _running(self) -> Jail:
        if self._jail is None or self._jail.closed:
            self._jail = Jail(self._spec.transform, self._settings, self._wants_stop)
        return self._jail
