"""The shop, its database, and Debezium that sends its changes to a broker: in three ways at once."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.debezium import compare, shop
from tests.debezium.connect import JSON, Connect, connector
from tests.debezium.postgres import Postgres
from tests.eventually import eventually
from tests.kafka import KafkaBroker

PLAIN, TOGETHER, UNWRAPPED = "plain", "together", "unwrapped"
"A topic for each table, without schemas; one topic for all, with schemas; a topic for each table, rows alone."

WAYS: Mapping[str, Mapping[str, str]] = {
    PLAIN: {"provide.transaction.metadata": "true"},
    TOGETHER: {
        "value.converter.schemas.enable": "true",
        "key.converter.schemas.enable": "true",
        "transforms": "route",
        "transforms.route.type": "org.apache.kafka.connect.transforms.RegexRouter",
        "transforms.route.regex": r"(.*)\.public\..*",
        "transforms.route.replacement": "$1.all",
    },
    UNWRAPPED: {
        "transforms": "unwrap",
        "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState",
    },
}

CONVERTERS = {
    f"{part}.converter{name}": value
    for part in ("key", "value")
    for name, value in (("", JSON), (".schemas.enable", "false"), (".replace.null.with.default", "false"))
}

LAST = 1_000_000
"The key of the last row."

PATIENCE = 180.0
"Seconds in which Debezium has to send what it is given."


class Rig:
    """
    Starts and ends with its `with`. The topics stay.

    Threads: the test's thread alone.
    """

    def __init__(self, folder: Path, kafka: KafkaBroker) -> None:
        """
        Raises:
            PostgresUnavailable: PostgreSQL is not installed.
        """
        run = uuid.uuid4().hex[:6]
        self._kafka = kafka
        self.postgres = Postgres(folder / "postgres.log")
        self.prefixes = {way: f"{way}_{run}" for way in WAYS}
        "Way -> what its topics begin with."
        connectors = [
            connector(self.postgres, self.prefixes[way], {**CONVERTERS, **settings}) for way, settings in WAYS.items()
        ]
        self.connect = Connect(folder, kafka.bootstrap, connectors)

    def __enter__(self) -> Rig:
        try:
            self.postgres.start()
            self.postgres.run(shop.SCHEMA + shop.filled())
            for way in WAYS:
                for topic in self.topics(way):
                    self._kafka.topics.create(topic)
            self.connect.start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def topics(self, way: str) -> list[str]:
        """The topics of a way, those of the tables in the order of `shop.TABLES`."""
        prefix = self.prefixes[way]
        if way == TOGETHER:
            return [f"{prefix}.all"]
        return [f"{prefix}.public.{table.replace(' ', '_')}" for table in shop.TABLES]

    def change(self, count: int, seed: int) -> dict[str, list[dict[str, Any]]]:
        """
        Random changes, among them a new column, and a snapshot of all tables once more.

        Returns:
            the rows of each table in the end, as `compare.rows_of`.
        """
        self._await(self._has_snapshot)
        third = count // 3
        self.postgres.run(shop.changes(third, 1_000, seed))
        self.postgres.run(shop.RESNAPSHOT + shop.changes(third, 100_000, seed + 1))
        self.postgres.run(shop.ADDED + shop.changes(count - 2 * third, 200_000, seed + 2, added=True))
        self.postgres.run(f"INSERT INTO shipments VALUES ({LAST}, NULL, NULL, 'last');")
        self._await(self._has_last)
        return compare.rows_of(self.postgres)

    def _await(self, is_there: Callable[[str], bool]) -> None:
        """Waits for something in the last topic of each way."""
        eventually(lambda: all(map(is_there, WAYS)), timeout=PATIENCE, interval=0.5)

    def _has_snapshot(self, way: str) -> bool:
        return self._kafka.topics.watermarks(self.topics(way)[-1])[1] >= len(shop.TABLES)

    def _has_last(self, way: str) -> bool:
        stored = self._kafka.topics.read(self.topics(way)[-1])
        return any(str(LAST).encode() in (message.key or b"") for message in stored[-50:])

    def _close(self) -> None:
        self.connect.kill()
        self.postgres.close()
