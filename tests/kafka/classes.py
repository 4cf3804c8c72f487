"""
The broker's classes, read and checked once and for all, in a file: a start takes half of the time with it.

A JVM that the file was not made by, or for other jars, ignores it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.kafka.broker import KafkaBroker
from tests.kafka.jars import CACHE, class_archive


class _Recorded(KafkaBroker):
    """A broker that writes the file when it ends."""

    stop_timeout = 120.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.made = folder / "made.jsa"

    def command(self) -> Sequence[str | Path]:
        program, *others = super().command()
        return [program, f"-XX:ArchiveClassesAtExit={self.made}", *others]


def make() -> None:
    """Make the file, if it is not there. Raises KafkaUnavailable, ServerFailed."""
    if class_archive().exists():
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        broker = _Recorded(Path(scratch))
        broker.start()
        topic = broker.topics.create()
        broker.topics.produce(topic, ["one"])
        broker.topics.read(topic)
        broker.topics.committed("nobody", topic)
        broker.stop()
        broker.made.rename(class_archive())  # at once: whoever starts a broker meanwhile sees all of it, or nothing
