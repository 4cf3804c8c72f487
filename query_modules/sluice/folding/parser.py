"""
Text into a query, for the queries that folding knows about.

    part (WITH of what is there, part)* (RETURN of what is there)?

    part:    UNWIND* MATCH* (OPTIONAL MATCH)* update*
    update:  CREATE | MERGE | SET | REMOVE | DELETE | FOREACH (variable IN list | update+)

A text that holds anything else is NotUnderstood: it is sent as it is, not guessed at.
"""

from __future__ import annotations

from functools import partial

from sluice.cypher.lexer import Kind
from sluice.folding.cuts import Cuts
from sluice.folding.expression_parser import expression, labels
from sluice.folding.expressions import Expression, Form
from sluice.folding.patterns import pattern
from sluice.folding.query import (
    Assignment,
    Clause,
    Create,
    Delete,
    Loop,
    LoopEnd,
    Match,
    Merge,
    Pattern,
    Query,
    Set,
    Unwind,
    With,
    patterns_of,
)
from sluice.folding.token_stream import NotUnderstood, TokenStream
from sluice.folding.words import HARMLESS, RESERVED

_FOREIGN = {
    "CALL": "a procedure or a subquery may do anything",
    "LOAD": "it reads a file",
    "USING": "it is about a single query",
    "EXPLAIN": "it is for people",
    "PROFILE": "it is for people",
}

_UPDATES = (Create, Merge, Set, Delete, LoopEnd)
"Clauses that write, and the end of a FOREACH."

_AFTER: dict[type, tuple[type, ...]] = {
    Unwind: (Unwind, With),
    Match: (Unwind, With, Match),
    With: (Unwind, With, Match, *_UPDATES),
}
"The clauses after which each may come; one that writes may come after any."

_OTHER_RETURN = "RETURN is more than a list of variables and properties"


def parse(text: str) -> Query:
    """Take a text apart. Raises NotUnderstood: the text cannot be folded."""
    return _Parser(text).query()


