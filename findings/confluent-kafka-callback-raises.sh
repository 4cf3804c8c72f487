#!/usr/bin/env bash
# confluent-kafka 2.16.1 (librdkafka 2.16.0), with librdkafka's own broker
#
# One would guess: if a callback raises, `consume` raises that exception, and the next call continues where it was.
# What happens: the message that waits right after the callback's event is taken from the queue and dropped. The next call
#   gives the one after it, and `position()` is past both.
#
# Seen:
#   offsets [0, 2], raised: not today, position 3
#
# Exit status: 0 it is still so, 1 it has changed, 2 it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv" && "$work/venv/bin/pip" install --quiet confluent-kafka==2.16.1 || exit 2
cd "$work"

"$work/venv/bin/python" - 2>/dev/null <<'EOF'
import os
import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition

producer = Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1})
broker = next(iter(producer.list_topics(timeout=10).brokers.values()))


def produce(*numbers):
    for number in numbers:
        producer.produce("people", str(number), partition=0)
    producer.flush(10)


def committed(error, places):
    raise ValueError("not today")


settings = {"bootstrap.servers": f"{broker.host}:{broker.port}", "group.id": "g", "auto.offset.reset": "earliest"}
consumer = Consumer({**settings, "enable.auto.commit": False, "on_commit": committed})
offsets, raised = [], []


def take(wait=5.0):
    """The next message, or what a callback raises."""
    deadline = time.monotonic() + wait
    while time.monotonic() < deadline:
        try:
            for message in consumer.consume(1, 0.1):
                offsets.append(message.offset())
                return
        except ValueError as error:
            raised.append(str(error))
            return


produce(0)
consumer.assign([TopicPartition("people", 0, 0)])
take()
consumer.commit(offsets=[TopicPartition("people", 0, 1)], asynchronous=True)
time.sleep(2)  # the answer is in the client's queue
produce(1, 2)
time.sleep(2)  # ... and these are after it
for _ in range(3):
    take()
position = consumer.position([TopicPartition("people", 0)])[0].offset
print(f"offsets {offsets}, raised: {', '.join(raised)}, position {position}")
sys.stdout.flush()
os._exit(0 if offsets == [0, 2] and raised == ["not today"] else 1)
EOF
