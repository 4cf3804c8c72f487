"""Kafka Connect with Debezium's connector for PostgreSQL, for the tests."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.debezium.postgres import DATABASE, USER, Postgres
from tests.kafka.jars import HERE as KAFKA
from tests.kafka.jars import jars, java
from tests.ports import free_port
from tests.server import Server

POM = Path(__file__).resolve().parent / "pom.xml"
JAVA_OPTIONS = ("-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
JSON = "org.apache.kafka.connect.json.JsonConverter"
SIGNALS = "public.debezium_signal"
BACKSLASH = "\\"  # which files of properties have twice

WORKER = {
    "key.converter": JSON,
    "value.converter": JSON,
    "offset.flush.interval.ms": "1000",
    "plugin.discovery": "hybrid_warn",
}


def connector(postgres: Postgres, prefix: str, settings: Mapping[str, str]) -> dict[str, str]:
    """The settings of a connector that sends all tables of the schema public; those given come on top."""
    return {
        "name": prefix,
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "database.hostname": "127.0.0.1",
        "database.port": str(postgres.port),
        "database.user": USER,
        "database.dbname": DATABASE,
        "topic.prefix": prefix,
        "plugin.name": "pgoutput",
        "slot.name": f"slot_{prefix}",
        "publication.name": f"publication_{prefix}",
        "schema.include.list": "public",
        "signal.data.collection": SIGNALS,
        "heartbeat.interval.ms": "1000",
        "skipped.operations": "none",
        "poll.interval.ms": "100",
        "snapshot.locking.mode": "none",
        **settings,
    }


class Connect(Server):
    """One worker with some connectors, which it has from its start."""

    name = "Kafka Connect"
    start_timeout = 120.0
    pom = POM

    def __init__(self, folder: Path, bootstrap: str, connectors: Sequence[Mapping[str, str]]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder / "connect.log")
        self._folder = folder
        self._connectors = list(connectors)
        self.port = free_port()
        worker = {
            "bootstrap.servers": bootstrap,
            "listeners": f"http://127.0.0.1:{self.port}",
            "offset.storage.file.filename": str(folder / "offsets"),
            **WORKER,
        }
        _write(folder / "worker.properties", worker)
        for one in self._connectors:
            _write(folder / f"{one['name']}.properties", one)

    def command(self) -> Sequence[str | Path]:
        """The standalone worker, on the jars that Maven resolved."""
        settings = [self._folder / f"{one['name']}.properties" for one in self._connectors]
        main = "org.apache.kafka.connect.cli.ConnectStandalone"
        path = os.pathsep.join(map(str, jars(self.pom)))
        logging = f"-Dlog4j2.configurationFile={KAFKA / 'log4j2.properties'}"
        return [java(), *JAVA_OPTIONS, logging, "-cp", path, main, self._folder / "worker.properties", *settings]

    def answers(self) -> bool:
        """Whether all connectors and their tasks run. One that failed is an error, which says why."""
        return all(self._runs(str(one["name"])) for one in self._connectors)

    def _runs(self, name: str) -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/connectors/{name}/status", timeout=5) as answer:
            status = json.load(answer)
        states = [status["connector"], *status["tasks"]]
        assert not any(state["state"] == "FAILED" for state in states), states
        return len(states) > 1 and all(state["state"] == "RUNNING" for state in states)


def _write(path: Path, properties: Mapping[str, str]) -> None:
    lines = [f"{name}={value.replace(BACKSLASH, 2 * BACKSLASH)}\n" for name, value in properties.items()]
    path.write_text("".join(lines), encoding="utf-8")
