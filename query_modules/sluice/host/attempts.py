"""
Detects that the server ends repeatedly at the same batch.

A stream continues from its checkpoint when the server is back, so a batch that ends the server would do so at every
start. The transaction during which the server ends leaves nothing in the graph, and what was committed just before is
lost with the log's buffer. So each worker's first transaction is recorded in a file in the server's data directory
while it is in flight. After its answer nothing more is written.
"""

from __future__ import annotations

import json
import logging
import threading
from contextlib import suppress
from pathlib import Path

from sluice.host.server_flags import data_directory, write_json

log = logging.getLogger("sluice.attempts")

FILE = "sluice_attempts.json"

MAX_ATTEMPTS = 3
"Number of times in a row that the server may end while a stream's first transaction is in flight."


class Attempts:
    """Counts, by stream, first transactions that were never answered. Threads: any."""

    def __init__(self, file: Path | None) -> None:
        """`file`: where the counts are kept beyond this process; None: nowhere."""
        self._file = file
        self._lock = threading.Lock()  # guards what follows, and the file
        self._found: dict[str, list[int]] | None = None
        "A stream's uid -> its generation, and how many times in a row; None: the file was not read yet."

    def count(self, uid: str, generation: int) -> int:
        """How many times in a row the server ended while the run's first transaction was in flight."""
        with self._lock:
            known, count = self._counts().get(uid, [generation, 0])
            return count if known == generation else 0

    def begin(self, uid: str, generation: int) -> None:
        """To be called when a worker's first transaction is about to be sent."""
        count = self.count(uid, generation)
        with self._lock:
            self._counts()[uid] = [generation, count + 1]
            self._write()

    def end(self, uid: str) -> None:
        """To be called when it was answered, or given up."""
        with self._lock:
            if self._counts().pop(uid, None) is not None:
                self._write()

    def _counts(self) -> dict[str, list[int]]:
        # Read by the first worker, not sooner: while modules are reloaded, workers of the copy before this one are
        # still at work, and what they have in flight is no end of the server.
        if self._found is None:
            self._found = _read(self._file)
        return self._found

    def _write(self) -> None:
        if self._file is None:
            return
        try:
            write_json(self._file, self._counts())
        except OSError as error:
            log.warning("a batch that ends the server would not be noticed: cannot write %s: %s", self._file, error)
            self._file = None


def file_of_this_server() -> Path | None:
    """Where the counts of this process are kept; None: its data directory is not known, or not there."""
    folder = data_directory()
    return None if folder is None else folder / FILE


def _read(file: Path | None) -> dict[str, list[int]]:
    """The counts in the file; empty if it is not such a file."""
    found: dict[str, list[int]] = {}
    with suppress(OSError, ValueError, AttributeError, TypeError):
        for uid, (generation, count) in json.loads(file.read_text(encoding="utf-8") if file else "{}").items():
            found[str(uid)] = [int(generation), int(count)]
    return found
