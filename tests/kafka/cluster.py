"""A real Apache Kafka of several nodes on the loopback, each broker and controller: leaders can change."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from confluent_kafka.admin import AdminClient

from tests.kafka.broker import KafkaBroker
from tests.kafka.topics import TIMEOUT, Topics, log

SIZE = 3  # the fewest of which one may be away

SETTINGS = {
    "default.replication.factor": "3",
    "offsets.topic.replication.factor": "3",
    "min.insync.replicas": "2",
    # What a follower that was killed may be behind, and for how long, before it counts as away.
    "replica.lag.time.max.ms": "3000",
    "controller.quorum.election.timeout.ms": "500",
    "controller.quorum.fetch.timeout.ms": "1000",
}


class KafkaCluster:
    """
    Three nodes. Which of them leads a partition, `leader` tells.

    Threads: the test's thread, but for the start, which every node has one of its own for.
    """

    def __init__(self, folder: Path) -> None:
        """
        Args:
            folder: where the nodes' folders go.
        """
        self.nodes = [
            KafkaBroker(folder / str(number), {**SETTINGS, "node.id": str(number)}) for number in range(1, SIZE + 1)
        ]
        for node in self.nodes:
            node.cluster_id = self.nodes[0].cluster_id
            node.voters = ",".join(each.voter for each in self.nodes)
        self.bootstrap = ",".join(node.bootstrap for node in self.nodes)
        self.topics = Topics(self.bootstrap)

    def start(self) -> None:
        """Start all nodes, and wait until they answer: one alone does not."""
        self._each(self.nodes)

    def kill(self) -> None:
        """Kill all nodes."""
        for node in self.nodes:
            node.kill()

    def leader(self, topic: str, partition: int = 0) -> KafkaBroker:
        """The node that leads a partition now."""
        settings = {"bootstrap.servers": self.bootstrap, "logger": log}
        found = AdminClient(settings).list_topics(topic, timeout=TIMEOUT).topics[topic].partitions[partition]
        return next(node for node in self.nodes if node.node_id == found.leader)

    @staticmethod
    def _each(nodes: Iterable[KafkaBroker]) -> None:
        with ThreadPoolExecutor(SIZE) as pool:
            for started in [pool.submit(node.start) for node in nodes]:
                started.result()
