"""Offsets as Kafka's client has them."""

from __future__ import annotations

from confluent_kafka import OFFSET_INVALID, TopicPartition

from sluice.values.position import Partition, Position

NO_MESSAGE = -1
"Kafka's answer for a time after which no message came. Any other offset below 0 is no answer."

NOWHERE = Position(OFFSET_INVALID)
"The place of a partition that is only asked about."


def is_offset(told: int) -> bool:
    """
    Whether what came from Kafka's client is an offset: librdkafka gives -1001 where it knows none, such as where the
    broker did not answer in time, and does not call that an error.
    """
    return told >= 0


def asked_for(partition: Partition, at: Position = NOWHERE) -> TopicPartition:
    """A partition, and a place in it, as the client wants it."""
    return TopicPartition(*partition, at.offset, leader_epoch=at.leader_epoch)


def partition_at(place: TopicPartition) -> Partition:
    """The partition of a place that the client gives."""
    return Partition(place.topic, place.partition)
