"""That the server ends at a stream's first transaction outlives the server, and costs nothing otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sluice.engine.host_state import HostState
from sluice.engine.merge_guard import MergeGuard
from sluice.engine.run import Run, RunStatus
from sluice.engine.status import Monitor
from sluice.engine.turns import Turns, Waits
from sluice.host import attempts, server_flags
from sluice.host.attempts import MAX_ATTEMPTS, Attempts
from sluice.host.installation import Installation
from sluice.host.settings import Settings
from sluice.persistence.transaction import Transaction
from sluice.supervising import worker
from sluice.supervising.worker import Worker
from sluice.values.model import Checkpoint, CheckpointId, Desired, Status, StreamSpec, Transform, VertexId

SPEC = StreamSpec("a", "s", "localhost:9092", "topic", Transform("/t.py", "", ""))
DESIRED = Desired(VertexId(1), CheckpointId(VertexId(2), "a"), SPEC, generation=7, limit_batches=None)
SENT = Transaction(Checkpoint({}), Checkpoint({}))


class Loopback:
    """Takes down how a run ended; everything else is none of its business."""

    def __init__(self) -> None:
        self.ended: list[tuple[Any, ...]] = []

    def __call__(self, _: Settings) -> Loopback:
        return self

    def __enter__(self) -> Loopback:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def end_run(self, *arguments: Any) -> None:
        self.ended.append(arguments)


def new_run(counts: Attempts) -> Run:
    status, turns = RunStatus(DESIRED, Monitor(1), counts), Turns(MergeGuard(), (1, 2), Waits())
    return Run(DESIRED, Settings(), HostState(counts, Installation(None)), status, turns)


def test_transactions_that_were_never_answered_are_counted_from_start_to_start(tmp_path: Path) -> None:
    file = tmp_path / attempts.FILE
    for number in range(MAX_ATTEMPTS):
        started = Attempts(file)
        assert started.count("a", 7) == number
        started.begin("a", 7)
    assert Attempts(file).count("a", 7) == MAX_ATTEMPTS
    assert Attempts(file).count("b", 7) == 0


def test_an_answer_or_another_start_begins_anew(tmp_path: Path) -> None:
    file = tmp_path / attempts.FILE
    Attempts(file).begin("a", 7)
    assert Attempts(file).count("a", 8) == 0, "STARTed since"
    Attempts(file).end("a")
    assert Attempts(file).count("a", 7) == 0


def test_what_a_copy_before_a_reload_had_in_flight_does_not_count(tmp_path: Path) -> None:
    before = Attempts(tmp_path / attempts.FILE)
    before.begin("a", 7)
    after = Attempts(tmp_path / attempts.FILE)  # loaded meanwhile
    before.end("a")
    assert after.count("a", 7) == 0


def test_what_was_not_noted_is_not_written(tmp_path: Path) -> None:
    Attempts(tmp_path / attempts.FILE).end("a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": ["x", 1]}', '{"a": [1, null]}'])
def test_a_file_that_is_none_of_ours_holds_nothing(tmp_path: Path, text: str) -> None:
    file = tmp_path / attempts.FILE
    file.write_text(text, encoding="utf-8")
    assert Attempts(file).count("a", 1) == 0


def test_where_nothing_can_be_written_the_counts_are_of_this_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counting = Attempts(tmp_path / "missing" / attempts.FILE)
    counting.begin("a", 1)
    counting.begin("a", 1)
    assert counting.count("a", 1) == 2
    assert caplog.text.count("cannot write") == 1


@pytest.mark.parametrize(("flags", "there"), [({"data-directory": "here"}, True), ({"data-directory": "no"}, False)])
def test_the_file_is_in_the_servers_data_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: dict[str, str], there: bool
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(server_flags, "server_flags", lambda: flags)
    assert attempts.file_of_this_server() == (Path("here", attempts.FILE) if there else None)


@pytest.mark.parametrize("refused", [False, True])
def test_the_first_transaction_of_a_worker_is_noted_until_it_is_answered(refused: bool) -> None:
    counts = Attempts(None)
    status = new_run(counts).status
    status.sending()
    status.sending()
    assert counts.count("a", 7) == 1
    if refused:
        status.answered()
    else:
        status.committed(SENT)
    assert counts.count("a", 7) == 0
    status.sending()
    assert counts.count("a", 7) == 0, "in steady state nothing is noted"


def test_a_run_at_whose_first_transaction_the_server_ended_too_often_ends_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loopback, counts = Loopback(), Attempts(None)
    monkeypatch.setattr(worker, "open_loopback", loopback)
    for _ in range(MAX_ATTEMPTS):
        counts.begin("a", 7)
    started = Worker(new_run(counts))
    started.start()
    assert started.join(20)
    [(checkpoint, generation, status, reason)] = loopback.ended
    assert (checkpoint, generation, status) == (DESIRED.checkpoint_id, 7, Status.ERROR)
    assert f"the server ended {MAX_ATTEMPTS} times in a row" in reason
    assert "START STREAM s" in reason
    assert counts.count("a", 7) == 0
