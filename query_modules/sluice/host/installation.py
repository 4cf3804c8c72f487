"""
Which installation of Memgraph this is, recorded outside the graph. What is in a graph is copied with it when it is
dumped, or restored from a snapshot, into another server, and would run there as well.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from sluice.host.server_flags import data_directory, write_json

log = logging.getLogger("sluice.installation")

FILE = "sluice_installation.json"


class Installation:
    """
    The id of a data directory, and the ids of those whose replica this one was: it takes over their streams.

    Threads: only the supervisor writes; any thread may read.
    """

    def __init__(self, file: Path | None) -> None:
        """
        `file`: where the id is kept beyond this process; None: nowhere, and all streams count as this installation's.
        """
        self._file = file
        self.id = ""
        "Empty if it cannot be kept."
        self._adopted: frozenset[str] = frozenset()
        self._is_replica = False
        with suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads(file.read_text(encoding="utf-8") if file else "")
            self.id, self._adopted = str(found["id"]), frozenset(map(str, found["adopted"]))
            self._is_replica = bool(found["is_replica"])
        if file is not None and not self.id:
            self.id = secrets.token_hex(8)
            self._write()

    def owns(self, mark: object) -> bool:
        """Whether a stream that the installation `mark` started is to run here; on a replica, once it is promoted."""
        return self._is_replica or not self.id or not mark or mark == self.id or mark in self._adopted

    def note_replica(self) -> None:
        """
        To be called if this server is a replica: what it holds is its MAIN's, and becomes its own when it is promoted.
        """
        if not self._is_replica:
            self._is_replica = True
            self._write()

    def note_main(self, marks: Iterable[object]) -> None:
        """To be called if this server is not, or no longer, a replica. `marks`: of all streams in the graph."""
        if self._is_replica:
            self._adopted |= {str(mark) for mark in marks if mark}
            self._is_replica = False
            self._write()

    def _write(self) -> None:
        if self._file is None:
            return
        content = {"id": self.id, "adopted": sorted(self._adopted), "is_replica": self._is_replica}
        try:
            write_json(self._file, content)
        except OSError as error:
            log.warning(
                "streams that are copied to another server would run there: cannot write %s: %s", self._file, error
            )
            self._file, self.id = None, ""


def installation_of_this_server() -> Installation:
    """The installation of the server's data directory, if it exists."""
    folder = data_directory()
    return Installation(None if folder is None else folder / FILE)
