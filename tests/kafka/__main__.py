"""`python -m tests.kafka` fetches the jars of Apache Kafka, or says what is missing."""

from __future__ import annotations

import sys

from tests.kafka.jars import KafkaUnavailable, jars, java


def main() -> int:
    """Fetch the jars and say where they are."""
    try:
        java()
        found = jars()
    except KafkaUnavailable as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"Apache Kafka: {len(found)} jars in {found[0].parent}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
