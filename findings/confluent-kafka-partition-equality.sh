#!/usr/bin/env bash
# confluent-kafka 2.16.1 (librdkafka 2.16.0)
#
# One would guess: two TopicPartition objects with different offsets are different values.
# What happens: `==`, `<` and `hash` look at topic and partition alone. A test that compares committed offsets with `==`
#   cannot fail, a set of positions keeps one of each partition (whichever came first), and sorting does not order by
#   offset.
#
# Seen:
#   equal: True, members of the set: 1, offset kept: 5, ordered: False
#
# Exit status: 0 it is still so, 1 it has changed, 2 it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv" && "$work/venv/bin/pip" install --quiet confluent-kafka==2.16.1 || exit 2

"$work/venv/bin/python" - <<'EOF'
import sys

from confluent_kafka import TopicPartition

low, high = TopicPartition("orders", 0, 5), TopicPartition("orders", 0, 9)
members = {low, high}
seen = (low == high, len(members), next(iter(members)).offset, low < high or high < low)
print("equal: {}, members of the set: {}, offset kept: {}, ordered: {}".format(*seen))
sys.exit(0 if seen == (True, 1, 5, False) else 1)
EOF
