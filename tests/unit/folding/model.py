"""
Memgraph in miniature, for the queries of `batches` and what they are folded into: what a query sees of its own writes.

Rows go through the clauses one after the other. MATCH and WHERE see the graph as it was when the query, or its part
after a WITH that follows a write, began; everything else sees it as it is. DELETE takes effect when all rows are
through. Where MATCH has parts that do not hang together, all rows are joined first, and come out in another order.

Measured on Memgraph 2.14.1, or read from its `operator.cpp`. What it shows on a real host is what counts
(`tests/integration/test_folding.py`); this is there for whoever has none at hand.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from sluice.cypher.lexer import Kind
from sluice.folding.token_stream import TokenStream
from tests.unit.folding.graphs import Graph

Row = dict[str, Any]
Clause = Callable[["Run", Iterable[Row]], Iterator[Row]]
Expression = Callable[["Run", Row, "State"], Any]

STOP = frozenset(
    ["MATCH", "OPTIONAL", "WHERE", "CREATE", "MERGE", "ON", "SET", "REMOVE", "DETACH", "DELETE", "WITH", "RETURN",
     "UNWIND", "FOREACH"]
)  # fmt: skip
"Words that no variable has."

MAX_STEPS = 500
"How much a query may make; one that makes more never ends, or is of no use."


class Refused(Exception):
    """The query fails."""


class Ref(NamedTuple):
    """A vertex or an edge."""

    kind: str
    number: int


class State:
    """Vertices and edges."""

    def __init__(self) -> None:
        self.vertices: dict[int, tuple[set[str], dict[str, Any]]] = {}
        self.edges: dict[int, tuple[int, int, str, dict[str, Any]]] = {}
        self.next = 0

    def properties(self, ref: Ref) -> dict[str, Any]:
        try:
            return self.vertices[ref.number][1] if ref.kind == "v" else self.edges[ref.number][3]
        except KeyError:
            raise Refused("it is deleted, or not there yet") from None

    def graph(self) -> Graph:
        vertices = [(number, sorted(labels), dict(found)) for number, (labels, found) in self.vertices.items()]
        return Graph(vertices, [(one, other, kind, dict(found)) for one, other, kind, found in self.edges.values()])


class Run:
    """One query while it runs."""

    def __init__(self, state: State, parameters: dict[str, Any]) -> None:
        self.new = state
        self.parameters = parameters
        self.old = copy.deepcopy(state)
        self.steps = 0

    def advance(self) -> None:
        """What was written is what was there before, from now on."""
        self.old = copy.deepcopy(self.new)

    def create(self, kind: str) -> Ref:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise Refused("it does not end")
        self.new.next += 1
        return Ref(kind, self.new.next)


def execute(state: State, text: str, parameters: dict[str, Any]) -> None:
    """Runs a query. Raises Refused; the state is of no use then."""
    run, rows = Run(state, parameters), iter([Row()])
    for clause in _clauses(text):
        rows = clause(run, rows)
    for _ in rows:
        pass


@lru_cache(maxsize=256)
def _clauses(text: str) -> list[Clause]:
    return _Parser(text).clauses()


def equal(one: Any, other: Any) -> bool | None:
    """As Cypher compares; None: not known."""
    if one is None or other is None:
        return None
    if isinstance(one, list) and isinstance(other, list):
        found = [equal(*pair) for pair in zip(one, other, strict=False)]
        return len(one) == len(other) and (None if None in found else all(found))
    numbers = [isinstance(value, (int, float)) and not isinstance(value, bool) for value in (one, other)]
    return bool(one == other) if all(numbers) or type(one) is type(other) else False


class _Parser:
    def __init__(self, text: str) -> None:
        self.source = TokenStream(text)
        self.anonymous = 0
        self.wrote = False

    def clauses(self) -> list[Clause]:
        found = []
        while self.source.token.kind is not Kind.END and not any(map(self.source.at, ");")):
            found.append(self.clause())
        return found

    def clause(self) -> Clause:
        take = self.source.accept
        if take("UNWIND"):
            return self.unwind()
        if take("OPTIONAL", "MATCH"):
            return self.match(optional=True)
        if take("MATCH"):
            return self.match(optional=False)
        if take("WITH"):
            return self.with_()
        if take("RETURN"):
            while self.source.token.kind is not Kind.END:
                self.source.take()
            return lambda _, rows: iter(rows)
        self.wrote = True
        if take("CREATE"):
            return self.create()
        if take("MERGE"):
            return self.merge()
        if take("SET"):
            items = self.listed(self.set_item)
            return _each(lambda run, row: [item(run, row) for item in items])
        if take("REMOVE"):
            items = self.listed(self.remove_item)
            return _each(lambda run, row: [item(run, row) for item in items])
        if take("FOREACH"):
            return self.foreach()
        detach = take("DETACH")
        if take("DELETE"):
            return self.delete(detach)
        raise Refused(f"no clause begins with {self.source.token}")

    def listed(self, item: Callable[[], Any]) -> list[Any]:
        found = [item()]
        while self.source.accept(","):
            found.append(item())
        return found

    def name(self) -> str:
        token = self.source.token
        if token.kind not in (Kind.NAME, Kind.QUOTED_NAME) or token.text.upper() in STOP:
            self.anonymous += 1
            return f"@{self.anonymous}"
        return self.source.take().value

    # Clauses

    def unwind(self) -> Clause:
        value = self.expression()
        self.source.take()
        name = self.source.name()

        def run(run: Run, rows: Iterable[Row]) -> Iterator[Row]:
            for row in rows:
                for element in value(run, row, run.new) or []:
                    yield {**row, name: element}

        return run

    def match(self, *, optional: bool) -> Clause:
        patterns = self.listed(self.pattern)
        condition = self.expression() if self.source.accept("WHERE") else None

        def found(run: Run, row: Row) -> Iterator[Row]:
            rows: Iterable[tuple[Row, frozenset[int]]] = [(row, frozenset())]
            for pattern in patterns:
                rows = [new for bound, used in rows for new in _matches(run, pattern, bound, run.old, used)]
            for bound, _ in rows:
                if condition is None or condition(run, bound, run.old) is True:
                    yield bound

        names = {name for pattern in patterns for name in (*pattern.nodes_names, *pattern.edges_names)}

        def match(run: Run, rows: Iterable[Row]) -> Iterator[Row]:
            if len(patterns) > 1:
                joined = [new for row in rows for new in found(run, row)]
                yield from sorted(joined, key=lambda row: repr(row.get(patterns[-1].nodes[0].name)))
                return
            for row in rows:
                matched = list(found(run, row))
                if not matched and optional:
                    matched = [{**dict.fromkeys(names), **row}]
                yield from matched

        return match

    def with_(self) -> Clause:
        wrote, self.wrote = self.wrote, False
        if self.source.at("COUNT"):
            return self.counted(wrote)
        everything = self.source.accept("*")
        items = [] if everything else self.listed(self.with_item)
        condition = self.expression() if self.source.accept("WHERE") else None

        def with_(run: Run, rows: Iterable[Row]) -> Iterator[Row]:
            if wrote:
                rows = list(rows)
                run.advance()
            for row in rows:
                bound = row if everything else {name: value(run, row, run.new) for name, value in items}
                if condition is None or condition(run, bound, run.old) is True:
                    yield bound

        return with_

    def counted(self, wrote: bool) -> Clause:
        """`count(*) AS name`: one row, however many there were."""
        self.source.take()
        for symbol in "(*)":
            self.source.expect(symbol)
        self.source.take()
        name = self.source.name()

        def count(run: Run, rows: Iterable[Row]) -> Iterator[Row]:
            number = sum(1 for _ in rows)
            if wrote:
                run.advance()
            yield {name: number}

        return count

    def with_item(self) -> tuple[str, Expression]:
        name = self.source.token.value
        value = self.expression()
        return (self.source.name(), value) if self.source.accept("AS") else (name, value)

    def create(self) -> Clause:
        patterns = self.listed(self.pattern)

        def create(run: Run, row: Row) -> None:
            for pattern in patterns:
                _make(run, pattern, row)

        return _each(create)

    def merge(self) -> Clause:
        pattern = self.pattern()
        actions: dict[str, list[Any]] = {"CREATE": [], "MATCH": []}
        while self.source.accept("ON"):
            kind = self.source.take().text.upper()
            self.source.take()
            actions[kind] += self.listed(self.set_item)

        def merge(run: Run, rows: Iterable[Row]) -> Iterator[Row]:
            for row in rows:
                matched = [bound for bound, _ in _matches(run, pattern, row, run.new, frozenset())]
                kind = "MATCH" if matched else "CREATE"
                if not matched:
                    matched = [dict(row)]
                    _make(run, pattern, matched[0])
                for bound in matched:
                    for action in actions[kind]:
                        action(run, bound)
                    yield bound

        return merge

    def foreach(self) -> Clause:
        self.source.expect("(")
        name = self.source.name()
        self.source.take()
        value = self.expression()
        self.source.expect("|")
        inside = self.clauses()
        self.source.expect(")")

        def foreach(run: Run, row: Row) -> None:
            for element in value(run, row, run.new) or []:
                rows: Iterable[Row] = iter([{**row, name: element}])
                for clause in inside:
                    rows = clause(run, rows)
                for _ in rows:
                    pass

        return _each(foreach)

    def delete(self, detach: bool) -> Clause:
        names = self.listed(self.source.name)

        def delete(run: Run, rows: Iterable[Row]) -> Iterator[Row]:
            doomed = []
            for row in rows:
                doomed += [row[name] for name in names if row[name] is not None]
                yield row
            state = run.new
            vertices = {ref.number for ref in doomed if ref.kind == "v"}
            edges = {ref.number for ref in doomed if ref.kind == "e"}
            if detach:
                edges |= {number for number, (a, b, *_) in state.edges.items() if {a, b} & vertices}
            for number in edges:
                state.edges.pop(number, None)
            if any({a, b} & vertices for a, b, *_ in state.edges.values()):
                raise Refused("it has edges")
            for number in vertices:
                state.vertices.pop(number, None)

        return delete

    def set_item(self) -> Callable[[Run, Row], None]:
        source = self.source
        variable = source.name()
        if source.at(":"):
            labels = self.labels()
            return lambda run, row: _label(run, row[variable], labels)
        if source.accept("."):
            name = source.name()
            source.expect("=")
            value = self.expression()
            return lambda run, row: _assign(run, row[variable], {name: value(run, row, run.new)})
        replaces = source.accept("=")
        if not replaces:
            source.expect("+=")
        value = self.expression()
        return lambda run, row: _assign(run, row[variable], value(run, row, run.new), replaces=replaces)

    def remove_item(self) -> Callable[[Run, Row], None]:
        variable = self.source.name()
        if self.source.at(":"):
            labels = self.labels()
            return lambda run, row: _unlabel(run, row[variable], labels)
        self.source.expect(".")
        name = self.source.name()
        return lambda run, row: _assign(run, row[variable], {name: None})

    # Patterns

    def labels(self) -> list[str]:
        found = []
        while self.source.accept(":") or self.source.accept("|"):
            found.append(self.source.name())
        return found

    def properties(self) -> Expression | None:
        if self.source.token.kind is Kind.PARAMETER or self.source.at("{"):
            return self.atom()
        return None

    def pattern(self) -> _Pattern:
        nodes, edges = [self.node()], []
        while self.source.at("-") or self.source.at("<"):
            left = self.source.accept("<")
            self.source.expect("-")
            name, kinds, properties = "", [], None
            if self.source.accept("["):
                name = self.name()
                kinds = self.labels()
                properties = self.properties()
                self.source.expect("]")
            self.source.expect("-")
            right = self.source.accept(">")
            edges.append(_Edge(name or self.unnamed(), kinds, properties, left, right))
            nodes.append(self.node())
        return _Pattern(nodes, edges)

    def unnamed(self) -> str:
        self.anonymous += 1
        return f"@{self.anonymous}"

    def node(self) -> _Node:
        self.source.expect("(")
        node = _Node(self.name(), self.labels(), self.properties())
        self.source.expect(")")
        return node

    # Expressions

    def expression(self) -> Expression:
        return self.chain(lambda: self.chain(self.comparison, "AND", all), "OR", any)

    def chain(self, operand: Callable[[], Expression], word: str, together: Any) -> Expression:
        parts = [operand()]
        while self.source.accept(word):
            parts.append(operand())
        if len(parts) == 1:
            return parts[0]
        return lambda run, row, view: together(part(run, row, view) is True for part in parts)

    def comparison(self) -> Expression:
        if self.source.accept("NOT"):
            negated = self.comparison()
            return lambda run, row, view: negated(run, row, view) is False
        left = self.sum()
        source = self.source
        if source.accept("IS", "NULL"):
            return lambda run, row, view: left(run, row, view) is None
        if source.accept("IN"):
            inside = self.sum()
            return lambda run, row, view: any(
                equal(left(run, row, view), element) for element in inside(run, row, view) or []
            )
        for symbol in ("=", "<>", "<", ">"):
            if source.accept(symbol):
                return _compared(symbol, left, self.sum())
        return left

    def sum(self) -> Expression:
        left = self.postfix()
        while self.source.at("+") or self.source.at("-"):
            minus = self.source.take().text == "-"
            left = (_subtracted if minus else _added)(left, self.postfix())
        return left

    def postfix(self) -> Expression:
        value = self.atom()
        while True:
            if self.source.accept("."):
                value = _property(value, self.source.name())
            elif self.source.accept("["):
                value = _element(value, self.atom())
                self.source.expect("]")
            elif self.source.at(":"):
                value = _labelled(value, self.labels())
            else:
                return value

    def atom(self) -> Expression:
        source, token = self.source, self.source.token
        if token.kind is Kind.PARAMETER:
            name = source.take().value
            return lambda run, *_: run.parameters[name]
        if token.kind is Kind.STRING:
            source.take()
            return lambda *_: token.value
        if token.kind in (Kind.INTEGER, Kind.FLOAT):
            number = float(token.text) if token.kind is Kind.FLOAT else int(token.text)
            source.take()
            return lambda *_: number
        if source.accept("("):
            value = self.expression()
            source.expect(")")
            return value
        if source.accept("["):
            values = [] if source.at("]") else self.listed(self.expression)
            source.expect("]")
            return lambda *given: [value(*given) for value in values]
        if source.accept("{"):
            entries = {} if source.at("}") else dict(self.listed(self.entry))
            source.expect("}")
            return lambda *given: {name: value(*given) for name, value in entries.items()}
        if source.accept("CASE"):
            return self.case()
        name = source.take().value
        if source.accept("("):
            arguments = self.listed(self.expression)
            source.expect(")")
            function = _FUNCTIONS[name]
            return lambda *given: function(*(value(*given) for value in arguments))
        return lambda run, row, view: row[name]

    def entry(self) -> tuple[str, Expression]:
        name = self.source.name()
        self.source.expect(":")
        return name, self.expression()

    def case(self) -> Expression:
        self.source.accept("WHEN")
        condition = self.expression()
        self.source.accept("THEN")
        then = self.expression()
        otherwise: Expression = self.expression() if self.source.accept("ELSE") else (lambda *_: None)
        self.source.accept("END")
        return lambda *given: then(*given) if condition(*given) is True else otherwise(*given)


class _Node(NamedTuple):
    name: str
    labels: list[str]
    properties: Expression | None


class _Edge(NamedTuple):
    name: str
    kinds: list[str]
    properties: Expression | None
    left: bool
    right: bool


class _Pattern(NamedTuple):
    nodes: list[_Node]
    edges: list[_Edge]

    @property
    def nodes_names(self) -> list[str]:
        return [node.name for node in self.nodes]

    @property
    def edges_names(self) -> list[str]:
        return [edge.name for edge in self.edges]


def _each(action: Callable[[Run, Row], Any]) -> Clause:
    def run(run: Run, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            bound = dict(row)
            action(run, bound)
            yield bound

    return run


def _matches(
    run: Run, pattern: _Pattern, row: Row, view: State, used: frozenset[int]
) -> Iterator[tuple[Row, frozenset[int]]]:
    """The rows in which a pattern is found, and the edges in them, which are found once in a MATCH."""
    first, *rest = pattern.nodes
    found = [(new, used, ref) for new, ref in _vertices(run, first, row, view)]
    for edge, node in zip(pattern.edges, rest, strict=True):
        found = [
            (last, seen | {number}, end)
            for bound, seen, start in found
            for number, (one, other, kind, properties) in list(view.edges.items())
            if number not in seen and (not edge.kinds or kind in edge.kinds)
            for source, target in _ways(edge, one, other)
            if source == start.number
            and _fits(run, edge.properties, bound, view, properties)
            and bound.get(edge.name) in (None, Ref("e", number))
            for last, end in _vertices(run, node, {**bound, edge.name: Ref("e", number)}, view)
            if end.number == target
        ]
    for bound, seen, _ in found:
        yield bound, seen


def _ways(edge: _Edge, one: int, other: int) -> list[tuple[int, int]]:
    if edge.left == edge.right:
        return [(one, other)] if one == other else [(one, other), (other, one)]
    return [(other, one)] if edge.left else [(one, other)]


def _vertices(run: Run, node: _Node, row: Row, view: State) -> Iterator[tuple[Row, Ref]]:
    if node.name in row:
        ref = row[node.name]
        candidates = [] if ref is None or ref.number not in view.vertices else [ref.number]
    else:
        candidates = list(view.vertices)
    for number in candidates:
        labels, properties = view.vertices[number]
        if labels.issuperset(node.labels) and _fits(run, node.properties, row, view, properties):
            yield {**row, node.name: Ref("v", number)}, Ref("v", number)


def _fits(run: Run, wanted: Expression | None, row: Row, view: State, properties: dict[str, Any]) -> bool:
    if wanted is None:
        return True
    return all(equal(properties.get(name), value) is True for name, value in wanted(run, row, view).items())


def _make(run: Run, pattern: _Pattern, row: Row) -> None:
    state = run.new
    for node in pattern.nodes:
        if node.name not in row:
            properties = node.properties(run, row, state) if node.properties else {}
            row[node.name] = ref = run.create("v")
            state.vertices[ref.number] = (set(node.labels), {})
            _assign(run, ref, properties)
        elif row[node.name] is None:
            raise Refused("null is no vertex")
    for edge, (one, other) in zip(pattern.edges, zip(pattern.nodes, pattern.nodes[1:], strict=False), strict=True):
        source, target = (other, one) if edge.left and not edge.right else (one, other)
        ends = [row[end.name] for end in (source, target)]
        for ref in ends:
            _vertex(run, ref)
        properties = edge.properties(run, row, state) if edge.properties else {}
        row[edge.name] = ref = run.create("e")
        state.edges[ref.number] = (ends[0].number, ends[1].number, edge.kinds[0], {})
        _assign(run, ref, properties)


def _vertex(run: Run, ref: Ref) -> tuple[set[str], dict[str, Any]]:
    try:
        return run.new.vertices[ref.number]
    except KeyError:
        raise Refused("the vertex is deleted") from None


def _label(run: Run, ref: Ref | None, labels: list[str]) -> None:
    if ref is not None:
        _vertex(run, ref)[0].update(labels)


def _unlabel(run: Run, ref: Ref | None, labels: list[str]) -> None:
    if ref is not None:
        _vertex(run, ref)[0].difference_update(labels)


def _assign(run: Run, ref: Ref | None, values: Any, *, replaces: bool = False) -> None:
    if ref is None:
        return
    if not isinstance(values, dict):
        raise Refused("no map")
    properties = run.new.properties(ref)
    if replaces:
        properties.clear()
    for name, value in values.items():
        if value is None:
            properties.pop(name, None)
        else:
            properties[name] = value


def _compared(symbol: str, left: Expression, right: Expression) -> Expression:
    def compare(*given: Any) -> bool | None:
        one, other = left(*given), right(*given)
        if symbol in ("<", ">"):
            one, other = (one, other) if symbol == "<" else (other, one)
            if one is None or other is None:
                return None
            if any(isinstance(value, (bool, str, list, dict)) for value in (one, other)):
                raise Refused("these cannot be compared")
            return bool(one < other)
        same = equal(one, other)
        return same if symbol == "=" or same is None else not same

    return compare


def _added(left: Expression, right: Expression) -> Expression:
    def add(*given: Any) -> Any:
        one, other = left(*given), right(*given)
        if one is None or other is None:
            return None
        if any(isinstance(value, (bool, str, list, dict)) for value in (one, other)):
            raise Refused("these cannot be added")
        return one + other

    return add


def _subtracted(left: Expression, right: Expression) -> Expression:
    return lambda *given: left(*given) - right(*given)


def _property(value: Expression, name: str) -> Expression:
    def look_up(run: Run, row: Row, view: State) -> Any:
        owner = value(run, row, view)
        if owner is None:
            return None
        if isinstance(owner, Ref):
            return view.properties(owner).get(name)
        if not isinstance(owner, dict):
            raise Refused("no map")
        return owner.get(name)

    return look_up


def _labelled(value: Expression, labels: list[str]) -> Expression:
    def has(run: Run, row: Row, view: State) -> bool | None:
        ref = value(run, row, view)
        return None if ref is None else view.vertices[ref.number][0].issuperset(labels)

    return has


def _element(value: Expression, index: Expression) -> Expression:
    return lambda *given: value(*given)[index(*given)]


def _split(text: str, separator: str) -> list[str]:
    return text.split(separator) if text else []


def _assert(condition: bool, message: str) -> bool:
    if not condition:
        raise Refused(message)
    return True


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "assert": _assert,
    "coalesce": lambda *values: next((value for value in values if value is not None), None),
    "range": lambda first, last: list(range(first, last + 1)),
    "size": len,
    "split": _split,
}
