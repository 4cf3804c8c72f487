"""What a worker does over one connection: makes the parts of a stream's loop, and lets go of them."""

from __future__ import annotations

from contextlib import ExitStack, closing

from sluice.brokers.consumer import Consumer
from sluice.brokers.dead_letters import DeadLetters
from sluice.brokers.offset_client import offset_clients
from sluice.brokers.topic_client import topic_clients
from sluice.engine.broker_health import BrokerHealth
from sluice.engine.committer import Committer
from sluice.engine.idle import IdleDetector
from sluice.engine.isolation import Isolation
from sluice.engine.loop import Parts, StreamLoop
from sluice.engine.retrier import Retrier
from sluice.engine.run import Run, Watch
from sluice.engine.topic_guard import TopicGuard, TopicIdentity
from sluice.engine.writer import Writer
from sluice.persistence.loopback import Loopback
from sluice.persistence.sink import Sink
from sluice.scripting.transformer import Transformer


def run_session(run: Run, loopback: Loopback) -> None:
    """
    Reads the checkpoint and continues from there, until the run is to end or has done what it is for.

    Raises:
        SluiceError: as `StreamLoop.run`, or `Retrier.step` for one that `only_retries`; or a part cannot be made.
        Stopped: while something took its time.

    Threads: for the worker's.
    """
    with ExitStack() as resources:
        resources.callback(run.turns.abandon)
        if run.only_retries:
            retrier = Retrier(run, _open_writer(run, loopback), _open_transform(run, Watch(run.cancel), resources))
            while retrier.step():
                pass
        else:
            if run.batch_limit is not None:
                committed = loopback.count_batches(run.desired)
                run.batch_limit.join(run.spec.lane.number, committed, run.calls.nudge.set)
            StreamLoop(run, open_parts(run, loopback, resources)).run()


def open_parts(run: Run, loopback: Loopback, resources: ExitStack) -> Parts:
    """The parts of a stream's loop over a connection. `resources`: whose end lets go of them."""
    spec, settings = run.spec, run.settings
    of_brokers = (spec.name, spec.uri, spec.config)
    health = BrokerHealth(topic_clients.get(*of_brokers), offset_clients.get(*of_brokers), spec)
    resources.callback(health.close)
    idle = IdleDetector(spec, settings, run.calls.nudge.set)
    resources.callback(idle.end)
    source = resources.enter_context(Consumer(spec, settings))
    watch = Watch(run.cancel)
    transform = _open_transform(run, watch, resources)
    dead_letters = resources.enter_context(closing(DeadLetters(spec, run.cancel.is_set)))
    writer = _open_writer(run, loopback)
    committer = Committer(run, writer, transform, Isolation(run, writer, transform, dead_letters))
    identity = TopicIdentity(spec, settings.broker_timeout)
    resources.callback(identity.close)
    guard = TopicGuard(run, source, identity)
    return Parts(source, writer, committer, Retrier(run, writer, transform), health, guard, idle, watch)


def _open_transform(run: Run, watch: Watch, resources: ExitStack) -> Transformer:
    lacks, wants_keys = run.host.lacks, run.turns.wants_keys
    made = Transformer(run.spec, run.settings, watch, lacks, wants_keys)
    made.lines = run.status.lines
    return resources.enter_context(closing(made))


def _open_writer(run: Run, loopback: Loopback) -> Writer:
    checkpoint_id = run.desired.checkpoint_id
    loopback.unlabel(checkpoint_id)
    if run.turns.has_lost:
        loopback.fence_off(checkpoint_id)
        run.turns.fenced_off()
    held = loopback.read_checkpoint(checkpoint_id, run.spec.only_topic)
    sink = Sink(loopback.connection, checkpoint_id, held)
    run.status.began(held, sink.in_flight)
    return Writer(run, loopback, sink)
