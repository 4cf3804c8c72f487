#!/usr/bin/env bash
# arcadedb-embedded 26.10.2.post1 (ArcadeDB's openCypher, with its own Java in the wheel)
#
# One would guess: a row goes through the clauses of a query one after the other, so what CREATE copies from a vertex is
#   what SET gave it in the same row, as on Memgraph.
# What happens: all rows go through SET before the first goes on to CREATE, which then sees what the last row wrote, in
#   every row. Where each row has a vertex of its own nothing shows; where rows meet at one, all but the last are lost.
#
# Seen, for UNWIND [1, 2, 3] AS x MATCH (n:A) SET n.v = x CREATE (:B {copied: n.v, row: x}):
#   row 1 copied 3, row 2 copied 3, row 3 copied 3
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


rows("CREATE (:A {v: 0})")
rows("UNWIND [1, 2, 3] AS x MATCH (n:A) SET n.v = x CREATE (:B {copied: n.v, row: x})")
copies = rows("MATCH (b:B) RETURN b.row AS row, b.copied AS copied ORDER BY row")
print(", ".join("row {} copied {}".format(*copy) for copy in copies))
database.close()
sys.exit(0 if copies == [(1, 3), (2, 3), (3, 3)] else 1)
EOF
