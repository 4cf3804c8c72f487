#!/usr/bin/env bash
# confluent-kafka 2.16.1 (librdkafka 2.16.0), with librdkafka's own broker
#
# One would guess: a consumer that is assigned an offset with the leader epoch of the message before it is told if the
#   broker's log is no longer the one that it had read, before it gets messages: that is what the epoch is for.
# What happens: once the topic's metadata is known, `assign` fetches without a question, and messages come as if nothing
#   had happened. `seek` to the same place asks, and the log is reported as truncated.
#
# Seen:
#   assigned with an epoch that the log never had: offsets [2]
#   and then sought: _AUTO_OFFSET_RESET, truncated: True
#
# Exit status: 0 it is still so, 1 it has changed, 2 it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv" && "$work/venv/bin/pip" install --quiet confluent-kafka==2.16.1 || exit 2
cd "$work"

"$work/venv/bin/python" - 2>/dev/null <<'EOF'
import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

producer = Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1})
broker = next(iter(producer.list_topics(timeout=10).brokers.values()))
address = f"{broker.host}:{broker.port}"
for number in range(3):
    producer.produce("people", str(number), partition=0)
producer.flush(10)


def read(begin, wait=5.0):
    """The offsets that come within that many seconds, or the error."""
    settings = {"bootstrap.servers": address, "group.id": "g", "auto.offset.reset": "error"}
    consumer = Consumer(settings)
    consumer.list_topics("people", timeout=10)
    begin(consumer)
    offsets, deadline = [], time.monotonic() + wait
    while time.monotonic() < deadline:
        message = consumer.poll(0.1)
        if message is not None and message.error() is not None:
            consumer.close()
            return message.error()
        if message is not None:
            offsets.append(message.offset())
    consumer.close()
    return offsets


place = TopicPartition("people", 0, 2, leader_epoch=7)  # the log's only epoch is 0


def assign_and_seek(consumer):
    consumer.assign([place])
    for _ in range(100):
        try:
            consumer.seek(place)
            return
        except KafkaException:  # reading has not begun yet
            time.sleep(0.01)


assigned = read(lambda consumer: consumer.assign([place]))
sought = read(assign_and_seek)
print("assigned with an epoch that the log never had: offsets", assigned)
truncated = not isinstance(sought, list) and "truncat" in sought.str().lower()
print(f"and then sought: {sought if isinstance(sought, list) else sought.name()}, truncated: {truncated}")
sys.exit(0 if assigned == [2] and truncated else 1)
EOF
