"""What a stream's transform has written: the latest lines of its output, errors and log, each with its time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable

from sluice.values.failed_message import now

MAX_OUTPUT_LINES = 200
"Lines that are kept of a stream, the latest."

MAX_LINE = 500
"Characters of a line; what is longer is cut."


class OutputLines:
    """
    The latest lines, the newest last; bounded.

    Threads: any.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards _lines
        self._lines: deque[tuple[str, str]] = deque(maxlen=MAX_OUTPUT_LINES)
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Takes what was written. The end of it that is no whole line waits for the rest. Threads: one at a time."""
        *whole, rest = (self._rest + data).split(b"\n")
        self._rest = rest[: 4 * MAX_LINE]
        self.add((now(), text) for line in whole[-MAX_OUTPUT_LINES:] if (text := _text(line)))

    def end(self) -> None:
        """Nothing more comes of who wrote this."""
        if self._rest:
            self.feed(b"\n")

    def add(self, lines: Iterable[tuple[str, str]]) -> None:
        """Takes lines, each with its time in UTC, ISO 8601."""
        with self._lock:
            self._lines.extend(lines)

    def latest(self, limit: int = MAX_OUTPUT_LINES) -> list[tuple[str, str]]:
        """At most that many lines, the newest last."""
        with self._lock:
            return list(self._lines)[-limit:]


def _text(line: bytes) -> str:
    """A line as it is shown: nothing in it that a terminal would obey, and no blanks at its end."""
    text = line.decode("utf-8", "replace").rstrip()
    return "".join(c if c.isprintable() else " " for c in text)[:MAX_LINE]
