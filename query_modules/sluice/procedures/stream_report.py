"""How far a stream got and how it does: its nodes, and what its workers have left in this process, put together."""

from __future__ import annotations

from collections.abc import Mapping

from sluice.engine.status import WorkerState
from sluice.procedures.lanes import joined_state
from sluice.procedures.stream_node import StreamNode
from sluice.procedures.streams import Row
from sluice.supervising.shared_state import SharedState
from sluice.values.dealing import joined
from sluice.values.model import Checkpoint, Status
from sluice.values.position import Partition

COPIED = (
    "waiting: it was started on another server, from whose dump or snapshot this one was filled, and may run there; "
    "START STREAM {name} runs it here as well"
)

OVERLOOKED = (
    "waiting: its CREATE is not committed yet, or it is in another database than that of SLUICE_LOOPBACK_USER, where "
    "nothing runs it"
)


class StreamReport:
    """A stream with all of its lanes. What it takes to make one is what every look at a stream costs."""

    def __init__(self, stream: StreamNode, shared: SharedState) -> None:
        self.stream = stream
        self._shared = shared
        self.monitors = [shared.monitor(stream.key(lane)) for lane in range(stream.lane_count)]
        # The states first: what the workers report as committed is in the graph for every later reader.
        self.states = [monitor.state for monitor in self.monitors]
        self.lanes = stream.lanes()
        self.checkpoint = joined(self.lanes, stream.generation)
        self.status = stream.status_at(self.checkpoint)
        at_work = {n: self.states[n] for n, one in enumerate(self.lanes) if one.ended_generation != stream.generation}
        state = self._state = joined_state(at_work or dict(enumerate(self.states)), len(self.states))
        self.watermarks = state.watermarks if state is not None and self.status is Status.RUNNING else None
        self.lag = None if self.watermarks is None else lags(self.watermarks, self.checkpoint.positions)

    @property
    def reason(self) -> str | None:
        """As `reason_of`, of the whole stream."""
        return reason_of(self.stream, self.status, self.checkpoint, self._state, self._shared)

    @property
    def retrying(self) -> Row | None:
        """Why the stream is retrying: `why, since, next_try`; None: it is not retrying."""
        return _retrying(self.status, self._state, self._shared)

    @property
    def since(self) -> str | None:
        """When the status began; None for streams of a version that did not record it."""
        return _since(self.stream, self.status, self.checkpoint)

    @property
    def total_lag(self) -> int | None:
        """Over all partitions."""
        return None if self.lag is None else sum(self.lag.values())


def lags(watermarks: Mapping[Partition, tuple[int, int]], positions: Mapping[Partition, int]) -> dict[Partition, int]:
    """
    partition -> number of offsets from its position to the end.

    For a partition of which nothing was read, the position is its first message, where reading will begin.
    """
    return {
        partition: max(0, high - max(positions.get(partition, low), low))
        for partition, (low, high) in watermarks.items()
    }


def reason_of(
    stream: StreamNode, status: Status, checkpoint: Checkpoint, state: WorkerState | None, shared: SharedState
) -> str | None:
    """
    Why a stream, or a lane, is in error, or why it does not read though it runs, or does not apply parked messages
    though that was asked for, and since when; None if all is well.
    """
    if status is Status.ERROR:
        return checkpoint.error
    if (retrying := _retrying(status, state, shared)) is not None:
        what = " parked messages" if status is Status.STOPPED else ""
        since = f" since {retrying['since']}" if retrying["since"] else ""
        again = f"; next try at {retrying['next_try']}" if retrying["next_try"] else ""
        return f"retrying{what}{since}: {retrying['why']}{again}"
    if status is Status.STOPPED:
        return COPIED.format(name=stream.name) if stream.is_copied else None
    if state is None and shared.overlooked(stream.uid):
        return OVERLOOKED
    if state is None or not state.assigned:
        return f"starting since {_since(stream, status, checkpoint)}"
    return None


def _retrying(status: Status, state: WorkerState | None, shared: SharedState) -> Row | None:
    running = status is Status.RUNNING
    if running and shared.trouble is not None:
        return {"why": shared.trouble, "since": None, "next_try": None}
    if state is None or state.trouble is None or not (running or state.only_retries):
        return None
    return {"why": state.trouble, "since": state.since, "next_try": state.next_try}


def _since(stream: StreamNode, status: Status, checkpoint: Checkpoint) -> str | None:
    if stream.get("running") and status is not Status.RUNNING:
        return checkpoint.ended_at
    return stream.text("changed_at") or None
