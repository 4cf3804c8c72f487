"""Keeps the logs of brokers and hosts when a test fails: `test-logs/<test>/`."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

FOLDER = Path(__file__).resolve().parent.parent / "test-logs"
KEPT = 2_000_000  # bytes of each log, its end


class HasLogs(Protocol):
    """A broker or a host."""

    def log_files(self) -> list[Path]: ...


class LogKeeper:
    """Knows the servers that are in use, by the folder name their logs are to have."""

    def __init__(self) -> None:
        self._servers: dict[str, HasLogs] = {}

    @contextmanager
    def watching(self, name: str, server: HasLogs) -> Iterator[None]:
        """Keep the logs of `server` too, as long as this lasts. Names of servers in use at once differ."""
        self._servers[name] = server
        try:
            yield
        finally:
            del self._servers[name]

    def keep(self, test: str) -> Path | None:
        """Copy what the servers in use have logged; None if there are none."""
        folder = FOLDER / re.sub(r"[^\w.-]+", "_", test)[-150:]
        shutil.rmtree(folder, ignore_errors=True)
        for name, server in self._servers.items():
            for path in server.log_files():
                (folder / name).mkdir(parents=True, exist_ok=True)
                with path.open("rb") as log:
                    log.seek(max(0, path.stat().st_size - KEPT))
                    (folder / name / path.name).write_bytes(log.read())
        return folder if folder.exists() else None
