"""Threads of ours as the interpreter ends, where Python 3.12 and newer start no other any more."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from sluice.brokers import reader
from sluice.brokers.reader import TopicReader
from sluice.engine.host_state import HostState
from sluice.engine.merge_guard import MergeGuard
from sluice.host.attempts import Attempts
from sluice.host.installation import Installation
from sluice.host.settings import Settings
from sluice.supervising import worker
from sluice.supervising.status import Monitor
from sluice.supervising.worker import Worker
from sluice.values.model import CheckpointId, VertexId

ENDING = RuntimeError("can't create new thread at interpreter shutdown")


def go(error: Exception, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How a worker's run ended whose session met an error."""
    written: list[str] = []

    class Loopback:
        def __enter__(self) -> Loopback:
            return self

        def __exit__(self, *_: object) -> None:
            """Nothing to close."""

        def end_run(self, _: object, __: object, ___: object, reason: str) -> None:
            written.append(reason)

    def fail(*_: object) -> Any:
        raise error

    monkeypatch.setattr(worker, "open_loopback", lambda _: Loopback())
    monkeypatch.setattr(worker, "StreamSession", fail)
    checkpoint_id = CheckpointId(VertexId(1), "a")
    desired: Any = SimpleNamespace(spec=SimpleNamespace(name="s", uid="a"), checkpoint_id=checkpoint_id, generation=1)
    started = Worker(desired, Settings(), Monitor(1), HostState(Attempts(None), Installation(None)), MergeGuard())
    started.start()
    assert started.join(10)
    return written


def test_a_worker_that_cannot_start_a_thread_any_more_ends_without_an_error(monkeypatch, caplog):
    assert go(ENDING, monkeypatch) == []
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_another_fault_is_written_down(monkeypatch):
    assert go(RuntimeError("something else"), monkeypatch) == ["RuntimeError: something else"]


@pytest.mark.parametrize(("error", "raised"), [(ENDING, False), (RuntimeError("can't start new thread"), True)])
def test_a_consumer_that_no_thread_can_close_any_more_is_left_to_the_end_of_the_process(monkeypatch, error, raised):
    def refuse(_: threading.Thread) -> None:
        raise error

    client = object()
    left: Any = TopicReader.__new__(TopicReader)
    left.client, left._reporter = client, SimpleNamespace(finish=lambda _: False)
    monkeypatch.setattr(reader, "_UNCLOSED", [])
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError) if raised else nullcontext():
        left.close()
    assert ([] if raised else [client]) == reader._UNCLOSED
