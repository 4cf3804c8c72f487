"""
Random batches of queries, over a grammar of what transforms write.

Few labels, properties and values, and few texts in a batch, so that queries get into each other's way. Every name of
the graph ends with `~`, for which the tests on a shared host put something that is theirs alone.
"""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

from tests.unit.folding.domains import Domain, either, integer, mapping, one_of, several

Query = tuple[str, dict[str, Any]]

KEYS = one_of([1, 2, 3, 1, 2, 3, 1.0, "1", None, True, [1]])
VALUES = integer(0, 3)
NAMES = one_of(["k~", "k~", "u~", "v~", "w~"])
ENTRIES = either(VALUES, one_of([None]))
MAPS = mapping({}, {"k~": ENTRIES, "u~": ENTRIES, "v~": ENTRIES, "w~": ENTRIES})
ITEMS = several(mapping({"k": integer(1, 3), "v": VALUES}), most=2)
DOMAINS = {"key": KEYS, "solid": one_of([1, 2, 3, 1.0, "1"]), "value": VALUES, "map": MAPS, "items": ITEMS}

LABELS = one_of(["A~", "A~", "B~"])
TYPES = one_of(["R~", "R~", "S~"])


class Text(NamedTuple):
    """A query's text, and which of `DOMAINS` each of its parameters is from."""

    text: str
    parameters: dict[str, str]


