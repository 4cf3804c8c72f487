"""Finds what a test leaves running in the test process."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

PATIENCE = 10.0  # seconds for threads that are about to end


class Running:
    """The threads and child processes of this process, when it was made."""

    def __init__(self) -> None:
        self._threads = set(threading.enumerate())
        self._children = _children()

    def started_since(self, patience: float = PATIENCE) -> list[str]:
        """What has been started after that and still runs, a while later; an ended child nobody waited for counts."""
        deadline = time.monotonic() + patience
        while (left := self._left()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return left

    def _left(self) -> list[str]:
        threads = [f"thread {thread.name}" for thread in threading.enumerate() if thread not in self._threads]
        children = [f"process {pid} ({name})" for pid, name in _children().items() if pid not in self._children]
        return threads + children


def _children() -> dict[int, str]:
    """Process id -> name of the children of this process, from /proc."""
    children = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:  # it has just ended
            continue
        # The name stands in parentheses and may itself have some: "7 (a) b) S 1 ...", then state and parent.
        name, fields = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 1 :].split()
        if int(fields[1]) == os.getpid():
            children[int(entry.name)] = name
    return children
