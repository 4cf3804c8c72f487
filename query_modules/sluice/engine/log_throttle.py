"""Keeps the log readable where the same goes wrong with message after message."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

log = logging.getLogger("sluice.applier")

INTERVAL = 60.0
"Seconds that lines are counted over, from the first on."

MAX_REASONS = 10
"Lines in full in that time, each reason's first."

Clock = Callable[[], float]


class LogThrottle:
    """
    What one stream says about messages that were refused: some lines in full, the rest as a number.

    Threads: one thread at a time.
    """

    def __init__(self, name: str, clock: Clock = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._began: float | None = None
        self._said: set[str] = set()
        self._held_back = 0
        self._latest = ""

    def say(self, text: str, reason: str, messages: int) -> None:
        """
        Logs a line, or counts it.

        Args:
            messages: that are done with by what the line tells; 0: it only announces something.
        """
        if self.is_news(f"{reason}; {'done with' if messages else 'announced'}"):
            log.warning("stream %s: %s", self._name, text)
        elif messages:
            self._held_back += messages
            self._latest = text

    def is_news(self, kind: str) -> bool:
        """Whether a line of this kind is to be logged."""
        self.pulse()
        if self._began is None:
            self._began = self._clock()
        news = kind not in self._said and len(self._said) < MAX_REASONS
        if news:
            self._said.add(kind)
        return news

    def pulse(self) -> None:
        """To be called now and then: says how many were counted, once the time is over."""
        if self._began is not None and self._clock() - self._began >= INTERVAL:
            self.end()

    def end(self) -> None:
        """Says how many were counted, and begins anew."""
        if self._held_back:
            log.warning(
                "stream %s: %s more messages in the last %.0f s, the latest: %s",
                self._name,
                self._held_back,
                self._clock() - (self._began or 0.0),
                self._latest,
            )
        self._began, self._said, self._held_back = None, set(), 0
