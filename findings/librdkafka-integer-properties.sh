#!/usr/bin/env bash
# confluent-kafka 2.16.1 (librdkafka 2.16.0)
#
# One would guess: an integer property given as text is read as a decimal number, and refused where it is none.
# What happens: it is read with C's rules for literals, and whatever follows the digits is dropped without a word.
#   `01000` is octal (512), `0x400` is hexadecimal (1024), `1e4` is 1 and `5s` is 5. Only the allowed range can still
#   catch such a value, so a template that pads numbers with zeros, or a unit at the end, mostly passes unseen.
#
# Seen (`message.max.bytes` is used because its lower limit, 1000, makes the value visible; `linger.ms` starts at 0):
#   message.max.bytes = 1000   accepted
#   message.max.bytes = 01000  refused: value 512 is outside allowed range 1000..1000000000
#   message.max.bytes = 0x400  accepted
#   message.max.bytes = 1e4    refused: value 1 is outside allowed range 1000..1000000000
#   linger.ms         = 5s     accepted
#   linger.ms         = s      refused: Invalid value for configuration property
#
# Exit status: 0 it is still so, 1 it has changed, 2 it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv" && "$work/venv/bin/pip" install --quiet confluent-kafka==2.16.1 || exit 2

"$work/venv/bin/python" - <<'EOF'
import sys

from confluent_kafka import KafkaException, Producer


def outcome(name, text):
    """What librdkafka says of one property; the client connects to nothing."""
    try:
        Producer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0, name: text})
    except KafkaException as error:
        return "refused: " + error.args[0].str().strip()
    return "accepted"


EXPECTED = [
    ("message.max.bytes", "1000", "accepted"),
    ("message.max.bytes", "01000", "value 512 is outside"),
    ("message.max.bytes", "0x400", "accepted"),
    ("message.max.bytes", "1e4", "value 1 is outside"),
    ("linger.ms", "5s", "accepted"),
    ("linger.ms", "s", "Invalid value"),
]
same = True
for name, text, expected in EXPECTED:
    seen = outcome(name, text)
    print(f"{name} = {text:6} {seen}")
    same = same and expected in seen
sys.exit(0 if same else 1)
EOF
