"""The verbs that start and stop streams."""

from __future__ import annotations

from sluice.procedures.stream_node import StreamNode
from sluice.procedures.streams import Row, Streams
from sluice.values.failed_message import now
from sluice.values.model import Status, check_count


def start(streams: Streams, name: str, limit_batches: int | None) -> list[Row]:
    """
    Requests that a stream run; one that runs is left alone, whatever its limit. Raises StreamNotFound; SettingError if
    the limit is not a positive number.
    """
    if limit_batches is not None:
        check_count(name, "LIMIT", limit_batches)
    _start(streams, streams.find(name), limit_batches)
    return streams.written()


def stop(streams: Streams, name: str) -> list[Row]:
    """
    Requests that a stream stop after the batch in flight; one that is stopped is left alone. Raises StreamNotFound.
    """
    _stop(streams.find(name))
    return streams.written()


def start_all(streams: Streams) -> list[Row]:
    """Requests that all streams run."""
    for stream in streams.all():
        _start(streams, stream, None)
    return streams.written()


def stop_all(streams: Streams) -> list[Row]:
    """Requests that all streams stop."""
    for stream in streams.all():
        _stop(stream)
    return streams.written()


def _start(streams: Streams, stream: StreamNode, limit_batches: int | None) -> None:
    if stream.status is not Status.RUNNING:
        streams.shared.announce_start(stream.uid)
        stream.set(
            running=True,
            installation=streams.shared.host.installation.id or None,
            generation=stream.next_generation,
            limit_batches=limit_batches,
            changed_at=now(),
        )


def _stop(stream: StreamNode) -> None:
    if stream.status is Status.RUNNING or stream.is_copied:
        stream.set(running=False, changed_at=now())
