#!/usr/bin/env bash
# confluent-kafka 2.16.1 (librdkafka 2.16.0), with the mock cluster that librdkafka carries as the broker
#
# One would guess: `offsets_for_times` raises if one of the partitions does not exist, or leaves it without an offset.
# What happens: asked for that partition alone it raises; asked together with one that exists it succeeds, and the
#   offset of the missing one is the *timestamp that was asked for*. Only the `error` of the entry tells; whoever passes
#   the answer on to `assign` asks for offset 1700000000000 there.
#
# Seen:
#   alone: raised _UNKNOWN_PARTITION
#   together: partition 0 -> offset -1, error None; partition 7 -> offset 1700000000000, error _UNKNOWN_PARTITION
#   (-1 for partition 0, "no message that late", is all that the mock cluster ever answers to a time.)
#
# Exit status: 0 it is still so, 1 it has changed, 2 it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv" && "$work/venv/bin/pip" install --quiet confluent-kafka==2.16.1 || exit 2

"$work/venv/bin/python" - 2>/dev/null <<'EOF'
import sys

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

TIME = 1_700_000_000_000

producer = Producer({"bootstrap.servers": "127.0.0.1:1", "test.mock.num.brokers": 1, "log_level": 0})
brokers = ",".join(f"{b.host}:{b.port}" for b in producer.list_topics(timeout=30).brokers.values())
producer.produce("orders", "a message", partition=0)
if producer.flush(30):
    sys.exit(2)

consumer = Consumer({"bootstrap.servers": brokers, "group.id": "finding", "log_level": 0})
try:
    alone = consumer.offsets_for_times([TopicPartition("orders", 7, TIME)], timeout=30)
except KafkaException as error:
    alone = error.args[0].name()
print("alone: raised", alone)
answers = consumer.offsets_for_times([TopicPartition("orders", p, TIME) for p in (0, 7)], timeout=30)
together = [(a.partition, a.offset, a.error and a.error.name()) for a in answers]
print("together:", "; ".join("partition {} -> offset {}, error {}".format(*entry) for entry in together))
consumer.close()

expected = [(0, -1, None), (7, TIME, "_UNKNOWN_PARTITION")]
sys.exit(0 if alone == "_UNKNOWN_PARTITION" and together == expected else 1)
EOF
