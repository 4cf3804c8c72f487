"""What the conformance test says to a server, straight and through the shim. Nothing in here is a clause of ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sluice.bolt import messages
from sluice.bolt.messages import Message, Tag, Version


class Query(NamedTuple):
    """A query and its parameters."""

    text: str
    parameters: Mapping[str, Any] = {}


EXPRESSIONS = """
1 ¦ -1 ¦ 127 ¦ 128 ¦ -129 ¦ 32768 ¦ 2147483648 ¦ 9223372036854775807 ¦ 1.5 ¦ 1e300 ¦ true ¦ false ¦ null ¦ '' ¦ 'a'
'é' ¦ '😀' ¦ "double" ¦ '\\'quoted\\'' ¦ '\\n' ¦ [] ¦ [1, [2, [3]]] ¦ {} ¦ {a: 1, b: {c: [null]}} ¦ 1 + 2 ¦ 7 / 2
7.0 / 2 ¦ 7 % 3 ¦ 2 ^ 10 ¦ 'a' + 'b' ¦ [1] + [2] ¦ 1 = 1 ¦ 1 <> 2 ¦ 1 < 2 AND 2 < 3 ¦ NOT true ¦ true XOR true
null IS NULL ¦ 'abc' STARTS WITH 'a' ¦ 'abc' ENDS WITH 'c' ¦ 'abc' CONTAINS 'b' ¦ 3 IN [1, 2, 3] ¦ size([1, 2])
size('abc') ¦ abs(-3) ¦ ceil(1.2) ¦ floor(1.8) ¦ round(1.5) ¦ sqrt(16) ¦ sign(-2) ¦ toInteger('12')
toFloat('1.5') ¦ toString(12) ¦ toUpper('a') ¦ toLower('A') ¦ trim(' a ')
left('abc', 2) ¦ right('abc', 2) ¦ substring('abcdef', 1, 3)
replace('aba', 'a', 'c') ¦ split('a,b', ',') ¦ reverse('abc') ¦ head([1, 2]) ¦ last([1, 2]) ¦ tail([1, 2, 3])
range(1, 5) ¦ coalesce(null, 1) ¦ CASE 1 WHEN 1 THEN 'one' ELSE 'other' END ¦ CASE WHEN 1 > 2 THEN 1 END
[x IN [1, 2, 3] WHERE x > 1] ¦ [x IN [1, 2] | x * 2]
all(x IN [1] WHERE x = 1) ¦ any(x IN [1] WHERE x = 2) ¦ reduce(a = 0, x IN [1, 2] | a + x)
""".replace("\n", " ¦ ").split(" ¦ ")

PARAMETERS: list[Any] = [
    None, True, 0, -17, 300, 70_000, 2**40, -(2**63), 0.1, float("inf"), "", "text", "SHOW STREAMS", "ü" * 40,
    "x" * 300, "x" * 70_000, "x" * 1_000_000, [], [1, "a", None], [[]] * 20, list(range(300)), list(range(70_000)), {},
    {"a": 1}, {"a": {"b": {"c": [1, {"d": None}]}}}, {f"k{i}": i for i in range(300)},
    [{"id": i, "t": "y" * 50} for i in range(3000)],
]  # fmt: skip

WRITES = [
    Query("CREATE (n:A {id: 1}) RETURN n"),
    Query("CREATE (n:A {id: 2, text: 'START STREAM s'}) RETURN n"),
    Query("CREATE (:A {id: $id})", {"id": 3}),
    Query("create (:A {id: 4})"),
    Query("CREATE (a:B {id: 1})-[r:R {since: 2000}]->(b:B {id: 2}) RETURN a, r, b"),
    Query("CREATE stream = (:B {id: 3})-[:R]->(:B {id: 4}) RETURN stream"),
    Query("CREATE STREAM = (:B {id: 5})-[:R]->(:B {id: 6}) RETURN STREAM"),
    Query("MATCH (n:A) RETURN n ORDER BY n.id"),
    Query("MATCH (n:A) RETURN count(n) AS count"),
    Query("MATCH (n:A {id: 1}) SET n.x = 1 RETURN n"),
    Query("MATCH (n:A {id: 1}) SET n += {y: [1, 2]} RETURN n"),
    Query("MATCH (n:A {id: 1}) REMOVE n.x RETURN n"),
    Query("MATCH (n:A {id: 2}) SET n:C RETURN labels(n)"),
    Query("MERGE (n:A {id: 1}) RETURN n"),
    Query("MERGE (n:A {id: 5}) ON CREATE SET n.new = true RETURN n"),
    Query("MATCH p = (:B)-[:R]->(:B) RETURN p ORDER BY id(nodes(p)[0])"),
    Query("MATCH (a:A {id: 1}), (b:B {id: 1}) CREATE (a)-[:S]->(b)"),
    Query("MATCH (a:A)-[r]->(b) RETURN type(r), a.id, b.id"),
    Query("UNWIND $rows AS row CREATE (:D {id: row.id})", {"rows": [{"id": i} for i in range(500)]}),
    Query("MATCH (n:D) RETURN n.id AS id ORDER BY id"),
    Query("MATCH (n:D) WHERE n.id > 490 RETURN n ORDER BY n.id"),
    Query("MATCH (n:D) WHERE n.id < 10 DETACH DELETE n"),
    Query("MATCH (n:D) RETURN count(*) AS n"),
    Query("MATCH (n:D) RETURN n.id ORDER BY n.id SKIP 5 LIMIT 5"),
    Query("MATCH (n) RETURN DISTINCT labels(n) AS l ORDER BY l[0]"),
    Query("OPTIONAL MATCH (n:Nothing) RETURN n"),
    Query("MATCH (n:A) WITH n.id AS id ORDER BY id DESC RETURN collect(id)"),
    Query("MATCH (n:Nothing) RETURN n"),
    Query("UNWIND [] AS x RETURN x"),
    Query("FOREACH (i IN range(1, 3) | CREATE (:E {i: i}))"),
    Query("CALL { MATCH (n:E) RETURN n.i AS i } RETURN i ORDER BY i"),
    Query("UNWIND range(1, 3000) AS i RETURN i, 'some text ' + toString(i) AS text"),
    Query("UNWIND range(1, 10) AS i RETURN $x AS x", {"x": "z" * 100_000}),
    Query("MATCH (n:E) DELETE n"),
    Query("RETURN 1 AS a UNION RETURN 2 AS a"),
]

REFUSED = [
    Query("RETRUN 1"),
    Query("RETURN"),
    Query(""),
    Query(";"),
    Query(" "),
    Query("("),
    Query("RETURN 'open"),
    Query("RETURN x"),
    Query("MATCH (n) RETURN m"),
    Query("RETURN 1 / 0"),
    Query("RETURN toInteger({})"),
    Query("RETURN nosuchfunction(1)"),
    Query("CALL no.such.procedure() YIELD *"),
    Query("CALL streams.no_such_procedure()"),
    Query("RETURN $missing"),
    Query("CREATE (n:A {id: $missing})"),
    Query("UNWIND [1, 2, 0] AS x RETURN 1 / x"),
    Query("UNWIND 1 AS x RETURN x"),
    Query("RETURN 'a' + {}"),
    Query("RETURN -'a'"),
    Query("RETURN 'a' < []"),
    Query("MATCH (n:A {id: 1}) DELETE n"),
    Query("RETURN head(1)"),
    Query("RETURN [1][{}]"),
    Query("BEGIN"),
    Query("COMMIT"),
    Query("ROLLBACK"),
    Query("DROP USER nobody"),
    Query("RETURN 1; RETURN 2"),
]

LOOKALIKES = [
    Query("RETURN 'SHOW STREAMS' AS text"),
    Query("// SHOW STREAMS\nRETURN 1 AS one"),
    Query("/* START STREAM s; */ RETURN 1 AS one"),
    Query("/* unfinished"),
    Query("RETURN 1 AS one // STOP ALL STREAMS"),
    Query("  RETURN 1 AS one"),
    Query("\n\t RETURN 1 AS one ;"),
    Query("RETURN 1 AS STREAM"),
    Query("MATCH (STREAM:STREAMS) RETURN STREAM"),
    Query("CREATE (:STREAM {name: 'START STREAM'}) RETURN 1 AS one"),
    Query("CREATE KAFKA STREAM s TOPICS t TRANSFORM nowhere.nothing"),
    Query("CREATE KAFKA STREAMS"),
    Query("CREATE PULSAR"),
    Query("CREATE STREAMS s"),
    Query("CREATE"),
    Query("DROP"),
    Query("DROP STREAMS"),
    Query("SHOW"),
    Query("SHOW STREAM"),
    Query("START"),
    Query("STOP"),
    Query("TEST"),
    Query("CHECK STREAM s"),
    Query("STREAM"),
    Query("EXPLAIN RETURN 1"),
    Query("EXPLAIN SHOW STREAM"),
    Query("\u0455HOW STREAMS"),
    Query("START \u017fTREAM s"),
    Query("\ufeffRETURN 1"),
    Query("SHOW INDEX INFO"),
    Query("SHOW CONSTRAINT INFO"),
]

QUERIES = [
    *(Query(f"RETURN {expression.strip()} AS x") for expression in EXPRESSIONS if expression.strip()),
    *(Query("RETURN $x AS x", {"x": value}) for value in PARAMETERS),
    *WRITES,
    *REFUSED,
    *LOOKALIKES,
]
"In this order on an empty graph: later ones see what earlier ones wrote."

Step = list[bytes]
"Messages that go out in one write; the answers to all of them are read before the next step."

BEGIN, COMMIT, ROLLBACK, RESET = messages.begin(), messages.commit(), messages.rollback(), messages.reset()
PULL, DISCARD = messages.pull(), messages.discard()
GOOD, BAD, LATE = (
    messages.run("UNWIND range(1, 5) AS x RETURN x"),
    messages.run("RETRUN 1"),
    messages.run("UNWIND [1, 2, 0] AS x RETURN 1 / x"),
)
COUNT = messages.run("MATCH (n:Gone) RETURN count(n)")

SEQUENCES: Mapping[str, list[Step]] = {
    "one by one": [[GOOD], [PULL], [GOOD], [PULL]],
    "a pipeline of queries": [[GOOD, PULL] * 20],
    "pulled in pieces": [[GOOD], [messages.pull(2)], [messages.pull(2)], [messages.pull(2)]],
    "pulled in pieces, pipelined": [[GOOD, messages.pull(2), messages.pull(2), PULL]],
    "discarded": [[GOOD, DISCARD], [GOOD, messages.pull(1), DISCARD]],
    "a transaction": [[BEGIN], [GOOD], [PULL], [COMMIT]],
    "a transaction in one write": [[BEGIN, GOOD, PULL, GOOD, PULL, COMMIT]],
    "rolled back": [[BEGIN, messages.run("CREATE (:Gone)"), PULL, ROLLBACK], [COUNT, PULL]],
    "two transactions in one write": [[BEGIN, GOOD, PULL, COMMIT, BEGIN, GOOD, DISCARD, ROLLBACK]],
    "refused, then ignored, then reset": [[BAD, PULL], [GOOD, PULL], [RESET], [GOOD, PULL]],
    "refused in a pipeline with its reset": [[BAD, PULL, GOOD, PULL, RESET, GOOD, PULL]],
    "refused late": [[LATE], [PULL], [GOOD], [RESET], [GOOD, PULL]],
    "refused late in a transaction": [[BEGIN, LATE, PULL, GOOD, PULL, COMMIT], [COMMIT], [ROLLBACK], [RESET], [COUNT]],
    "refused in a transaction": [[BEGIN], [GOOD, PULL], [BAD], [PULL], [ROLLBACK], [RESET], [BEGIN, GOOD, PULL]],
    "reset when nothing is wrong": [[RESET], [RESET, RESET], [GOOD, PULL]],
    "reset in a transaction": [[BEGIN, GOOD, PULL], [RESET], [GOOD, PULL]],
    "reset with an open result": [[GOOD, messages.pull(1)], [RESET], [GOOD, PULL]],
    "reset in one write with what it cuts": [[BEGIN, GOOD, PULL, RESET, GOOD, PULL]],
    "commit of nothing": [[COMMIT]],
    "rollback of nothing": [[ROLLBACK]],
    "pull of nothing": [[PULL]],
    "begin twice": [[BEGIN], [BEGIN]],
    "run with an open result": [[GOOD], [GOOD]],
    "results side by side": [[BEGIN, GOOD], [GOOD], [messages.pull(2, 0)], [messages.pull(3, 1)], [COMMIT]],
    "results side by side, to their ends": [[BEGIN, GOOD], [GOOD], [messages.pull(-1, 1)], [messages.pull(-1, 0)]],
    "goodbye in a transaction": [[BEGIN, messages.run("CREATE (:Gone)"), PULL], [messages.goodbye()]],
    "goodbye after a query": [[GOOD, PULL, messages.goodbye()]],
    "route": [[messages.pack_message(Message(Tag.ROUTE, [{}, [], {}]))]],
    "hello again": [[messages.hello({"user_agent": "again", "scheme": "none"})]],
    "an unknown message": [[b"\xb1\x55\xa0"], [GOOD]],
    "a message that is none": [[b"\x01"], [GOOD]],
    "a big pipeline": [[messages.run("RETURN $x AS x", {"x": "y" * 5000}), PULL] * 200],
    "a huge message": [[messages.run("RETURN size($x) AS x", {"x": "y" * 20_000_000}), PULL]],
    "a NOOP": [[GOOD, PULL], [b""], [GOOD, PULL]],
    "log off and on": [[messages.pack_message(Message(Tag.LOGOFF, []))], [messages.logon({"scheme": "none"})],
                       [GOOD, PULL]],
    "telemetry": [[messages.pack_message(Message(Tag.TELEMETRY, [1]))], [GOOD, PULL]],
    "the settings of a query": [
        step
        for extra in (
            {"db": "memgraph"}, {"db": "none"}, {"mode": "r"}, {"tx_timeout": 60_000}, {"tx_metadata": {"x": 1}},
            {"bookmarks": ["b"]}, {"imp_user": "x"}, {"notifications_minimum_severity": "OFF"},
        )
        for step in ([messages.run("RETURN 1", {}, extra), PULL], [RESET], [messages.begin(extra), GOOD, PULL, COMMIT],
                     [RESET])
    ],
}  # fmt: skip

VERSIONS = (Version(5, 2), Version(4, 3), Version(4, 1), Version(4, 0))
BOLT_1 = Version(1, 0)


def conversations(versions: Sequence[Version]) -> Iterator[tuple[str, Version, list[Step]]]:
    """A name, the version of Bolt, and the steps after the login."""
    for number, query in enumerate(QUERIES):
        # All versions get their turn; saying everything to each would say little more.
        version = versions[number % len(versions)]
        run = messages.run(query.text, query.parameters)
        yield f"{query.text!r:.60}", version, [[run, PULL], [RESET], [GOOD, PULL]]
    for name, version, steps in sequences(versions):
        yield f"{name}, {version.major}.{version.minor}", version, steps


def sequences(versions: Iterable[Version]) -> Iterator[tuple[str, Version, list[Step]]]:
    """Each of SEQUENCES in each version."""
    for name, steps in SEQUENCES.items():
        for version in versions:
            # Bolt 1 has no GOODBYE. Memgraph then closes so that its answers get lost, or not, as it happens.
            if version > BOLT_1 or messages.goodbye() not in (message for step in steps for message in step):
                yield name, version, steps


def as_clauses(steps: list[Step], words: Mapping[bytes, bytes]) -> list[Step]:
    """The same with other queries."""
    return [[words.get(message, message) for message in step] for step in steps]


def in_bolt_1(message: bytes) -> bytes:
    """A request of Bolt 4 as Bolt 1 has it: without the settings of RUN and PULL, and with credentials in HELLO."""
    if message[:1] < b"\xb0":
        return message  # none at all
    tag, fields = messages.parse(message)
    if tag == Tag.HELLO:
        fields = [fields[0]["user_agent"], {"scheme": "none", "principal": "", "credentials": ""}]
    elif tag == Tag.RUN:
        fields = fields[:2]
    elif tag in {Tag.PULL, Tag.DISCARD}:
        fields = []
    return messages.pack_message(Message(tag, fields))
