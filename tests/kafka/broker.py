"""A real Apache Kafka for the tests: one process that is broker and controller, on the loopback."""

from __future__ import annotations

import base64
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from confluent_kafka.admin import AdminClient

from tests.kafka.jars import HERE, class_archive, formatted, jars, java
from tests.kafka.topics import Topics, log
from tests.ports import free_ports
from tests.server import Server

# A heap that is enough for tests, and the quick compiler only: the broker lives for minutes, on few cores.
JAVA_OPTIONS = ("-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")

SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    # On purpose: a product that asks for a topic that is not there must not make it, and here it would.
    "auto.create.topics.enable": "true",
    "num.partitions": "1",
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    # A broker that comes back after SIGKILL is let in again once its old session is over.
    "broker.heartbeat.interval.ms": "200",
    "broker.session.timeout.ms": "2000",
    "log.cleaner.dedupe.buffer.size": "2097152",
    "num.network.threads": "2",
    "num.io.threads": "2",
}

NEVER_KILLED = {"broker.session.timeout.ms": "120000"}
"Of brokers that no test kills: what looks like the end of one is a machine whose disk stands still for seconds."


class KafkaBroker(Server):
    """
    Apache Kafka in KRaft mode, one node: a cluster of its own, unless `cluster.KafkaCluster` makes it a part of one.

    The port and what the topics hold stay the same over stop, kill and start.
    """

    name = "Apache Kafka"
    start_timeout = 90.0
    java_options: Sequence[str] = JAVA_OPTIONS

    def __init__(
        self, folder: Path, settings: Mapping[str, str] | None = None, listeners: Mapping[str, str] | None = None
    ) -> None:
        """
        Args:
            folder: where its data, its settings and its log go; made if it is not there.
            settings: broker settings on top of SETTINGS, or instead of those of the same name.
            listeners: name -> security protocol of listeners beside the plain one that `bootstrap` and `topics` use.
        """
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder / "kafka.log")
        self._folder = folder
        self._settings = {**SETTINGS, **(settings or {})}
        self._listeners = dict(listeners or {})
        self.port, self._controller_port, *ports = free_ports(2 + len(self._listeners))
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.addresses = {name: f"127.0.0.1:{port}" for name, port in zip(self._listeners, ports, strict=True)}
        "Name -> host and port of the further listeners."
        self.advertised: dict[str, str] = {}
        "Name -> host and port that clients of a listener are told instead of its own, from the next start on."
        self.topics = Topics(self.bootstrap)
        self.cluster_id = _kafka_uuid()
        self.voters = self.voter
        "The controllers; brokers of one cluster have the same, and the same `cluster_id`."

    @property
    def node_id(self) -> int:
        """Its number in the cluster."""
        return int(self._settings["node.id"])

    @property
    def voter(self) -> str:
        """The address of its controller, as `controller.quorum.voters` has it."""
        return f"{self.node_id}@127.0.0.1:{self._controller_port}"

    def start(self) -> None:
        """
        Start and wait until clients are told of the broker.

        Raises:
            KafkaUnavailable: java, mvn or the jars are missing.
            ServerFailed: it ended, or did not answer in time.
        """
        self._format()
        super().start()

    def command(self) -> Sequence[str | Path]:
        """The broker's main class on the jars that Maven resolved."""
        logging = f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}"
        settings = self._folder / "server.properties"
        archive = class_archive()
        classes = [f"-XX:SharedArchiveFile={archive}"] if archive.exists() else []
        return [java(), *self.java_options, *classes, logging, "-cp", self._class_path, "kafka.Kafka", settings]

    def answers(self) -> bool:
        """Whether the metadata names the broker, which it does from when the controller has let it in."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "logger": log, "reconnect.backoff.max.ms": 100})
        return bool(admin.list_topics(timeout=5).brokers)

    def lose(self, topic: str, partition: int = 0) -> None:
        """What a disk that breaks and is replaced does to a partition that has no other replica. It must be down."""
        assert not self.running, "it has the files open"
        shutil.rmtree(self._folder / "data" / f"{topic}-{partition}")

    @cached_property
    def _class_path(self) -> str:
        return os.pathsep.join(map(str, jars()))

    def _format(self) -> None:
        """
        Write the settings, and into an empty data folder what `kafka-storage.sh format` does, without a JVM for each.

        Source: Kafka, `MetaProperties`: version 1 is what KRaft uses.
        """
        data = self._folder / "data"
        plain = {"PLAINTEXT": self.bootstrap, "CONTROLLER": f"127.0.0.1:{self._controller_port}"}
        told = {"PLAINTEXT": self.bootstrap, **self.addresses, **self.advertised}
        protocols = {**dict.fromkeys(plain, "PLAINTEXT"), **self._listeners}
        own = {
            "log.dirs": str(data),
            "listeners": ",".join(f"{name}://{place}" for name, place in {**plain, **self.addresses}.items()),
            "advertised.listeners": ",".join(f"{name}://{place}" for name, place in told.items()),
            "listener.security.protocol.map": ",".join(f"{name}:{kind}" for name, kind in protocols.items()),
            "controller.quorum.voters": self.voters,
        }
        _write_properties(self._folder / "server.properties", {**own, **self._settings})
        if not data.exists():
            shutil.copytree(formatted(), data)
            ids = {"cluster.id": self.cluster_id, "directory.id": _kafka_uuid()}
            _write_properties(data / "meta.properties", {"version": "1", "node.id": self._settings["node.id"], **ids})


def _write_properties(path: Path, properties: Mapping[str, str]) -> None:
    path.write_text("".join(f"{name}={value}\n" for name, value in properties.items()), encoding="utf-8")


def _kafka_uuid() -> str:
    """A random id in Kafka's spelling, which is never one that begins with a dash."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text
