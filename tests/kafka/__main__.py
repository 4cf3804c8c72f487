"""`python -m tests.kafka` fetches the jars of Apache Kafka, and has it start quickly; or says what is missing."""

from __future__ import annotations

import sys

from tests.kafka import classes
from tests.kafka.jars import KafkaUnavailable, jars, java


def main() -> int:
    """Fetch the jars, make the archive of their classes, and say where they are."""
    try:
        java()
        found = jars()
        classes.make()
    except KafkaUnavailable as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"Apache Kafka: {len(found)} jars in {found[0].parent}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
