"""Python's garbage collector, which all modules in the server's process share."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """
    While thousands of objects are made, none of which is garbage yet.

    The collector runs after each 700 new objects, and now and then looks at all that there are, with the interpreter
    lock. After a pause it looks at the new ones once.

    Threads: any. While one pauses it, others find it paused, and leave it to that one.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
