"""
What the supervisor wants of a running worker besides that it ends.
"""

from __future__ import annotations

import threading


class Calls:
    """
    What a worker was asked to do.

    Threads: the supervisor's asks; the worker's answers, and waits at `nudge` while its stream rests.
    """

    def __init__(self) -> None:
        self.retry_requested = 0
        "The number of the last `RetryRequest`; only ever more."
        self.constrained = False
        "Whether a uniqueness constraint was seen that the worker has not heeded yet."
        self.nudge = threading.Event()
        "Set after each change of the above, and once the worker is to end."
