"""
Batches around one theme each: a few texts that get into each other's way, over very few keys.

What `batches` writes may be anything, so two queries that a rule of folding is about rarely meet in it; here they do in
nearly every batch. As there, every name of the graph ends with `~`.
"""

from __future__ import annotations

import re
from random import Random
from typing import NamedTuple

from tests.unit.folding.batches import Query, named, random_batch
from tests.unit.folding.domains import Domain, either, integer, mapping, one_of, several

KEYS = one_of([1, 1, 1, 2, 2, 3])
NUMBERS = one_of([1, 1.0, 2, 2.0, 3, 3.0])
VALUES = integer(0, 3)
DOMAINS: dict[str, Domain] = {
    "key": KEYS,
    "next": integer(2, 4),
    "link": one_of([1, 1, 1, 1, 1, 1, 5]),
    "made": one_of([5, 7, 8, 9]),
    "value": VALUES,
    "fresh": integer(0, 999),
    "number": NUMBERS,
    "map": mapping({"v~": VALUES}, {"k~": KEYS, "u~": either(KEYS, one_of([None]))}),
    "rest": mapping({"v~": VALUES}, {"w~": either(VALUES, one_of([None]))}),
    "event": mapping({"k": KEYS, "v": VALUES}),
    "links": mapping({"from": one_of([1, 1, 1, 1, 1, 5]), "to": one_of([5, 7, 8, 9])}),
    "items": several(mapping({"k": KEYS, "v": VALUES}), most=2),
    "numbers": several(mapping({"k": NUMBERS}), most=2),
    "keys": several(KEYS, most=2),
}

_PARAMETER = re.compile(r"\$(([a-z]+)\d*)")
"A parameter has the name of its domain, and maybe a number."

_VERTEX = "CREATE (:A~ {k~: $key})"
_BOTH = "CREATE (:A~:B~ {k~: $key})"
_FULL = "CREATE (:A~ {k~: $key, u~: $key2, v~: $value})"
_LINK = "MATCH (a:A~ {k~: $key}), (b:A~ {k~: $key2}) CREATE (a)-[:R~ {v~: $value}]->(b)"
_COUNT = "MATCH (n:A~ {k~: $key}) SET n.n~ = coalesce(n.n~, 0) + 1"
_NOTE = "MATCH (n:A~ {k~: $key}) CREATE (:C~ {k~: $key})"
_NOTE_OF_U = "MATCH (n:A~ {u~: $key}) CREATE (:C~ {k~: $key})"
_NOTE_OF_W = "MATCH (n:A~ {k~: $key}) CREATE (:C~ {k~: $key, v~: n.w~})"
_NOTE_OF_B = "MATCH (n:B~ {k~: $key}) CREATE (:C~ {k~: $key})"
_SET = "MATCH (n:A~ {k~: $key}) SET n.w~ = $value"
_DELETE = "MATCH (n:A~ {k~: $key}) DETACH DELETE n"
_CHAIN = "MATCH (a:A~ {k~: $link}) CREATE (a)-[:R~]->(:A~ {k~: $made})"


class Case(NamedTuple):
    """What is there before a batch, and the batch."""

    setup: list[Query]
    batch: list[Query]


class Theme(NamedTuple):
    """What batches of one kind are made of."""

    before: tuple[str, ...]
    "Texts for what is there before the batch."
    texts: tuple[str, ...]
    is_series: bool = False
    "Whether a batch has one text only, many times."


