#!/usr/bin/env bash
# arcadedb-embedded 26.10.2.post1 (ArcadeDB's openCypher, with its own Java in the wheel)
#
# One would guess: MERGE with a null property is an error however the null gets there, as on Neo4j, since it could never
#   find what it made.
# What happens: only a null that is written out is refused. As a parameter, or as a key that is missing in one, it makes
#   a vertex without the property, and another one at each further run: messages without an id pile up.
#
# Seen:
#   MERGE (n:A {k: null})   refused: MERGE does not support null property values
#   MERGE (n:A {k: $k}), $k null, three times: 3 vertices, without properties
#
# Exit status: 0 it is still so, 1 it has changed, 2 it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv" && "$work/venv/bin/pip" install --quiet arcadedb-embedded==26.10.2.post1 || exit 2
cd "$work"

"$work/venv/bin/python" - 2>/dev/null <<'EOF'
import sys

import arcadedb_embedded

database = arcadedb_embedded.create_database("graph")


def rows(query, **parameters):
    """What an openCypher query returns, in a transaction of its own."""
    with database.transaction():
        result = database.command("opencypher", query, *([parameters] if parameters else []))
        return [tuple(row.get(name) for name in row.property_names) for row in result]


try:
    literal = str(rows("MERGE (n:A {k: null}) RETURN n"))
except arcadedb_embedded.ArcadeDBError as error:
    literal = "refused: " + str(error).partition("MergeReadOwnWrites: ")[2]
print("MERGE (n:A {k: null})  ", literal)
for _ in range(3):
    rows("MERGE (n:A {k: $k})", k=None)
vertices = rows("MATCH (n:A) RETURN size(keys(n)) AS properties")
print("MERGE (n:A {k: $k}), $k null, three times:", len(vertices), "vertices, properties of each:", vertices)
database.close()
sys.exit(0 if "null property values" in literal and vertices == [(0,)] * 3 else 1)
EOF
