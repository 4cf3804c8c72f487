"""`python -m tests.debezium` records what a Debezium sends: `recorded.py`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.debezium.recorded import FILE, Recorded, message
from tests.debezium.rig import PLAIN, Rig
from tests.kafka import KafkaBroker

CHANGES = 150


def main() -> None:
    """Runs all of it, and writes the file."""
    with tempfile.TemporaryDirectory() as scratch:
        kafka = KafkaBroker(Path(scratch, "kafka"))
        kafka.start()
        try:
            with Rig(Path(scratch, "connect"), kafka) as rig:
                rows = rig.change(CHANGES, seed=7)
                prefix = rig.prefixes[PLAIN]
                topics = {
                    topic.removeprefix(f"{prefix}."): [message(stored) for stored in kafka.topics.read(topic)]
                    for topic in rig.topics(PLAIN)
                }
        finally:
            kafka.kill()
    Recorded(topics, rows).save()
    print(f"{sum(map(len, topics.values()))} messages in {FILE}")


if __name__ == "__main__":
    main()