THEMES = {
    "an edge is made and followed": Theme(
        (_VERTEX, _VERTEX),
        (
            _LINK,
            "MATCH (a:A~ {k~: $key})-[r:R~]->(b) SET b.n~ = coalesce(b.n~, 0) + 1",
            "MATCH (a:A~ {k~: $key})-[r:R~]->(b) DELETE r",
        ),
    ),
    "a vertex is made and found, with or without edges": Theme(
        (_VERTEX,),
        (
            _VERTEX,
            _LINK,
            "MATCH (a:A~ {k~: $key}) OPTIONAL MATCH (a)-[r:R~]->(b:A~) CREATE (:C~ {k~: $key})",
            f"{_COUNT} WITH n MATCH (n)-[r:R~]->(b:A~) SET b.w~ = $value",
        ),
    ),
    "an edge is made and looked for": Theme(
        (_VERTEX, _VERTEX),
        (
            _LINK,
            "MATCH (a:A~ {k~: $key})-[r:R~ {v~: $value}]->(b) CREATE (:C~ {k~: $key})",
            "MATCH (a:A~ {k~: $key}), (b:A~ {k~: $key2}) MERGE (a)-[r:R~]->(b) SET r.w~ = $value",
        ),
    ),
    "an edge is matched either way": Theme(
        (_VERTEX, _VERTEX),
        (_LINK, "MATCH (a:A~ {k~: $key})-[r:R~]-(b:A~ {k~: $key2}) SET r.n~ = coalesce(r.n~, 0) + 1"),
    ),
    "an edge is merged either way": Theme(
        (_VERTEX, _VERTEX),
        (
            "MATCH (a:A~ {k~: $key}), (b:A~ {k~: $key2}) MERGE (a)-[r:R~]-(b) SET r.n~ = coalesce(r.n~, 0) + 1",
            "MATCH (a:A~ {k~: $key}), (b:A~ {k~: $key2}) MERGE (a)<-[r:R~]-(b) ON CREATE SET r.w~ = $value",
        ),
    ),
    "one is looked for, and another written": Theme(
        (_VERTEX,), ("MERGE (a:A~ {k~: $key}) MERGE (b:B~ {k~: $key2}) SET b.w~ = $value",), is_series=True
    ),
    "vertices and edges": Theme((), (_VERTEX, _LINK, _NOTE)),
    "a chain": Theme(
        (_VERTEX,),
        (
            "MATCH (a:A~ {k~: $key}) CREATE (a)-[:R~]->(:A~ {k~: $next})",
            "MATCH (a:A~ {k~: $key})-[:R~]->(b) SET b.n~ = coalesce(b.n~, 0) + 1",
            "MERGE (a:A~ {k~: $key}) MERGE (b:A~ {k~: $next}) MERGE (a)-[:R~]->(b)",
        ),
    ),
    "a chain of many links": Theme((_VERTEX,), (_CHAIN,), is_series=True),
    "a chain of vertices with two labels": Theme(
        (_VERTEX,),
        ("MATCH (a:A~ {k~: $link}) CREATE (a)-[:R~]->(:B~:A~ {v~: $link, k~: $made}) // the newest\n;",),
        is_series=True,
    ),
    "a chain of events": Theme(
        (_VERTEX,), ("MATCH (a:A~ {k~: $links.from}) CREATE (a)-[:R~]->(:A~ {k~: $links.to})",), is_series=True
    ),
    "a chain in both directions": Theme(
        (_VERTEX,),
        ("match (found:A~ {k~: $link}) CREATE (found)<-[:S~]-(row:A~ {k~: $made}) CREATE (row)-[:S~]->(found)",),
        is_series=True,
    ),
    "what looks like a chain": Theme(
        (_VERTEX,),
        (
            "MATCH (:A~ {k~: $link}) CREATE (:A~ {k~: $made}), (:B~ {k~: $key})",
            "OPTIONAL MATCH (a:A~ {k~: $link}) CREATE (:A~ {k~: $made, v~: a.k~})",
            "MATCH (a:A~:B~ {k~: $link}) CREATE (a)-[:R~]->(:A~ {k~: $made}) CREATE (:B~ {k~: $made})",
            "MATCH (a:A~ {k~: $link}) CREATE (:A~ {k~: $made}), (:A~ {k~: $made})",
        ),
        is_series=True,
    ),
    "chains that begin with nothing": Theme(
        (_NOTE,),
        (
            _CHAIN,
            "MATCH (a:A~ {k~: $link}) CREATE (a)-[:R~]->(:A~ {k~: $fresh})",
        ),
        is_series=True,
    ),
    "chains and others": Theme(
        (_VERTEX,),
        (_CHAIN, _NOTE, "CREATE (:A~ {k~: $made})", _SET),
    ),
    "a label is set": Theme((_VERTEX, _BOTH), ("MATCH (n:A~ {k~: $key}) SET n:B~", _NOTE_OF_B)),
    "a label goes": Theme((_BOTH, _BOTH), ("MATCH (n:B~ {k~: $key}) REMOVE n:B~", _NOTE_OF_B)),
    "a label is asked for": Theme(
        (_VERTEX,),
        (
            "MATCH (n:A~ {k~: $key}) SET n:B~",
            "MATCH (n:A~ {k~: $key}) WHERE n:B~ SET n.n~ = coalesce(n.n~, 0) + 1",
            "MATCH (n:B~ {k~: $key}) REMOVE n:B~",
        ),
    ),
    "several labels": Theme(
        (), (_BOTH, "MATCH (n:B~ {k~: $key}) SET n.n~ = coalesce(n.n~, 0) + 1", "MERGE (:B~ {k~: $key})")
    ),
    "a key changes": Theme(
        (_VERTEX,),
        (
            "MATCH (n:A~ {k~: $key}) SET n.k~ = $key2",
            "MATCH (n:A~ {k~: $key}) SET n.k~ = $key2 SET n.w~ = $value",
            _COUNT,
            _NOTE,
        ),
    ),
    "a key goes": Theme((_VERTEX, _VERTEX), ("MATCH (n:A~ {k~: $key}) REMOVE n.k~", _NOTE)),
    "a map has a key": Theme((_FULL,), ("MERGE (n:A~ {k~: $key}) SET n += $map", _NOTE)),
    "maps": Theme(
        (_FULL,),
        (
            "MATCH (n:A~ {k~: $key}) SET n = $map",
            "MATCH (n:A~ {k~: $key}) SET n += $map",
            "CREATE (:A~ $map)",
            _NOTE,
            _NOTE_OF_U,
        ),
    ),
    "a map replaces all": Theme((_FULL, _FULL), ("MATCH (n:A~ {k~: $key}) SET n = {k~: $key, w~: $value}", _NOTE_OF_U)),
    "a map replaces all of an edge": Theme(
        (_VERTEX, _VERTEX, _LINK, _LINK),
        (
            "MATCH (a:A~ {k~: $key})-[r:R~]->(b) SET r = $rest",
            "MATCH (a:A~ {k~: $key})-[r:R~ {v~: $value}]->(b) CREATE (:C~ {k~: $key})",
            "MATCH (a:A~ {k~: $key})-[r:R~]->(b) WHERE r.w~ IS NULL SET b.n~ = coalesce(b.n~, 0) + 1",
        ),
    ),
    "the dead are looked for": Theme((_VERTEX, _VERTEX), (_DELETE, _NOTE)),
    "the dead are made anew": Theme(
        (_VERTEX, _LINK),
        (
            _DELETE,
            "MERGE (n:A~ {k~: $key}) ON CREATE SET n.v~ = $value",
            "MATCH (n:A~ {k~: $key})-[r:R~]->() DELETE r CREATE (n)-[:R~]->(:B~ {v~: $value})",
        ),
    ),
    "values": Theme((_VERTEX, _VERTEX), (_SET, "MATCH (n:A~ {k~: $key}) SET n.w~ = coalesce(n.w~, 0) + 1", _NOTE_OF_W)),
    "values in maps": Theme(
        (_VERTEX, _VERTEX),
        (
            "MATCH (n:A~ {k~: $key}) SET n += {w~: $value}",
            "MATCH (n:A~ {k~: $key}) SET n += $rest",
            "MERGE (n:A~ {k~: $key}) SET n.w~ = $value",
            "MATCH (n:A~ {k~: $key}) REMOVE n.w~",
            _NOTE_OF_W,
        ),
    ),
    "equal numbers": Theme(
        (),
        (
            "CREATE (:A~ {k~: $number})",
            "MATCH (n:A~ {k~: $number}) SET n.n~ = coalesce(n.n~, 0) + 1",
            "MATCH (n:A~ {k~: $number}) CREATE (:C~ {v~: 1})",
        ),
    ),
    "equal numbers are merged": Theme(
        (),
        (
            "MERGE (n:A~ {k~: $number})",
            "MERGE (n:A~ {k~: $number}) SET n.w~ = $value",
            "UNWIND $numbers AS x MERGE (n:A~ {k~: x.k})",
        ),
    ),
    "merges of several forms": Theme(
        (),
        (
            "MERGE (n:A~ {k~: $key}) ON CREATE SET n.v~ = $value",
            "MERGE (n:A~ {k~: $key}) ON CREATE SET n.w~ = $value",
            "MERGE (n:A~:B~ {k~: $key})",
        ),
    ),
    "merges that find": Theme(
        (), ("MERGE (n:A~ {k~: $key})", "MERGE (n:A~ {k~: $key}) ON MATCH SET n.n~ = coalesce(n.n~, 0) + 1", _NOTE)
    ),
    "two are joined": Theme(
        (_VERTEX, _VERTEX, _VERTEX),
        (
            "MATCH (a:A~ {k~: $key}), (b:A~ {k~: $key2}) SET a.w~ = $fresh",
            "MATCH (a:A~ {k~: $key}) MATCH (b:A~ {k~: $key2}) MERGE (c:C~ {k~: 1}) SET c.w~ = $fresh",
        ),
    ),
    "items are joined": Theme(
        (_VERTEX, _VERTEX),
        ("UNWIND $items AS x MATCH (a:A~ {k~: x.k}), (b:A~ {k~: $key}) SET b.w~ = x.v", _SET, _NOTE_OF_W),
    ),
    "a value is compared": Theme(
        (_FULL,),
        (
            "MATCH (n:A~ {k~: $key}) SET n.v~ = $value",
            "MATCH (n:A~) WHERE n.v~ < $value CREATE (:C~ {k~: $key})",
            "MATCH (n:A~ {k~: $key}) WHERE n.v~ IS NULL OR n.v~ <> $value SET n.n~ = coalesce(n.n~, 0) + 1",
        ),
    ),
    "series": Theme(
        (_FULL, _FULL),
        (
            "MATCH (n:A~ {k~: $key}) WHERE n.v~ < $value SET n.v~ = $value, n.n~ = coalesce(n.n~, 0) + 1;",
            "MATCH (n:A~ {k~: $key}) WHERE n.v~ < $value SET n.v~ = $value // the newest\n; // is what counts",
            "MATCH (n:A~ {k~: $key}) DETACH DELETE n CREATE (:A~ {k~: $key2})",
            "MATCH (n:A~ {k~: $key}) MERGE (m:A~ {k~: $next}) ON MATCH SET m.n~ = coalesce(m.n~, 0) + 1",
            "MATCH (n:A~ {k~: $key}) SET n.k~ = $next WITH n WHERE n.k~ < 4 SET n:B~ RETURN n.k~",
            "MATCH (n:A~ {k~: $key}) SET n.k~ = $next WITH * MERGE (m:B~ {k~: n.k~}) RETURN count(*) AS done",
            "MATCH (`done`:A~ {k~: $key}) /* `done` */ SET `done`.k~ = $next RETURN `done`",
            "WITH $event AS done MATCH (n:A~ {k~: done.k}) SET n.k~ = done.v CREATE (:C~ {v~: done.v})",
            "MATCH (n:A~ {k~: $event.k}) SET n.k~ = $event.v, n.w~ = $event.k CREATE (:C~ {v~: $event.v})",
            "MATCH (n:A~ {k~: $key}) WHERE n.v~ IN $keys SET n.v~ = $value",
            "MATCH (n:A~ {k~: $key}) WHERE n.v~ IN [1, 2] SET n.v~ = $value, n.w~ = $value",
            "MATCH (n:A~ {k~: $key}) WHERE n.v~ = 1 SET n = $map",
            "MATCH (n:A~ {k~: $key}) REMOVE n.k~ CREATE (m:A~ $map)",
            "MATCH (n:A~ {k~: $key}) FOREACH (x IN $keys | SET n.k~ = x)",
            "MATCH (n:A~ {k~: $key}) FOREACH (x IN $keys | MERGE (m:A~ {k~: x}) SET m.n~ = coalesce(m.n~, 0) + 1)",
            "MATCH (n:A~) WHERE n.v~ < $value DETACH DELETE n",
            "MATCH (n:A~:B~ {k~: $key}) REMOVE n:B~ CREATE (:A~ {k~: $next})",
            "MERGE (n:A~ {k~: $key}) ON CREATE SET n.v~ = $value ON MATCH SET n.k~ = $next",
            "MERGE (n:A~ {k~: $key}) WITH n MERGE (m:B~ {k~: $next}) SET n.k~ = $next, m.w~ = $value RETURN n, m",
            "CREATE (n:A~ {k~: $key}) WITH n MATCH (m:A~ {k~: $next}) SET m.n~ = coalesce(m.n~, 0) + 1",
            "UNWIND $keys AS x MERGE (n:A~ {k~: x}) WITH n, x WHERE n.v~ IS NULL SET n.v~ = x, n.k~ = $key",
            "UNWIND $items AS x MATCH (n:A~ {k~: x.k}) SET n.k~ = x.v",
            "UNWIND $items AS x OPTIONAL MATCH (n:A~ {k~: x.k}) SET n.k~ = x.v CREATE (:C~ {v~: x.v})",
            "OPTIONAL MATCH (n:A~ {k~: $key}) SET n.k~ = $next CREATE (:C~ {v~: n.v~})",
            "MATCH (n:A~ {k~: $key}) SET n.k~ = $next FOREACH (x IN $items | MERGE (m:A~ {k~: x.k}) SET m.w~ = x.v)",
            "MATCH (n:A~ {k~: $key}) FOREACH (x IN $items | CREATE (n)-[:R~]->(:B~ {v~: x.v})) SET n.k~ = $next",
            "MATCH (n:A~ {k~: $key}) WHERE n.v~ < 3 SET n.v~ = n.v~ + 1 CREATE (n)-[:R~]->(:A~ {k~: $next, v~: 3})",
        ),
        is_series=True,
    ),
}


def query(random: Random, text: str) -> Query:
    """The text, with parameters drawn from the domains that their names tell."""
    return text, {name: DOMAINS[domain](random) for name, domain in _PARAMETER.findall(text)}


def case(random: Random, ending: str = "") -> Case:
    """A set-up and a batch: of one theme, or anything."""
    if random.random() < 0.2:
        return Case(*named((random_batch(random, most_queries=4), random_batch(random)), ending))
    theme = random.choice(list(THEMES.values()))
    setup = [query(random, text) for text in theme.before for _ in range(random.randint(1, 3))]
    chosen = random.sample(theme.texts, 1 if theme.is_series else random.randint(2, min(3, len(theme.texts))))
    size = random.randint(8, 14) if theme.is_series else random.randint(6, 14)
    return Case(*named((setup, [query(random, random.choice(chosen)) for _ in range(size)]), ending))
