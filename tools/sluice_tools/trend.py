"""How fast a stream is, and whether it catches up, from what `streams.info` says of it now and then. No I/O."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

WINDOW = 10.0
"Seconds that rates are taken over."

KEEPING_UP = 2.0
"Seconds of its own rate that a stream may be behind and still keeps up: messages arrive and are applied in batches."


class Sample(NamedTuple):
    """What a stream said at a moment."""

    at: float
    "In seconds, from any beginning."
    messages: int
    "That took effect until then."
    lag: int | None
    "None: not known, such as that of a stopped stream."


class Trend:
    """The latest samples of one stream."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque()

    def add(self, sample: Sample) -> None:
        """Take one more, later than those before."""
        samples = self._samples
        if samples and sample.messages < samples[-1].messages:
            samples.clear()  # another stream of that name, or another server
        samples.append(sample)
        while len(samples) > 2 and sample.at - samples[1].at >= WINDOW:
            samples.popleft()

    @property
    def rate(self) -> float | None:
        """Messages per second; None: there is one sample only."""
        first, last = self._samples[0], self._samples[-1]
        return (last.messages - first.messages) / (last.at - first.at) if last.at > first.at else None

    @property
    def catch_up(self) -> float | None:
        """Seconds until the lag is 0; infinite: it does not get less. None: it keeps up, or that is not known."""
        last = self._samples[-1]
        known = [sample for sample in self._samples if sample.lag is not None]
        if not last.lag or self.rate is None or last.lag <= KEEPING_UP * self.rate or len(known) < 2:
            return None
        first = known[0]
        assert first.lag is not None
        less = (first.lag - last.lag) / (last.at - first.at)
        return last.lag / less if less > 0 else math.inf


def in_words(seconds: float | None) -> str:
    """A time to catch up as tables show it; empty if a stream keeps up."""
    if seconds is None:
        return ""
    if seconds == math.inf:
        return "falls behind"
    for unit, size, limit in (("s", 1, 100), ("min", 60, 100), ("h", 3600, 48)):
        if seconds < limit * size:
            return f"in {math.ceil(seconds / size)} {unit}"
    return f"in {math.ceil(seconds / 86400)} d"
