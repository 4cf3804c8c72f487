"""What a host, and those who work on it, can do to a running stream; each has a named outcome."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from sluice.bolt.messages import Tag
from sluice.engine.host_state import HostState
from sluice.engine.merge_guard import MergeGuard
from sluice.engine.run import Run as StreamRun
from sluice.engine.run import RunStatus
from sluice.engine.status import Monitor
from sluice.engine.turns import Turns
from sluice.host.attempts import Attempts
from sluice.host.installation import Installation
from sluice.host.settings import Settings
from sluice.persistence.loopback import Loopback
from sluice.supervising import worker
from sluice.supervising.worker import Worker
from tests.eventually import eventually, within
from tests.faults.moments import Moment
from tests.faults.proxy import CuttingProxy, Trap
from tests.hosts import ServerHost
from tests.hosts.host import QUERY_MODULES
from tests.integration.configured import Configured, started
from tests.integration.test_kit import OwnHost, Run, Stream, numbers, transforms_running
from tests.kafka import KafkaBroker

STOP_IN = {True: 2.0, False: 5.0}
"Seconds that a clean stop may take: on Memgraph, and on the sandbox, which is several processes."

UNTIL = """
import os
import time


def stream(batch):
    while not os.path.exists("FLAG"):
        WAIT
    return [("CREATE (:LABEL {value: $value})", {"value": message.decode()}) for message in batch]
