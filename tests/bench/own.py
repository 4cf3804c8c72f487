"""
What a stream costs by itself: beside a server that accepts everything at once, and beside a loop that does nothing but
consume and transform. Both in processes of their own, in turns.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import resource
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from confluent_kafka import Consumer, TopicPartition

from sluice.engine.host_state import HostState
from sluice.engine.loop import StreamLoop
from sluice.engine.merge_guard import MergeGuard
from sluice.engine.run import Run, RunStatus
from sluice.engine.session import open_parts
from sluice.engine.status import Monitor
from sluice.engine.turns import Turns
from sluice.host.attempts import Attempts
from sluice.host.installation import Installation
from sluice.host.settings import Settings
from sluice.host.signing import SigningKey
from sluice.persistence.loopback import Loopback
from sluice.persistence.probe import Findings
from sluice.persistence.transaction import Transaction
from sluice.scripting import admission
from sluice.values.lane import Lane
from sluice.values.model import CheckpointId, Desired, StreamSpec, Transform, VertexId
from tests.bench.ingest import Case
from tests.bench.null_sink import NullSink
from tests.bench.topics import produce
from tests.bench.workloads import WORKLOADS
from tests.kafka import KafkaBroker

PATIENCE = 300.0
"Seconds for one measurement."

HISTORY = 100
"Transactions that a stream remembers."


class Task(NamedTuple):
    """What a process is to do with some topics."""

    workload: str
    batch: int
    messages: int
    "In all topics together."
    topics: Sequence[str]
    partitions: int
    bootstrap: str
    port: int
    "Of the sink."
    lanes: int = 1
    "That each topic is dealt to."


class Taken(NamedTuple):
    """What it took."""

    rate: float
    "Messages a second, from the first that was done until the last."
    cpu: float
    "Microseconds of processor time for a message, transforms included."
    idle_kb: int
    "The most memory that the process has had before its first message, KiB."
    peak_kb: int
    "... and ever."
    transform_kb: int
    "... and that of the largest of its transforms' processes."


def measure(
    broker: KafkaBroker, workload: str, batch: int, messages: int, *, partitions: int = 1, streams: int = 1, rounds: int
) -> dict[str, Any]:
    """Rounds of both, in turns."""
    result: dict[str, Any] = {
        "workload": workload, "batch": batch, "messages": messages, "partitions": partitions, "streams": streams,
        "plain": [], "own": [],
    }  # fmt: skip
    topics = produce(broker, WORKLOADS[workload].messages(messages), streams, partitions)
    with NullSink() as sink:
        task = Task(workload, batch, messages, topics, partitions, broker.bootstrap, sink.port)
        for _ in range(rounds):
            result["plain"].append(in_a_process(_plain, task)._asdict())
            result["own"].append(in_a_process(_own, task)._asdict())
    return result


def measure_lanes(broker: KafkaBroker, case: Case, messages: int, lanes: Sequence[int], rounds: int) -> dict[str, Any]:
    """Rounds with these numbers of lanes, in turns; a topic with 8 partitions."""
    workload = case.workload
    topics = produce(broker, WORKLOADS[workload].messages(messages), 1, 8)
    result: dict[str, Any] = {"workload": workload, "messages": messages, "lanes": {number: [] for number in lanes}}
    with NullSink() as sink:
        for _ in range(rounds):
            for number in lanes:
                task = Task(workload, case.batch, messages, topics, 8, broker.bootstrap, sink.port, number)
                result["lanes"][number].append(in_a_process(_own, task)._asdict())
    return result


def in_a_process(function: Callable[[Task], Taken], task: Task) -> Taken:
    """Runs it in a fresh process, so that what is measured is all its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply_async(function, (task,)).get(PATIENCE)


class _Status(RunStatus):
    """Counts what is committed, and takes any trouble for a fault of the measurement."""

    def __init__(self, desired: Desired, monitor: Monitor, progress: _Progress) -> None:
        super().__init__(desired, monitor, None)
        self._progress = progress

    def committed(self, transaction: Transaction) -> None:
        super().committed(transaction)
        self._progress.add(transaction.group.messages)

    def trouble(self, text: str | None, *, in_seconds: float | None = None) -> None:
        if text is not None:
            raise RuntimeError(text)

    def refused(self, text: str, reason: str, messages: int) -> None:
        raise RuntimeError(text)


