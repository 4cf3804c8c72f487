"""
Asks Kafka for topics on behalf of all streams that have the same brokers and settings.

librdkafka's admin client must not end while one of its questions is open: an answer to `describe_topics` that arrives
in that very moment ends the process, and so the database. It was seen once.

Source: `rd_kafka_DescribeTopicsResponse_parse` in `rdkafka_admin.c`, v2.16.1: a client that ends takes the answer for a
    good one, and has read nothing of it.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Collection, Mapping
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import Any

from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient, ClusterMetadata

from sluice.brokers import clients
from sluice.values.configuration import Configuration

Described = Mapping[str, "Future[Any]"]
"Topic -> the answer, once there is one."


class TopicClient:
    """
    What streams may ask an admin client; not its `list_offsets`, nor `delete_records`: `OffsetClient` says why.

    Threads: any may ask. librdkafka's client belongs to a thread of its own, which ends it when nobody has this object
        any more and all that was asked has an answer, or has had its time.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        """Raises KafkaException: librdkafka does not take the settings. RuntimeError: there can be no more threads."""
        self._client = AdminClient(settings)
        self._open: set[Future[Any]] = set()
        # Of a queue that may be put into wherever the garbage collector happens to run.
        left: SimpleQueue[None] = SimpleQueue()
        threading.Thread(target=_keep, args=(self._client, self._open, left), name="sluice-topics", daemon=True).start()
        weakref.finalize(self, left.put, None).atexit = False

    def describe_topics(self, topics: Collection[str], timeout: float) -> Described:
        """
        Topic -> a `TopicDescription`, or a KafkaException. Does not wait.

        Args:
            timeout: seconds that the brokers have to answer.

        Raises:
            KafkaException: it cannot be asked.
        """
        asked: Described = self._client.describe_topics(TopicCollection(sorted(topics)), request_timeout=timeout)
        for future in asked.values():
            self._open.add(future)
            future.add_done_callback(self._open.discard)
        return asked

    def list_topics(self, *, timeout: float) -> ClusterMetadata:
        """All topics that there are. Waits up to `timeout` seconds. Raises KafkaException: there is no answer."""
        return self._client.list_topics(timeout=timeout)


def _keep(_client: AdminClient, asked: set[Future[Any]], left: SimpleQueue[None]) -> None:
    """Has the client until it may end."""
    left.get()
    wait(tuple(asked))


def _topic_client(name: str, uri: str, configuration: Configuration) -> TopicClient:
    defaults = {"client.id": "sluice", "reconnect.backoff.max.ms": 250}
    return clients.make(TopicClient, name, uri, configuration, defaults=defaults, own={"log_level": 0})


topic_clients = clients.Shared(_topic_client)
