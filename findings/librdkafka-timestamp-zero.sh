#!/usr/bin/env bash
# confluent-kafka 2.16.1 (librdkafka 2.16.0), with the mock cluster that librdkafka carries as the broker
#
# One would guess: `produce(timestamp=0)` stores 0, the first millisecond of 1970, as 1 stores the second one.
# What happens: 0 means "not given", and the message gets the time of the call. Whoever copies messages from topic to
#   topic with their timestamps moves those at 0 to today, where a search
#   by time finds them last instead of first.
#
# Seen:
#   asked for 0: stored the time of the call
#   asked for 1: stored 1
#
# Exit status: 0 it is still so, 1 it has changed, 2 it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv" && "$work/venv/bin/pip" install --quiet confluent-kafka==2.16.1 || exit 2

"$work/venv/bin/python" - 2>/dev/null <<'EOF'
import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition

producer = Producer({"bootstrap.servers": "127.0.0.1:1", "test.mock.num.brokers": 1, "log_level": 0})
brokers = ",".join(f"{b.host}:{b.port}" for b in producer.list_topics(timeout=30).brokers.values())
began = int(time.time() * 1000)
for asked in (0, 1):
    producer.produce("orders", str(asked), partition=0, timestamp=asked)
if producer.flush(30):
    sys.exit(2)

consumer = Consumer({"bootstrap.servers": brokers, "group.id": "finding", "log_level": 0})
consumer.assign([TopicPartition("orders", 0, 0)])
stored = {}
for _ in range(2):
    message = consumer.poll(30)
    if message is None or message.error():
        sys.exit(2)
    stored[int(message.value())] = message.timestamp()[1]
consumer.close()

recent = began - 1000 <= stored[0] <= time.time() * 1000 + 1000
print("asked for 0: stored", "the time of the call" if recent else stored[0])
print("asked for 1: stored", stored[1])
sys.exit(0 if recent and stored[1] == 1 else 1)
EOF
