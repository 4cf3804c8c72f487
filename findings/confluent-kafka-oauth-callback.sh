#!/usr/bin/env bash
# confluent-kafka 2.16.1 (its `oauth_cb`, which makes the tokens of OAUTHBEARER)
#
# One would guess: a client whose callback answers at once is made at once, and what the callback raises is what the
#   caller, or `error_cb` at a later renewal, is told.
# What happens: the constructor looks for the token once a second, the first time before the callback can have run, so
#   each client takes a second. If the callback raises, it takes ten, and the reason is lost: "OAuth token not set within
#   10 seconds timeout". At a renewal `error_cb` gets "OAuth callback raised exception", and no more.
#
# Seen:
#   callback answers at once: 1 s
#   callback raises: KafkaException after 10 s, reason told: False
#   renewal raises: error_cb was called, reason told: False
#
# Exit status: 0 it is still so, 1 it has changed, 2 it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv" && "$work/venv/bin/pip" install --quiet confluent-kafka==2.16.1 || exit 2
cd "$work"

"$work/venv/bin/python" - <<'EOF'
import sys
import time

from confluent_kafka import Consumer, KafkaException
from confluent_kafka.admin import AdminClient

# Nothing listens there: what is looked at is what happens before anything is connected to.
OPTIONS = {"bootstrap.servers": "127.0.0.1:1", "security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER"}
OPTIONS |= {"reconnect.backoff.ms": 10000, "reconnect.backoff.max.ms": 10000, "log_level": 0}
REASON = "the reason"
answers = iter([("token", 2.0)])  # of two seconds: renewed after 1.6


def once(_):
    for token, lifetime in answers:
        return token, time.time() + lifetime
    raise RuntimeError(REASON)


def never(_):
    raise RuntimeError(REASON)


told = []
began = time.monotonic()
client = Consumer({**OPTIONS, "group.id": "g", "oauth_cb": once, "error_cb": lambda error: told.append(error.str())})
made = time.monotonic() - began
print(f"callback answers at once: {made:.0f} s")
while time.monotonic() < began + 20 and not any("OAuth callback" in text for text in told):
    client.poll(0.1)
client.close()

began = time.monotonic()
try:
    AdminClient({**OPTIONS, "oauth_cb": never})
    said = None
except KafkaException as error:
    said = str(error)
waited = time.monotonic() - began
kind = "no error" if said is None else "KafkaException"
print(f"callback raises: {kind} after {waited:.0f} s, reason told: {REASON in str(said)}")
renewal = [text for text in told if "OAuth callback" in text]
explained = any(REASON in text for text in told)
print(f"renewal raises: error_cb was {'' if renewal else 'not '}called, reason told: {explained}")
lost = said is not None and REASON not in said and renewal and not explained
sys.exit(0 if made > 0.9 and waited > 9 and lost else 1)
EOF