class _Writer:
    """Writes one text."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.parameters: dict[str, str] = {}
        self.vertices: list[str] = []
        self.found: list[str] = []
        self.edges: list[str] = []
        self.items = False
        self.merges = False
        self.loops = 0
        self.names = 0

    def chance(self, percent: int) -> bool:
        return self.random.random() * 100 < percent

    def draw(self, domain: Domain) -> Any:
        return domain(self.random)

    def one_of(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def parameter(self, domain: str) -> str:
        name = f"p{len(self.parameters)}"
        self.parameters[name] = domain
        return f"${name}"

    def key(self) -> str:
        if self.items and self.chance(60):
            return "item.k"
        # Two MERGEs, of which the second always makes what the first finds, would never end.
        return str(self.one_of(1, 2)) if self.chance(12) else self.parameter("solid" if self.merges else "key")

    def value(self) -> str:
        if self.items and self.chance(60):
            return "item.v"
        return str(self.one_of(1, 2)) if self.chance(15) else self.parameter("value")

    def filled(self, name: str, *templates: str) -> str:
        """One of the templates, with the variable in the place of `{0}`."""
        template = self.one_of(*templates)
        chosen = {}
        for field, make in (("key", self.key), ("value", self.value), ("map", lambda: self.parameter("map"))):
            if f"{{{field}}}" in template:
                chosen[field] = make()
        return template.format(name, **chosen)  # type: ignore[no-any-return]

    def new(self) -> str:
        self.names += 1
        name = f"x{self.names}"
        self.vertices.append(name)
        return name

    def node(self, percent_of_labels: int = 85, label: str = "") -> str:
        """What stands in the brackets after a vertex's name."""
        label = label or "".join(f":{self.draw(LABELS)}" for _ in range(2) if self.chance(percent_of_labels // 2 + 10))
        label = label if label or percent_of_labels < 100 else ":A~"
        names = ["k~"] if self.chance(75) or not label else ["u~"] if self.chance(50) else []
        if self.chance(15):
            names.append("v~")
        inside = ", ".join(f"{name}: {self.key() if name != 'v~' else self.value()}" for name in names)
        return f"{label} {{{inside}}}" if names else label

    def edge(self, *, new: bool, kind: str = "") -> str:
        self.names += 1
        name = f"r{self.names}"
        kind = kind or (f":{self.draw(TYPES)}" if new or self.chance(80) else "")
        inside = f" {{v~: {self.value()}}}" if self.chance(15) else ""
        self.edges.append(name)
        return f"[{name}{kind}{inside}]"

    def arrow(self, *, new: bool, both: bool = False, kind: str = "") -> str:
        left, right = self.one_of(("-", "->"), ("-", "->"), ("<-", "-"), ("-", "-") if both else ("-", "->"))
        return f"{left}{self.edge(new=new, kind=kind)}{right}"

    def match(self) -> str:
        parts = []
        for _ in range(self.one_of(1, 1, 1, 2, 2)):
            part = f"({self.new()}{self.node()})"
            if self.chance(25):
                other = self.chance(30)
                kind = f":{self.draw(TYPES)}" if other else ""
                part += self.arrow(new=False, both=True, kind=kind) + f"({self.new()}{'' if other else self.node(40)})"
            parts.append(part)
        self.found += self.vertices
        where = ""
        if self.chance(30):
            name = self.one_of(*self.vertices)
            where = " WHERE " + self.filled(
                name,
                "{0}.k~ = {key}",
                "{0}.v~ < {value}",
                "{0}:B~",
                "{0}.k~ = {key} AND {0}.v~ <> {value}",
                "{0}.v~ IS NULL",
                "{0}.u~ = {key} OR {0}.k~ = 1",
                "{0}.k~ IN [1, 2]",
            )
        return "MATCH " + str(self.one_of(", ", " MATCH ")).join(parts) + where

    def optional(self) -> str:
        """OPTIONAL MATCH, from what is there or by itself."""
        start = f"({self.one_of(*self.found)})" if self.found and self.chance(70) else f"({self.new()}{self.node()})"
        if self.chance(70):
            start += self.arrow(new=False) + f"({self.new()}{self.node(40)})"
        return f"OPTIONAL MATCH {start}" + (f" WHERE {self.vertices[-1]}.v~ IS NULL" if self.chance(15) else "")

    def loop(self) -> str:
        """FOREACH, over a parameter, or as the way to write a condition."""
        condition = f"CASE WHEN {self.value()} < 2 THEN [{{k: 1, v: 2}}] END"
        elements = self.parameter("items") if self.chance(70) else condition
        found, vertices, edges = list(self.found), list(self.vertices), list(self.edges)
        items, self.items = self.items, True
        self.loops += 1
        kinds = [self.create, *([self.merge] if not self.merges else []), *([self.set] if self.vertices else [])]
        inside = self.one_of(*kinds)().replace("item.", f"each{self.loops}.")
        self.items, self.found, self.vertices, self.edges = items, found, vertices, edges
        return f"FOREACH (each{self.loops} IN {elements} | {inside})"

    def then(self) -> str:
        """WITH all that is there, and what comes after it: rows are gathered there if anything was written."""
        names = sorted({*self.found, *self.vertices, *self.edges})
        kept = "*" if self.chance(20) else ", ".join([*names, *(["item"] if self.items else [])])
        self.merges = False
        text = f"WITH {kept}"
        if self.vertices and self.chance(20):
            text += self.filled(self.one_of(*self.vertices), " WHERE {0}.v~ < {value}", " WHERE {0} IS NULL")
        if self.chance(40):
            text += " " + self.match()
        return text

    def create(self) -> str:
        # What a MERGE before it could find has labels of its own: the order of the two is not for this test.
        label, kind = (":C~", ":T~") if self.merges else ("", "")
        if self.found and self.chance(70):
            ends = [f"({self.one_of(*self.found)})", f"({self.one_of(*self.found)})"]
            if self.chance(40):
                ends[1] = f"({self.new()}{self.node(100, label)})"
            return f"CREATE {ends[0]}{self.arrow(new=True, kind=kind)}{ends[1]}"
        if self.chance(15):
            return f"CREATE ({label or ':' + self.draw(LABELS)} {self.parameter('map')})"
        if self.chance(20) and self.found:
            return f"CREATE ({label or ':A~'} {{k~: {self.one_of(*self.found)}.v~}})"
        return f"CREATE ({self.new()}{self.node(100, label)})"

    def merge(self) -> str:
        again = self.merges
        label = ":C~" if again else ""
        self.merges = True
        ends = [f"({name})" for name in self.found]
        if ends and self.chance(60):
            other = f"({self.new()}{self.node(100, label)})" if self.chance(30) else self.one_of(*ends)
            text = f"MERGE {self.one_of(*ends)}{self.arrow(new=True, both=True)}{other}"
            target = self.edges[-1]
        elif self.chance(15):
            start, arrow = f"({self.new()}{self.node(100, label)})", self.arrow(new=True)
            text = f"MERGE {start}{arrow}({self.new()}{self.node(100, label)})"
            target = self.vertices[-1]
        else:
            target = self.new()
            text = f"MERGE ({target}{self.node(100)})" if not again else f"MERGE ({target}:A~ {{k~: {self.key()}}})"
            self.found.append(target)
        if self.chance(25):
            text += f" ON CREATE SET {self.item(target, careful=again)}"
        if self.chance(25):
            text += f" ON MATCH SET {self.item(target, careful=again)}"
        return text

    def item(self, target: str, *, careful: bool = False) -> str:
        """
        What SET does to a variable.

        Args:
            careful: nothing that could hide what was merged from the next MERGE, which would never end.
        """
        name = self.draw(NAMES) if self.chance(30) and not careful else "w~"
        choices = [
            f"{{0}}.{name} = {{value}}",
            f"{{0}}.{name} = {{value}}",
            "{0}.n~ = coalesce({0}.n~, 0) + 1",
            "{0}.w~ = CASE WHEN {0}.w~ < {value} THEN 7 ELSE {0}.w~ END",
        ]
        if target in self.vertices and not careful:
            choices += ["{0} += {map}", f"{{0}}:{self.draw(LABELS)}", "{0} = {map}", "{0} += {{v~: {value}}}"]
        return self.filled(target, *choices)

    def set(self) -> str:
        targets = self.found + self.edges + self.vertices
        if self.chance(15):
            target = self.one_of(*targets)
            label = f"{target}:{self.draw(LABELS)}" if target in self.found else f"{target}.w~"
            return f"REMOVE {self.one_of(f'{target}.{self.draw(NAMES)}', label)}"
        return "SET " + ", ".join(self.item(self.one_of(*targets)) for _ in range(self.one_of(1, 1, 2)))

    def delete(self) -> str:
        if self.edges and self.chance(60):
            return f"DELETE {self.one_of(*self.edges)}"
        return f"DETACH DELETE {self.one_of(*self.found)}"


def random_text(random: Random) -> Text:
    """A text, and the domains of its parameters."""
    writer = _Writer(random)
    clauses = []
    if writer.chance(10):
        clauses.append(f"UNWIND {writer.parameter('items')} AS item")
        writer.items = True
    if writer.chance(65):
        clauses.append(writer.match())
    if writer.chance(12):
        clauses.append(writer.optional())
    if writer.found and writer.chance(15):
        clauses.append(writer.delete())
        if writer.chance(30):
            clauses.append(writer.create())
    else:
        for _ in range(writer.one_of(1, 1, 2, 2, 3)):
            kinds = [writer.create, writer.merge, *([writer.set] * 2 if writer.vertices else [])]
            clauses.append(writer.one_of(*kinds, *([writer.loop] if writer.chance(20) else []))())
    if (writer.vertices or writer.items) and writer.chance(12):
        clauses.append(writer.then())
        kinds = [writer.create, writer.merge, *([writer.set] if writer.vertices else [])]
        clauses.append(writer.one_of(*kinds)())
    if writer.chance(10):
        clauses.append("RETURN count(*)")
    return Text(" ".join(clauses), writer.parameters)


def named(value: Any, ending: str) -> Any:
    """`value` with the ending in the place of each `~`."""
    if isinstance(value, str):
        return value.replace("~", ending)
    if isinstance(value, (list, tuple)):
        return type(value)(named(item, ending) for item in value)
    if isinstance(value, dict):
        return {named(key, ending): named(item, ending) for key, item in value.items()}
    return value


def random_batch(random: Random, most_queries: int = 14) -> list[Query]:
    """Queries of a few texts, interleaved; or many of one, which may come in series."""
    is_long = random.random() < 0.25
    chosen = [random_text(random) for _ in range(1 if is_long else random.randint(1, 3))]
    queries = []
    for _ in range(most_queries if is_long else random.randint(2, most_queries)):
        text, parameters = random.choice(chosen)
        queries.append((text, {name: DOMAINS[domain](random) for name, domain in parameters.items()}))
    return queries
