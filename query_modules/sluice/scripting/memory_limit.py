"""
The address space that a transform process may have, and what is said where that was too little.
"""

from __future__ import annotations

import os
import re
import resource

SETTING = "SLUICE_TRANSFORM_MEMORY_MB"

LACKING = re.compile("MemoryError|out of memory|allocat|pthread_create|start new thread|map segment", re.IGNORECASE)
"What is said for want of address space, by Python, by libraries, or by the loader of libraries."

ALWAYS = (MemoryError, KeyboardInterrupt)
"Exceptions that say so by themselves; the second is how OpenBLAS ends where it cannot start its threads."

ERRORS = (ImportError, OSError, RuntimeError)
"Exceptions of which that is true if their text says so."

OPENBLAS = "OPENBLAS_NUM_THREADS"

PER_THREAD = 128 << 20
"""
Bytes of the limit for each thread of OpenBLAS, which makes as many as there are processors and reserves 41 MiB for each
when it is imported (numpy 2.4): on a machine with 64 processors that would not fit.
"""


def limit(memory_bytes: int) -> None:
    """Limits this process; 0: not at all."""
    if memory_bytes:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        os.environ.setdefault(OPENBLAS, str(max(1, memory_bytes // PER_THREAD)))


def own_hint(error: BaseException) -> str:
    """As `hint`, for an exception in this process."""
    memory_bytes, _ = resource.getrlimit(resource.RLIMIT_AS)
    lacks = isinstance(error, ALWAYS) or (isinstance(error, ERRORS) and LACKING.search(str(error)))
    return _hint(memory_bytes >> 20) if lacks and memory_bytes != resource.RLIM_INFINITY else ""


def hint(text: str, memory_mb: int) -> str:
    """What to add if this is the last that a process with this limit has written; empty if memory is not the reason."""
    return _hint(memory_mb) if memory_mb and LACKING.search(text) else ""


def _hint(memory_mb: int) -> str:
    return f"; it may have {memory_mb} MiB of address space, threads included ({SETTING})"
