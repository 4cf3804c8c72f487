"""
Tells Kafka how far the streams are, for lag monitors only. What is told here is never read back: the graph holds the
truth.

An admin client does it, not the streams' consumers: it takes a request and returns, and it can be closed at any moment.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import NamedTuple

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from sluice import clients
from sluice.configuration import Configuration
from sluice.consumer import group_of
from sluice.errors import SluiceError

log = logging.getLogger("sluice.reporter")

REQUEST_TIMEOUT = 5.0


class Progress(NamedTuple):
    """How far a stream is in the graph."""

    name: str
    uri: str
    topic: str
    positions: Mapping[int, int]
    "partition -> offset of the next message to read."
    config: Configuration = Configuration()


class Reporter:
    """
    Reports progress to the groups `sluice.<stream>`; one client per Kafka URI and configuration, made when it is first
    needed.

    Threads: for one thread, the supervisor's. Nothing here waits for a broker.
    """

    def __init__(self) -> None:
        self._clients: dict[tuple[str, Configuration], AdminClient] = {}
        self._told: dict[str, Progress] = {}

    def report(self, progress: list[Progress]) -> None:
        """
        Reports what is news, and lets go of clients that no stream needs any more.

        Args:
            progress: of every stream that runs now.
        """
        for gone in self._clients.keys() - {(item.uri, item.config) for item in progress}:
            del self._clients[gone]
        self._told = {name: told for name, told in self._told.items() if any(item.name == name for item in progress)}
        for item in progress:
            if item.positions and self._told.get(item.name) != item:
                self._told[item.name] = item
                self._tell(item)

    def _tell(self, item: Progress) -> None:
        offsets = [TopicPartition(item.topic, partition, offset) for partition, offset in item.positions.items()]
        try:
            client = self._clients.get((item.uri, item.config)) or self._connected(item)
            client.alter_consumer_group_offsets(
                [ConsumerGroupTopicPartitions(group_of(item.name), offsets)], request_timeout=REQUEST_TIMEOUT
            )
        except (KafkaException, SluiceError) as error:
            log.debug("stream %s: progress not reported: %s", item.name, error)

    def _connected(self, item: Progress) -> AdminClient:
        client = clients.admin(item.name, item.uri, item.config)
        self._clients[item.uri, item.config] = client
        return client
