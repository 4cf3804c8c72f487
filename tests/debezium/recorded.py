"""What a Debezium sent of a few changes of the shop, and the rows in the end; in `recorded.json`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import Producer

from tests.kafka import KafkaBroker, Stored
from tests.kafka.topics import TIMEOUT

FILE = Path(__file__).resolve().parent / "recorded.json"


class Recorded(NamedTuple):
    """A recording."""

    topics: dict[str, list[tuple[str | None, str | None]]]
    "Topic without its prefix -> key and value of each message."
    rows: dict[str, list[dict[str, Any]]]
    "Table -> its rows in the end."

    def fill(self, kafka: KafkaBroker, topic: str, prefix: str) -> str:
        """Makes a new topic with the messages of one, and says its name."""
        name = kafka.topics.create(f"{prefix}.{topic}")
        producer = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 2, "max.in.flight": 1})
        for key, value in self.topics[topic]:
            producer.produce(name, value, key=key)
        assert producer.flush(TIMEOUT) == 0
        return name

    def save(self) -> None:
        """Takes the place of the recording that there is."""
        lines = [f"{json.dumps(topic)}: [\n{_lines(messages)}\n]" for topic, messages in self.topics.items()]
        rows = [f"{json.dumps(table)}: [\n{_lines(found)}\n]" for table, found in self.rows.items()]
        text = f'{{"topics": {{\n{_joined(lines)}\n}}, "rows": {{\n{_joined(rows)}\n}}}}\n'
        FILE.write_text(text, encoding="utf-8")


def recorded() -> Recorded:
    """The recording."""
    return Recorded(**json.loads(FILE.read_text(encoding="utf-8")))


def message(stored: Stored) -> tuple[str | None, str | None]:
    """Key and value of a message, as texts."""
    key, value = stored.key, stored.value
    return key.decode() if key is not None else None, value.decode() if value is not None else None


def _lines(items: Iterable[Any]) -> str:
    return _joined(json.dumps(item, ensure_ascii=False) for item in items)


def _joined(parts: Iterable[str]) -> str:
    return ",\n".join(parts)
