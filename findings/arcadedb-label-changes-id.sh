#!/usr/bin/env bash
# arcadedb-embedded 26.10.2.post1 (ArcadeDB's openCypher, with its own Java in the wheel)
#
# One would guess: `id(n)` stays as long as the vertex lives; a label more or less is a change of the vertex, not another
#   one.
# What happens: a set of labels is a type, a record lives with its type, and the id says where. SET n:L moves the vertex
#   to another id, and with it all its edges; what held on to the old id (a client, a stored reference) finds nothing.
#   Taking the label away again brings the old id back, if nothing has come in between.
#
# Seen:
#   id changed by SET n:Second: True; found by its old id: 0; its edge is still there: 1
#   id after REMOVE n:Second is the first one: True
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


((first,),) = rows("CREATE (n:First)-[:E]->(:Other) RETURN id(n) AS i")
rows("MATCH (n:First) SET n:Second")
((second,),) = rows("MATCH (n:First) RETURN id(n) AS i")
((found,),) = rows("MATCH (n) WHERE id(n) = $i RETURN count(n) AS c", i=first)
((edges,),) = rows("MATCH (:Second)-[e:E]->(:Other) RETURN count(e) AS c")
rows("MATCH (n:First) REMOVE n:Second")
((third,),) = rows("MATCH (n:First) RETURN id(n) AS i")
print(f"id changed by SET n:Second: {first != second}; found by its old id: {found}; its edge is still there: {edges}")
print("id after REMOVE n:Second is the first one:", third == first)
database.close()
sys.exit(0 if (first != second, found, edges, third == first) == (True, 0, 1, True) else 1)
EOF