"""
"Goes on once the file is there."

LATE = {
    # moment at which the stale transaction is held -> what its COMMIT is answered in the end
    Moment.BEFORE_BEGIN: Tag.IGNORED,
    Moment.AFTER_BEGIN: Tag.IGNORED,
}


class Behind(NamedTuple):
    """A host whose loopback goes through a proxy."""

    host: ServerHost
    proxy: CuttingProxy


@pytest.fixture
def proxy() -> Iterator[CuttingProxy]:
    """A proxy to nowhere."""
    with CuttingProxy() as proxy:
        yield proxy


@pytest.fixture
def behind(own_host: OwnHost, proxy: CuttingProxy) -> Behind:
    host = own_host(env={"SLUICE_LOOPBACK_PORT": str(proxy.port)})
    proxy.target = host.port
    return Behind(host, proxy)


@pytest.fixture
def stream(run: Run, kafka: KafkaBroker, tmp_path: Path, stream_name: str) -> Configured:
    """A stream on the shared host that runs, and has imported ten messages."""
    return started(Configured(run, kafka, tmp_path, stream_name))


@pytest.fixture
def running(behind: Behind, kafka: KafkaBroker, tmp_path: Path) -> Configured:
    """A stream behind the proxy that runs, and has imported ten messages."""
    return started(Configured(behind.host.run, kafka, tmp_path, "surprised"))


@pytest.mark.faults
@pytest.mark.parametrize("moment", LATE, ids=lambda moment: moment.value)
def test_what_a_stale_worker_has_sent_cannot_be_committed_once_its_successor_has_moved_on(
    running: Configured, behind: Behind, moment: Moment
) -> None:
    trap = _held(running, behind.proxy, moment)
    trap.drop_worker()
    # Whoever reads the checkpoint now finds the ten messages, and imports the others.
    running.await_values(numbers(0, 20))
    trap.release()
    assert trap.answered.wait(10)
    assert trap.answer is LATE[moment]
    _goes_on(running, 20)


@pytest.mark.faults
@pytest.mark.memgraph_only("a write lock makes the other transaction fail there, and not wait")
def test_a_stale_transaction_that_is_all_but_committed_makes_the_successor_wait_and_then_begin_behind_it(
    running: Configured, behind: Behind
) -> None:
    trap = _held(running, behind.proxy, Moment.BEFORE_COMMIT)
    trap.drop_worker()
    running.await_reason("conflicting transactions")
    assert (running.status, running.values) == ("running", numbers(0, 10))
    trap.release()
    assert trap.answered.wait(10)
    assert trap.answer is Tag.SUCCESS
    _goes_on(running, 20)


@pytest.mark.faults
def test_a_worker_that_a_reload_could_not_wait_for_cannot_commit_after_it(
    own_host: OwnHost, proxy: CuttingProxy, kafka: KafkaBroker, tmp_path: Path
) -> None:
    host = own_host(env={"SLUICE_LOOPBACK_PORT": str(proxy.port)}, query_modules=_impatient(tmp_path / "modules"))
    proxy.target = host.port
    stream = started(Configured(host.run, kafka, tmp_path, "surprised"))
    trap = _held(stream, proxy, Moment.BEFORE_BEGIN)
    host.run("CALL mg.load_all()")
    # The new workers wait for the old one to end, and end it when it does not.
    stream.await_values(numbers(0, 20), timeout=40)
    trap.release()
    assert trap.answered.wait(10)
    assert trap.answer is Tag.IGNORED
    _goes_on(stream, 20)


@pytest.mark.faults
def test_a_live_stale_worker_that_wakes_up_behind_its_successor_imports_nothing_twice(
    own_host: OwnHost, proxy: CuttingProxy, kafka: KafkaBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "open_loopback", Loopback)  # the stale one takes the server for its own
    host = own_host()
    proxy.target = host.port
    stream = started(Configured(host.run, kafka, tmp_path, "contested"))
    # The same worker as the one in the server, in the same run of the stream: what a failover may leave behind.
    monitor = Monitor(history=10)
    stale = _second_worker(host, proxy, monitor)
    monitor.begin()
    stale.start()
    try:
        # It holds the position that the other one will move on from.
        eventually(lambda: monitor.state is not None and monitor.state.assigned, timeout=30)
        trap = proxy.arm(Moment.BEFORE_BEGIN, hold=True)
        stream.send(numbers(10, 20))
        assert trap.sprung.wait(20)
        stream.await_values(numbers(0, 20))
        trap.release()
        assert trap.answered.wait(10)
        assert trap.answer in {Tag.IGNORED, Tag.FAILURE}
        # From here on both are awake, and want every batch.
        stream.send(numbers(20, 520))
        stream.await_values(numbers(0, 520))
    finally:
        stale.stop()
        assert stale.join(20)
    _goes_on(stream, 520)


def test_streams_of_one_topic_each_import_everything_and_stop_by_themselves(
    run: Run, kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]
) -> None:
    first = Configured(run, kafka, tmp_path, new_stream_name(), partitions=2)
    second = Configured(run, kafka, tmp_path, new_stream_name(), topic=first.topic)
    for stream in (first, second):
        stream.create()
        stream.start()
    first.send(numbers(0, 400))
    for stream in (first, second):
        stream.await_values(numbers(0, 400))
    second.stop()
    second.start(limit=1)
    # Ten by ten: the run that STOP ends may still take what comes meanwhile.
    sent = 400
    while second.status == "running":
        first.send(numbers(sent, sent + 10), partition=0)
        sent += 10
    first.send(numbers(sent, sent + 10))
    first.await_values(numbers(0, sent + 10))
    assert (first.status, second.status) == ("running", "stopped")
    assert 400 < second.count <= sent


def test_a_stream_that_is_started_with_its_broker_down_runs_says_why_it_waits_and_goes_on(
    own_host: OwnHost, own_kafka: Callable[[], KafkaBroker], tmp_path: Path
) -> None:
    host, kafka = own_host(), own_kafka()
    stream = Configured(host.run, kafka, tmp_path, "early")
    stream.create()
    stream.send(numbers(0, 10))
    kafka.kill()
    stream.start()
    stream.await_reason("retrying since", timeout=30)
    assert (stream.status, stream.count) == ("running", 0)
    stream.answers_quickly()
    kafka.start()
    stream.await_values(numbers(0, 10), timeout=40)
    stream.await_no_reason()


def test_a_clean_stop_with_five_running_streams_is_quick_and_all_go_on(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    host = own_host()
    streams = [Stream(host.run, kafka, tmp_path, f"s{number}") for number in range(5)]
    for stream in streams:
        stream.create(size=5)
        stream.start()
        stream.send(numbers(0, 2000))
    eventually(lambda: all(stream.count for stream in streams), timeout=40, interval=0.01)
    _stop_quickly(host)
    assert transforms_running(host) == 0
    host.start()
    for stream in streams:
        stream.await_values(numbers(0, 2000), timeout=60)
        assert stream.status == "running"


@pytest.mark.parametrize(
    "wait",
    [
        pytest.param("pass", id="loops"),
        pytest.param("os._exit(3) if os.path.exists('FLAG.exit') else time.sleep(0.001)", id="exits"),
    ],
)
def test_a_transform_that_loops_or_exits_does_not_hold_up_a_clean_stop(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path, wait: str
) -> None:
    host, flag = own_host(), tmp_path / "flag"
    stream = Stream(host.run, kafka, tmp_path, "stubborn")
    stream.create(UNTIL.replace("WAIT", wait).replace("FLAG", str(flag)))
    stream.start()
    stream.send(numbers(0, 10))
    eventually(lambda: transforms_running(host), equals=1, timeout=20)
    (tmp_path / "flag.exit").touch()
    _stop_quickly(host)
    (tmp_path / "flag.exit").unlink()
    flag.touch()
    host.start()
    if stream.status == "error":  # it had exited before the stop, and that is an error of data
        stream.start()
    stream.await_values(numbers(0, 10), timeout=40)


@pytest.mark.faults
def test_a_killed_host_leaves_no_transform_behind(running: Configured, behind: Behind) -> None:
    os.kill(behind.host.pid, signal.SIGKILL)  # the server alone, not what it has started
    eventually(lambda: transforms_running(behind.host), equals=0, timeout=10)
    behind.host.kill()
    behind.host.start()
    _goes_on(running, 10)


@pytest.mark.faults
@pytest.mark.parametrize("reloads", [4, pytest.param(20, marks=pytest.mark.soak)])
def test_reloads_in_a_row_leave_one_supervisor_and_one_worker(
    running: Configured, behind: Behind, reloads: int
) -> None:
    running.stop()
    eventually(lambda: behind.proxy.connections, equals=1, timeout=20)
    threads = _threads(behind.host)
    running.start()
    running.send(numbers(10, 3000))
    for number in range(reloads):
        behind.host.run(("CALL mg.load_all()", "CALL mg.load('streams')")[number % 2])
    running.await_values(numbers(0, 3000), timeout=60)
    eventually(lambda: behind.proxy.connections, equals=2, timeout=20)
    running.send(numbers(3000, 3010))  # or the last worker may have had nothing to transform
    running.await_values(numbers(0, 3010))
    assert transforms_running(behind.host) == 1
    running.stop()
    eventually(lambda: behind.proxy.connections, equals=1, timeout=20)
    eventually(lambda: _threads(behind.host) <= threads, timeout=20)


def _impatient(folder: Path) -> Path:
    """The query modules, with a supervisor that waits for a second where it waits for ten."""
    shutil.copytree(QUERY_MODULES, folder, ignore=shutil.ignore_patterns("__pycache__"))
    supervisor = folder / "sluice" / "supervising" / "supervisor.py"
    parts = supervisor.read_text("utf-8").split("\nSTOP_PATIENCE = 10.0\n")
    assert len(parts) == 2
    supervisor.write_text("\nSTOP_PATIENCE = 1.0\n".join(parts), "utf-8")
    return folder


def _held(stream: Configured, proxy: CuttingProxy, moment: Moment) -> Trap:
    """Ten more messages, whose transaction is held back."""
    trap = proxy.arm(moment, hold=True)
    stream.send(numbers(10, 20))
    assert trap.sprung.wait(20)
    return trap


def _goes_on(stream: Configured, count: int) -> None:
    """Nothing was lost, nothing came twice, and what comes next comes in."""
    stream.send(numbers(count, count + 10))
    stream.await_values(numbers(0, count + 10))
    info = stream.info
    assert (info["status"], info["messages"]) == ("running", count + 10)
    assert info["positions"] == {"0": count + 10}


def _second_worker(host: ServerHost, proxy: CuttingProxy, monitor: Monitor) -> Worker:
    """The worker of the only stream, in this process, its loopback through the proxy."""
    settings = Settings(loopback_port=proxy.port)
    with Loopback(settings) as loopback:
        (row,) = [row for catalog in loopback.find_catalogs() for row in loopback.list_streams(catalog) or []]
        desired = loopback.desired(row)
    turns = Turns(MergeGuard(), (row.stream_id, row.checkpoint_id.vertex), monitor.waits)
    host_state = HostState(Attempts(None), Installation(None))
    status = RunStatus(desired, monitor, None)
    return Worker(StreamRun(desired, settings, host_state, status, turns))


def _stop_quickly(host: ServerHost) -> None:
    began = time.monotonic()
    host.stop()
    took = time.monotonic() - began
    assert within(STOP_IN[host.is_memgraph], began), f"the stop took {took:.1f} s"


def _threads(host: ServerHost) -> int:
    """How many threads the server has."""
    return len(os.listdir(f"/proc/{host.pid}/task"))
