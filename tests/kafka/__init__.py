"""A real Apache Kafka for the tests, and what tests do with its topics."""

from tests.kafka.broker import KafkaBroker
from tests.kafka.cluster import KafkaCluster
from tests.kafka.jars import KafkaUnavailable
from tests.kafka.topics import Stored, Topics

__all__ = ["KafkaBroker", "KafkaCluster", "KafkaUnavailable", "Stored", "Topics"]
