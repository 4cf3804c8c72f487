"""
What a CREATE has found out before it met a conflict, for the same CREATE when it is tried again.

Drivers try a transaction again that conflicts with another. Fetching and loading the script, and asking the broker,
take long compared with what follows; done anew each time, they would make the next conflict likely, and each one dear.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")

SECONDS = 30.0
"How long it is remembered: as long as drivers try again, by default."

MAX_ITEMS = 100


class Remembered(Generic[T]):
    """Values that are kept for a short time, and given once. Threads: any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards what follows
        self._items: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()
        "By key, the oldest first: until when (`time.monotonic`), and the value."

    def take(self, key: Hashable) -> tuple[float, T] | None:
        """The value, and until when it is good; None: there is none, or it was too long ago. It is forgotten here."""
        with self._lock:
            found = self._items.pop(key, None)
        return found if found is not None and time.monotonic() < found[0] else None

    def keep(self, key: Hashable, value: T, until: float | None = None) -> None:
        """Remembers a value. `until`: `time.monotonic`; None: `SECONDS` from now."""
        with self._lock:
            self._items.pop(key, None)
            self._items[key] = (time.monotonic() + SECONDS if until is None else until, value)
            while len(self._items) > MAX_ITEMS:
                self._items.popitem(last=False)
