"""
One run of a stream, as all who work for it see it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from sluice.engine.host_state import HostState
from sluice.engine.retry_policy import RetryPolicy
from sluice.engine.run_status import RunStatus
from sluice.engine.turns import Turns
from sluice.errors import Stopped
from sluice.host.settings import Settings
from sluice.values.model import Desired, StreamSpec


class Calls:
    """
    What the supervisor asks of a worker besides that it ends.

    Threads: the supervisor's asks; the worker's answers, and waits at `nudge` while its stream rests.
    """

    def __init__(self) -> None:
        self.retry_requested = 0
        "The number of the last `RetryRequest`; only ever more."
        self.constrained = False
        "Whether a uniqueness constraint was seen that the worker has not heeded yet."
        self.nudge = threading.Event()
        "Set after each change of the above, and once the worker is to end."


@dataclass(frozen=True)
class Run:
    """
    What is wanted, and the few things that everybody who works for the stream shares.

    Threads: what is in it says who may change it.
    """

    desired: Desired
    settings: Settings
    host: HostState
    status: RunStatus
    turns: Turns
    only_retries: bool = False
    "Whether the stream does not run, and there are only parked messages to be retried."
    cancel: threading.Event = field(default_factory=threading.Event)
    "Set when the run is to end."
    calls: Calls = field(default_factory=Calls)
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)

    @property
    def spec(self) -> StreamSpec:
        """What the stream is."""
        return self.desired.spec

    def check(self) -> None:
        """Raises Stopped once the run is to end."""
        if self.cancel.is_set():
            raise Stopped
