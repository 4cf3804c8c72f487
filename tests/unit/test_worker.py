"""What a worker does after each way in which a session can end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from sluice.engine.run import Run
from sluice.errors import (
    BrokerError,
    CommitUnknown,
    ConnectionLost,
    FenceLost,
    GapFound,
    MessageRefused,
    QueryRefused,
    SettingError,
    Stopped,
    TransientFailure,
)
from sluice.host.attempts import MAX_ATTEMPTS
from sluice.supervising import worker
from sluice.supervising.worker import Worker
from sluice.values.merge_keys import MergeKeys, MergeShape
from sluice.values.model import CheckpointId
from tests.unit.engine.fakes import CLIENT_ERROR, FakeRun

PASSES = [
    CommitUnknown("no answer"),
    FenceLost("elsewhere"),
    QueryRefused("Write query forbidden on the replica!", code=CLIENT_ERROR),
    ConnectionLost("gone"),
    BrokerError("away"),
]
FINAL = [MessageRefused("offset 3"), GapFound("offsets 5 to 11 were removed"), SettingError("no such secret")]


class Sessions:
    """Sessions that end one after the other as a test says; what was written down of the run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *ends: Exception | None) -> None:
        self.ends = list(ends)
        self.written: list[str] = []
        self.fences: list[CheckpointId] = []
        self.fence_errors: list[Exception] = []
        monkeypatch.setattr(worker, "open_loopback", lambda _: self)
        monkeypatch.setattr(worker, "run_session", self.run)

    def run(self, run: Run, loopback: Any) -> None:
        assert loopback is self
        if (error := self.ends.pop(0)) is not None:
            raise error

    def __enter__(self) -> Sessions:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def fence_off(self, checkpoint_id: CheckpointId) -> None:
        self.fences.append(checkpoint_id)
        if self.fence_errors:
            raise self.fence_errors.pop(0)

    def end_run(self, _: object, generation: int, __: object, reason: str) -> None:
        self.written.append(reason)


def work(run: Run) -> None:
    started = Worker(run)
    started.start()
    assert started.join(30)


@pytest.mark.parametrize("errors", [[error] * 3 for error in PASSES] + [PASSES], ids=lambda errors: errors[-1])
def test_what_may_pass_is_tried_again_in_another_session_after_growing_pauses(
    monkeypatch: pytest.MonkeyPatch, errors: Sequence[Exception]
) -> None:
    sessions, stream = Sessions(monkeypatch, *errors, None), FakeRun()
    work(stream.run)
    assert (sessions.ends, sessions.written) == ([], [])
    assert stream.status.troubles == [str(error) for error in errors]
    limits = [0.1 * 2**number for number in range(len(errors))]
    assert all(limit / 2 <= waited <= limit for waited, limit in zip(stream.cancel.waited, limits, strict=True))


@pytest.mark.parametrize("error", FINAL, ids=str)
def test_what_does_not_pass_ends_the_run_and_is_written_down(
    monkeypatch: pytest.MonkeyPatch, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    sessions = Sessions(monkeypatch, error)
    work(FakeRun().run)
    assert sessions.written == [str(error)]
    assert f"stream people: stopped by an error: {error}" in caplog.text


def test_a_stop_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions, stream = Sessions(monkeypatch, Stopped()), FakeRun()
    work(stream.run)
    assert (sessions.written, stream.status.troubles) == ([], [])


def test_a_worker_for_retries_alone_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions, stream = Sessions(monkeypatch, ConnectionLost("gone"), SettingError("no such secret")), FakeRun()
    run = replace(stream.run, only_retries=True)
    for _ in range(MAX_ATTEMPTS):
        run.host.attempts.begin(run.spec.uid, run.desired.generation)  # of the stream's own run
    work(run)
    assert (sessions.ends, sessions.written) == ([], [])
    assert stream.status.troubles == ["gone", "no such secret"]


def lose(stream: FakeRun) -> None:
    """A transaction of the stream merges something, and its connection is lost."""
    label, name = frozenset({"Person"}), frozenset({"id"})
    assert stream.run.turns.enter(MergeKeys({MergeShape(False, label, name, name, frozenset()): frozenset({1})}))
    stream.run.turns.abandon()
    assert stream.run.turns.has_lost


@pytest.mark.parametrize(
    "errors", [[], [TransientFailure("conflict", code=CLIENT_ERROR), ConnectionLost("gone")]], ids=["", "in the end"]
)
def test_a_worker_that_ends_fences_off_what_it_has_lost_so_that_nobody_waits_for_it(
    monkeypatch: pytest.MonkeyPatch, errors: list[Exception]
) -> None:
    sessions, stream = Sessions(monkeypatch, Stopped()), FakeRun()
    sessions.fence_errors = list(errors)
    lose(stream)
    work(stream.run)
    assert sessions.fences == [stream.run.desired.checkpoint_id] * (len(errors) + 1)
    assert not stream.run.turns.has_lost


def test_a_worker_that_cannot_fence_off_what_it_has_lost_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions, stream = Sessions(monkeypatch, Stopped()), FakeRun()
    sessions.fence_errors = [ConnectionLost("gone")] * 100
    lose(stream)
    work(stream.run)
    assert len(sessions.fences) == worker.FENCE_OFF_TRIES
    assert stream.run.turns.has_lost


def test_a_worker_that_has_lost_nothing_fences_nothing_off(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions, stream = Sessions(monkeypatch, Stopped()), FakeRun()
    work(stream.run)
    assert sessions.fences == []
