"""
A stream's transform, for as long as somebody wants it: in a new process whenever it has brought the last one down.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from sluice.errors import ServiceUnavailable, Stopped
from sluice.folding import Need
from sluice.host.server_process import cores
from sluice.host.settings import Settings
from sluice.scripting import admission
from sluice.scripting.process import PackedQueries, TransformProcess
from sluice.values.batch import Group
from sluice.values.merge_keys import Wanted
from sluice.values.model import StreamSpec
from sluice.values.output_lines import OutputLines
from sluice.values.record import Messages

LOADING = threading.BoundedSemaphore(max(2, cores()))
"""
Held while a script is loaded, by one for each core: if hundreds of streams begin together, as after a restart, the
first ones apply messages while the others wait, and none uses up its time while others have the processors.
"""

STOP_INTERVAL = 0.5
"Seconds between two looks, while it waits for that, at whether the stream is to stop."

LONG = 2.0
"Seconds after which a script that is still being loaded lets others in: they are not to wait for one that hangs."


class LoadingTurn(AbstractContextManager["LoadingTurn"]):
    """
    For as long as a script is loaded. `__enter__` waits, and raises Stopped: the owner wants to stop.

    Threads: for the one that made it.
    """

    def __init__(self, wants_stop: Callable[[], bool]) -> None:
        self._wants_stop = wants_stop
        self._until: float | None = None
        "When it lets others in; None: it has."

    def __enter__(self) -> LoadingTurn:
        while not LOADING.acquire(timeout=STOP_INTERVAL):
            if self._wants_stop():
                raise Stopped
        self._until = time.monotonic() + LONG
        return self

    def __exit__(self, *_: object) -> None:
        self._let_others_in()

    def wants_stop(self) -> bool:
        """Asked all the time while the script is loaded, and later: as the owner's."""
        if self._until is not None and time.monotonic() >= self._until:
            self._let_others_in()
        return self._wants_stop()

    def _let_others_in(self) -> None:
        if self._until is not None:
            self._until = None
            LOADING.release()


class Transformer:
    """Makes queries of messages. Threads: for the thread that made it."""

    def __init__(
        self,
        spec: StreamSpec,
        settings: Settings,
        wants_stop: Callable[[], bool],
        lacks: Callable[[], frozenset[Need]] = frozenset,
        wants_keys: Callable[[], Wanted] = lambda: Wanted.MERGED,
    ) -> None:
        """
        Args:
            lacks: what queries need and the server does not do.
            wants_keys: what matters of what the queries merge, since others write at the same time.
        """
        self.lines = OutputLines()
        "What keeps the lines that its processes write. May be replaced before the first of them is started."
        self._wants_keys = wants_keys
        self._spec = spec
        self._settings = settings
        self._wants_stop = wants_stop
        self._lacks = lacks
        self._transform_process: TransformProcess | None = None

    def pack(self, group: Group) -> PackedQueries:
        """As `TransformProcess.pack`, for a group's first batches; raises as `admission.load` does, too."""
        return self._ask(group.batches, fold=False)

    def fold(self, group: Group) -> PackedQueries:
        """The same, folded where that is wanted."""
        fold = self._settings.fold and self._spec.config.fold
        return self._ask(group.batches, fold=fold)

    def whole(self, batch: Messages) -> PackedQueries:
        """The queries of a batch. Raises TransformError where there are none, and as `pack`."""
        queries = self._ask([batch], fold=False)
        if queries.error is not None:
            raise queries.error
        return queries

    def _ask(self, batches: Sequence[Messages], *, fold: bool) -> PackedQueries:
        """
        What the transform gives. That it brought its process down counts against a batch only if the process was new
        and had nothing but this batch: what it did before may be to blame, such as memory that was never given back.
        That it waits for a service counts against none: what is done is given, and then raised.
        """
        transform_process = self._running()
        worn = transform_process.worn
        queries = transform_process.pack(batches, fold=fold, lacks=self._lacks(), wants_keys=self._wants_keys())
        waits = isinstance(queries.error, ServiceUnavailable)
        if queries.error is None or not (waits or (transform_process.died and (worn or len(batches) > 1))):
            return queries
        if queries.batches:
            return queries._replace(failed=0, error=None)  # those that are done; the others come again
        if waits:
            raise queries.error
        return self._ask(batches[: max(1, queries.failed)], fold=fold)

    def close(self) -> None:
        """Ends the process."""
        if self._transform_process is not None:
            self._transform_process.close()

    def _running(self) -> TransformProcess:
        if self._transform_process is None or self._transform_process.closed:
            with LoadingTurn(self._wants_stop) as turn:
                self._transform_process = admission.load(self._spec, self._settings, turn.wants_stop, self.lines)
        return self._transform_process
