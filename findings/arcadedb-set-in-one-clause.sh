#!/usr/bin/env bash
# arcadedb-embedded 26.10.2.post1 (ArcadeDB's openCypher, with its own Java in the wheel)
#
# One would guess: the assignments of one SET are made from left to right, each seeing the ones before it, as on Neo4j
#   and Memgraph.
# What happens: all right-hand sides are read from the vertex as it was before the clause. A value set in the same clause
#   is null, or the old one, on the right; two increments count once; ON CREATE SET and ON MATCH SET do the same. Two SET
#   clauses one after the other do see each other.
#
# Seen:
#   SET n.x = 1, n.y = n.x              x = 1, y = None
#   SET n.c = n.c + 1, n.c = n.c + 1    c = 1, from 0
#   SET n.x = 1 SET n.y = n.x           x = 1, y = 1
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


rows("CREATE (:A), (:B {c: 0}), (:C)")
one = rows("MATCH (n:A) SET n.x = 1, n.y = n.x RETURN n.x AS x, n.y AS y")
twice = rows("MATCH (n:B) SET n.c = n.c + 1, n.c = n.c + 1 RETURN n.c AS c")
two = rows("MATCH (n:C) SET n.x = 1 SET n.y = n.x RETURN n.x AS x, n.y AS y")
print("SET n.x = 1, n.y = n.x             x = {}, y = {}".format(*one[0]))
print("SET n.c = n.c + 1, n.c = n.c + 1   c = {}, from 0".format(*twice[0]))
print("SET n.x = 1 SET n.y = n.x          x = {}, y = {}".format(*two[0]))
database.close()
sys.exit(0 if (one, twice, two) == ([(1, None)], [(1,)], [(1, 1)]) else 1)
EOF