class _Parser:
    """Takes one text apart."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._source = TokenStream(text)
        self._cuts = Cuts(self._source)
        self._clauses: list[Clause] = []

    def query(self) -> Query:
        source = self._source
        while source.token.kind is not Kind.END and not source.at(";"):
            self._clause()
        end = source.previous_end if self._clauses else 0
        source.accept(";")
        if source.token.kind is not Kind.END:
            raise source.unexpected("the end of the query")
        if not any(isinstance(clause, _UPDATES) for clause in self._clauses):
            raise NotUnderstood("it writes nothing")
        if not isinstance(self._clauses[-1], _UPDATES):
            # Without its RETURN, Memgraph refuses such a query.
            raise NotUnderstood("it writes nothing after its last WITH")
        return Query(self._text, source.tokens, self._clauses, self._cuts.in_order(), end)

    def _clause(self) -> None:
        source = self._source
        word = source.token.text.upper()
        if word in _FOREIGN:
            raise NotUnderstood(f"{word} is not folded: {_FOREIGN[word]}")
        if source.accept("UNWIND"):
            self._add(self._unwind(), word)
        elif source.accept("MATCH"):
            match self._clauses:
                case [*_, Match(is_optional=True)]:
                    raise NotUnderstood("MATCH comes after OPTIONAL MATCH")
            self._add(self._match(), word)
        elif source.accept("OPTIONAL", "MATCH"):
            self._add(self._match(is_optional=True), word)
        elif source.accept("WITH"):
            self._add(self._with(), word)
        elif source.at("RETURN"):
            self._return()
        else:
            self._update(word)

    def _add(self, clause: Clause, word: str) -> None:
        before = self._clauses[-1] if self._clauses else None
        if before is not None and not isinstance(before, _AFTER.get(type(clause), object)):
            raise NotUnderstood(f"{word} comes after a clause that is not understood in front of it")
        self._clauses.append(clause)

    def _update(self, word: str) -> None:
        source = self._source
        clause: Clause
        if source.accept("FOREACH"):
            self._loop(word)
            return
        if source.accept("DETACH", "DELETE") or source.accept("DELETE"):
            clause = Delete(source.listed(partial(source.name, RESERVED)))
        elif source.accept("CREATE"):
            clause = Create(source.listed(partial(pattern, source)))
            self._cuts.move_maps(clause.patterns)
        elif source.accept("MERGE"):
            clause = self._merge()
        elif source.accept("SET"):
            clause = Set(source.listed(self._set_item))
        elif source.accept("REMOVE"):
            clause = Set(source.listed(self._remove_item))
        else:
            raise source.unexpected("a clause that writes")
        self._add(clause, word)

    def _loop(self, word: str) -> None:
        source = self._source
        source.expect("(")
        variable = source.name(RESERVED)
        source.expect("IN")
        elements = expression(source)
        source.expect("|")
        self._add(Loop(elements, variable), word)
        while not source.accept(")"):
            self._update(source.token.text.upper())
        self._clauses.append(LoopEnd())

    def _with(self) -> With:
        source = self._source
        found = With(set(), {}, [])
        if source.accept("*"):
            found.kept = None
        else:
            for name, value in source.listed(self._with_item):
                if name in found.values or name in (found.kept or ()):
                    raise NotUnderstood(f"WITH names {name} twice")
                if value is None and found.kept is not None:
                    found.kept.add(name)
                elif value is not None:
                    found.values[name] = value
            self._cuts.hand_on_row()
        for word in ("ORDER", "SKIP", "LIMIT"):
            if source.at(word):
                raise NotUnderstood("WITH orders or counts rows, which once folded are those of all queries")
        found.conditions = self._conditions()
        return found

    def _with_item(self) -> tuple[str, Expression | None]:
        source = self._source
        if source.at("DISTINCT"):
            raise NotUnderstood("WITH leaves out rows that are alike, which once folded are those of all queries")
        value = expression(source)
        if source.accept("AS"):
            return source.name(RESERVED), value
        if value.form is not Form.NAME:
            raise source.unexpected("AS")
        return value.name, None

    def _unwind(self) -> Unwind:
        elements = expression(self._source)
        self._source.expect("AS")
        return Unwind(elements, self._source.name(RESERVED))

    def _match(self, *, is_optional: bool = False) -> Match:
        patterns = self._source.listed(partial(pattern, self._source))
        _refuse_maps(patterns, "matches")
        return Match(patterns, self._conditions(), is_optional)

    def _conditions(self) -> list[Expression]:
        return expression(self._source).conjuncts if self._source.accept("WHERE") else []

    def _merge(self) -> Merge:
        source = self._source
        merged = pattern(source)
        _refuse_maps([merged], "merges")
        actions: list[Assignment] = []
        while source.accept("ON", "CREATE", "SET") or source.accept("ON", "MATCH", "SET"):
            actions += source.listed(self._set_item)
        return Merge(merged, actions)

    def _set_item(self) -> Assignment:
        source = self._source
        variable = source.name(RESERVED)
        if source.at(":"):
            return Assignment(variable, labels=labels(source))
        if source.accept("."):
            name = source.name()
            source.expect("=")
            return Assignment(variable, property=name, value=expression(source))
        replaces = source.accept("=")
        if not replaces:
            source.expect("+=")
        token, value = source.token, expression(source)
        self._cuts.note_map(token)
        return Assignment(variable, value=value, replaces=replaces)

    def _remove_item(self) -> Assignment:
        source = self._source
        variable = source.name(RESERVED)
        if source.at(":"):
            return Assignment(variable, labels=labels(source), removes=True)
        source.expect(".")
        return Assignment(variable, property=source.name())

    def _return(self) -> None:
        """RETURN of variables and their properties cannot fail and changes nothing: it is cut off."""
        source = self._source
        start = source.take().start
        columns = source.listed(self._column)
        if len(set(columns)) < len(columns):
            raise NotUnderstood("RETURN names a column twice")
        self._cuts.remove(start)
        if source.token.kind is not Kind.END and not source.at(";"):
            raise NotUnderstood(_OTHER_RETURN)

    def _column(self) -> str:
        source = self._source
        first = source.token
        is_call = source.ahead(1).text == "(" and source.ahead(1).kind is Kind.SYMBOL
        if is_call and first.value.lower() == "count" and source.ahead(2).text == "*":
            source.take()
            for symbol in "(*)":
                source.expect(symbol)
            return source.name(RESERVED) if source.accept("AS") else "count(*)"
        if is_call and first.value.lower() not in HARMLESS:
            raise NotUnderstood(_OTHER_RETURN)
        if is_call:
            source.take()
            source.expect("(")
        variable = source.name(RESERVED)
        if variable not in self._graph_variables():
            raise NotUnderstood(_OTHER_RETURN)
        if is_call:
            source.expect(")")
        elif source.accept("."):
            variable += f".{source.name()}"
        if source.accept("AS"):
            return source.name(RESERVED)
        return f"{first.value}({variable})" if is_call else variable

    def _graph_variables(self) -> set[str]:
        """The variables of vertices and edges that are known at the end of what has been parsed."""
        known: list[set[str]] = [set()]
        for clause in self._clauses:
            if isinstance(clause, Loop):
                known.append(set())
            elif isinstance(clause, LoopEnd):
                known.pop()
            elif isinstance(clause, With):
                known[-1] = known[-1] if clause.kept is None else known[-1] & clause.kept
            else:
                known[-1] |= {element.variable for part in patterns_of(clause) for element in part.elements}
        return known[-1]


def _refuse_maps(patterns: list[Pattern], verb: str) -> None:
    if any(element.map for part in patterns for element in part.elements):
        raise NotUnderstood(f"it {verb} a map of properties")
