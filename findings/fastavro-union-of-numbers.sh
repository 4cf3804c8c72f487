#!/usr/bin/env bash
# fastavro 1.13.1
#
# One would guess: an integer written to the Avro union ["double", "long"] becomes the `long`, which holds it exactly.
# What happens: the first branch that a value *could* be written as wins, and an integer can be written as a double. An
#   id above 2^53 comes back as another number, with no error; the same union the other way round keeps it. (A float
#   written to ["float", "double"] does get the wider branch, so the order does not matter there.)
#
# Seen, for 9007199254740993:
#   ["double", "long"] -> 9007199254740992.0
#   ["long", "double"] -> 9007199254740993
#   and 0.1 through ["float", "double"] -> 0.1
#
# Exit status: 0 it is still so, 1 it has changed, 2 it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv" && "$work/venv/bin/pip" install --quiet fastavro==1.13.1 || exit 2

"$work/venv/bin/python" - <<'EOF'
import io
import sys

from fastavro import parse_schema, schemaless_reader, schemaless_writer


def through(union, value):
    """The value written with a schema and read back."""
    schema, buffer = parse_schema(union), io.BytesIO()
    schemaless_writer(buffer, schema, value)
    buffer.seek(0)
    return schemaless_reader(buffer, schema, None)


ID = 2**53 + 1
same = True
for union, value, expected in (
    (["double", "long"], ID, "9007199254740992.0"),
    (["long", "double"], ID, "9007199254740993"),
    (["float", "double"], 0.1, "0.1"),
):
    seen = repr(through(union, value))
    print(f"{value} through {union} -> {seen}")
    same = same and seen == expected
sys.exit(0 if same else 1)
EOF