class _Progress:
    """When how many messages were done."""

    def __init__(self, wanted: int) -> None:
        self._lock = threading.Lock()
        self._wanted = wanted
        self.done = 0
        self.transform_kb = 0
        self.first: tuple[float, int] | None = None
        self.last = (0.0, 0)
        self.stop = threading.Event()

    def add(self, messages: int) -> None:
        with self._lock:
            self.done += messages
            self.last = (time.monotonic(), self.done)
            self.first = self.first or self.last
            if self.done >= self._wanted:
                self.transform_kb = _transforms()  # which end with the threads that started them
                self.stop.set()

    @property
    def rate(self) -> float:
        assert self.first is not None
        (began, before), (ended, done) = self.first, self.last
        return (done - before) / max(ended - began, 1e-9)


def _own(task: Task) -> Taken:
    progress = _Progress(task.messages)
    before, idle = _cpu(), 0
    with ExitStack() as stack:
        key = SigningKey(Path(stack.enter_context(TemporaryDirectory()), "key"), created_by_us=True)
        settings = Settings(loopback_port=task.port, signing_key_file=key)
        loops = []
        guard, host = MergeGuard(), HostState(Attempts(None), Installation(None))
        host.findings = Findings({}, None, 0.0)  # as on a server that was probed: else nothing is folded
        for number, topic in enumerate(task.topics):
            script = _signed(WORKLOADS[task.workload].source, settings)
            whole = StreamSpec(f"u{number}", f"s{number}", task.bootstrap, topic, script, batch_size=task.batch)
            for lane in (Lane(lane, task.lanes) for lane in range(task.lanes)):
                spec, vertex = replace(whole, lane=lane), CheckpointId(VertexId(2), whole.uid)
                desired = Desired(VertexId(1), vertex, spec, generation=1, limit_batches=None)
                monitor = Monitor(HISTORY)
                status = _Status(desired, monitor, progress)
                turns = Turns(guard, (number, lane.number), monitor.waits, has_lanes=lane.of > 1)
                run = Run(desired, settings, host, status, turns, cancel=progress.stop)
                loopback = stack.enter_context(Loopback(settings))
                loops.append(StreamLoop(run, open_parts(run, loopback, stack)))
        idle = _resident()
        threads = [threading.Thread(target=loop.run) for loop in loops]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        peak = _resident()
    return Taken(progress.rate, (_cpu() - before) / task.messages * 1e6, idle, peak, progress.transform_kb)


def _signed(source: str, settings: Settings) -> Transform:
    transform = Transform("/transform.py", source, hashlib.sha256(source.encode()).hexdigest())
    return admission.sign(transform, settings)


def _plain(task: Task) -> Taken:
    namespace: dict[str, Any] = {}
    exec(WORKLOADS[task.workload].source, namespace)
    stream = namespace["stream"]
    progress = _Progress(task.messages)
    before = _cpu()
    settings = {"bootstrap.servers": task.bootstrap, "group.id": "plain", "auto.offset.reset": "earliest"}
    # As for a stream: else the loop rests for a second whenever librdkafka holds 100,000 messages.
    consumer = Consumer({**settings, "enable.auto.commit": False, "fetch.queue.backoff.ms": 10})
    consumer.assign([TopicPartition(topic, number, 0) for topic in task.topics for number in range(task.partitions)])
    while not progress.stop.is_set():
        payloads = [message.value() for message in consumer.consume(1000, 1.0)]
        for start in range(0, len(payloads), task.batch):
            stream(payloads[start : start + task.batch])
        progress.add(len(payloads))
    consumer.close()
    return Taken(progress.rate, (_cpu() - before) / task.messages * 1e6, 0, _resident(), 0)


def _cpu() -> float:
    """Seconds of processor time of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _resident(pid: int | None = None) -> int:
    """The most memory that this process, or another, has had since it was started, KiB."""
    status = Path(f"/proc/{pid or os.getpid()}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def _transforms() -> int:
    """The same of the largest process that this one has started."""
    children = [path.read_text().split() for path in Path("/proc/self/task").glob("*/children")]
    return max((_resident(int(child)) for found in children for child in found), default=0)
