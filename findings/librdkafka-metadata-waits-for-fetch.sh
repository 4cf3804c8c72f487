#!/usr/bin/env bash
# confluent-kafka 2.16.1 (librdkafka 2.16.0), with the mock cluster that librdkafka carries as the broker
#
# One would guess: `list_topics` of a consumer is answered within milliseconds by a broker that is up, most of all while
#   nothing is to be read.
# What happens: while nothing is to be read it times out, again and again. The question goes over the connection on
#   which the broker holds the consumer's fetch until `fetch.wait.max.ms` is over (half a second by default), and is
#   read after that only. The answer to a question that has timed out is thrown away, and the next one waits for the
#   next fetch. Another client gets its answer at once. So a timeout for such a question has to be longer than the fetch.
#
# Seen:
#   (`fetch.wait.max.ms` is 2000 here)
#   a consumer that waits for messages, 4 questions of 0.4 s each: _TIMED_OUT, _TIMED_OUT, _TIMED_OUT, _TIMED_OUT
#   the same consumer, 3 s: answered; another client, 0.4 s: answered
#
# Exit status: 0 it is still so, 1 it has changed, 2 it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv" && "$work/venv/bin/pip" install --quiet confluent-kafka==2.16.1 || exit 2

"$work/venv/bin/python" - 2>/dev/null <<'EOF'
import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

producer = Producer({"bootstrap.servers": "127.0.0.1:1", "test.mock.num.brokers": 1, "log_level": 0})
brokers = ",".join(f"{b.host}:{b.port}" for b in producer.list_topics(timeout=30).brokers.values())
producer.produce("orders", "a message", partition=0)
if producer.flush(30):
    sys.exit(2)


def ask(client, seconds):
    try:
        client.list_topics("orders", timeout=seconds)
    except KafkaException as error:
        return error.args[0].name()
    return "answered"


settings = {"bootstrap.servers": brokers, "group.id": "finding", "fetch.wait.max.ms": 2000, "log_level": 0}
waiting, other = Consumer(settings), Consumer(settings)
waiting.assign([TopicPartition("orders", 0, 0)])
if waiting.poll(30) is None:
    sys.exit(2)
waiting.poll(0.2)  # the next fetch is under way, and there is nothing for it
ask(other, 30)  # which connects it
questions = [ask(waiting, 0.4) for _ in range(4)]
print("a consumer that waits for messages, 4 questions of 0.4 s each:", ", ".join(questions))
longer, others = ask(waiting, 3), ask(other, 0.4)
print(f"the same consumer, 3 s: {longer}; another client, 0.4 s: {others}")
waiting.close()
other.close()
sys.exit(0 if questions == ["_TIMED_OUT"] * 4 and (longer, others) == ("answered", "answered") else 1)
EOF
