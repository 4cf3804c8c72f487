"""
Text into a query, for those queries that folding knows about.

    UNWIND* MATCH* (CREATE | MERGE | SET | REMOVE)* (RETURN of what is there)?
    UNWIND* MATCH+ DELETE+

Whatever else a text holds makes it NotUnderstood: a text is sent as it is rather than guessed at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sluice.clauses.lexer import Kind
from sluice.folding.expressions import conjuncts, expression, labels
from sluice.folding.patterns import Patterns
from sluice.folding.query import (
    Assignment,
    Clause,
    Create,
    Cut,
    Delete,
    Edge,
    Match,
    Merge,
    Node,
    Pattern,
    Query,
    Set,
    Unwind,
)
from sluice.folding.source import NotUnderstood, Source
from sluice.folding.words import HARMLESS, RESERVED

_FOREIGN = {
    "CALL": "a procedure or a subquery may do anything",
    "WITH": "it may gather the rows of all queries",
    "OPTIONAL": "it acts on what is not there",
    "FOREACH": "it is not looked into",
    "LOAD": "it reads a file",
    "USING": "it is about a single query",
    "EXPLAIN": "it is for people",
    "PROFILE": "it is for people",
}

_Item = TypeVar("_Item")


def parse(text: str) -> Query:
    """
    Take a text apart.

    Raises:
        NotUnderstood: the text cannot be folded; says why.
    """
    return _Parser(text).query()


class _Parser:
    """Takes one text apart."""

    def __init__(self, text: str) -> None:
        self._source = Source(text)
        self._patterns = Patterns(self._source)
        self._clauses: list[Clause] = []
        self._names = frozenset(
            token.value.lower() for token in self._source.tokens if token.kind in (Kind.NAME, Kind.QUOTED_NAME)
        )
        self._cuts: list[Cut] = []
        "For what is to stand elsewhere, or nowhere."
        self._given_names = 0

    def query(self) -> Query:
        source = self._source
        while source.token.kind is not Kind.END and not source.is_symbol(";"):
            self._clause()
        source.accept_symbol(";")
        if source.token.kind is not Kind.END:
            raise source.unexpected("the end of the query")
        if all(isinstance(clause, (Match, Unwind)) for clause in self._clauses):
            raise NotUnderstood("it writes nothing")
        searches = any(token.is_keyword("IN") for token in source.tokens)
        return Query(self._clauses, self._all_cuts(), self._names, searches)

    def _clause(self) -> None:
        source = self._source
        if source.accept_keyword("UNWIND"):
            self._add(self._unwind(), "UNWIND", Unwind)
        elif source.accept_keyword("MATCH"):
            self._add(self._match(), "MATCH", Unwind, Match)
        elif source.accept_keyword("DETACH", "DELETE") or source.accept_keyword("DELETE"):
            self._add(Delete(self._list_of(self._deleted)), "DELETE", Match, Delete)
        elif source.is_keyword("RETURN"):
            self._return()
        else:
            word = source.token.text.upper()
            if word in _FOREIGN:
                raise NotUnderstood(f"{word} is not folded: {_FOREIGN[word]}")
            self._add(self._update(), word, Unwind, Match, Create, Merge, Set)

    def _add(self, clause: Clause, word: str, *after: type[Clause]) -> None:
        if self._clauses and not isinstance(self._clauses[-1], after):
            raise NotUnderstood(f"{word} comes after a clause that is not understood in front of it")
        self._clauses.append(clause)

    def _list_of(self, item: Callable[[], _Item]) -> list[_Item]:
        items = [item()]
        while self._source.accept_symbol(","):
            items.append(item())
        return items

    def _unwind(self) -> Unwind:
        elements = expression(self._source)
        if not self._source.accept_keyword("AS"):
            raise self._source.unexpected("AS")
        return Unwind(elements, self._source.name(RESERVED))

    def _match(self) -> Match:
        patterns = self._list_of(self._patterns.pattern)
        _refuse_maps(patterns, "matches")
        return Match(patterns, conjuncts(expression(self._source)) if self._source.accept_keyword("WHERE") else [])

    def _update(self) -> Clause:
        source = self._source
        if source.accept_keyword("CREATE"):
            patterns = self._list_of(self._patterns.pattern)
            self._move_maps(patterns)
            return Create(patterns)
        if source.accept_keyword("MERGE"):
            return self._merge()
        if source.accept_keyword("SET"):
            return Set(self._list_of(self._set_item))
        if source.accept_keyword("REMOVE"):
            return Set(self._list_of(self._remove_item))
        raise source.unexpected("a clause that writes")

    def _merge(self) -> Merge:
        pattern = self._patterns.pattern()
        _refuse_maps([pattern], "merges")
        actions: list[Assignment] = []
        while self._source.accept_keyword("ON", "CREATE", "SET") or self._source.accept_keyword("ON", "MATCH", "SET"):
            actions += self._list_of(self._set_item)
        return Merge(pattern, actions)

    def _set_item(self) -> Assignment:
        source = self._source
        variable = source.name(RESERVED)
        if source.is_symbol(":"):
            return Assignment(variable, labels=labels(source))
        if source.accept_symbol("."):
            name = source.name()
            source.expect("=")
            return Assignment(variable, property=name, value=expression(source))
        replaces = source.accept_symbol("=")
        if not replaces:
            source.expect("+=")
        return Assignment(variable, value=expression(source), replaces=replaces)

    def _remove_item(self) -> Assignment:
        source = self._source
        variable = source.name(RESERVED)
        if source.is_symbol(":"):
            return Assignment(variable, labels=labels(source), removes=True)
        source.expect(".")
        return Assignment(variable, property=source.name())

    def _deleted(self) -> str:
        return self._source.name(RESERVED)

    def _return(self) -> None:
        """RETURN of variables and their properties cannot fail and changes nothing: it is cut off."""
        start = self._source.take().start
        columns = self._list_of(self._column)
        if len(set(columns)) < len(columns):
            raise NotUnderstood("RETURN names a column twice")
        self._cuts.append(Cut(start, self._source.previous_end))
        if self._source.token.kind is not Kind.END and not self._source.is_symbol(";"):
            raise NotUnderstood("RETURN is more than a list of variables and properties")

    def _column(self) -> str:
        source = self._source
        first = source.token
        is_call = source.ahead(1).text == "(" and source.ahead(1).kind is Kind.SYMBOL
        if is_call and first.value.lower() not in HARMLESS:
            raise NotUnderstood("RETURN is more than a list of variables and properties")
        if is_call:
            source.take()
            source.expect("(")
        variable = source.name(RESERVED)
        if variable not in self._graph_variables():
            raise NotUnderstood("RETURN is more than a list of variables and properties")
        if is_call:
            source.expect(")")
        elif source.accept_symbol("."):
            variable += f".{source.name()}"
        if source.accept_keyword("AS"):
            return source.name(RESERVED)
        return f"{first.value}({variable})" if is_call else variable

    def _graph_variables(self) -> set[str]:
        patterns: list[Pattern] = []
        for clause in self._clauses:
            if isinstance(clause, (Match, Create)):
                patterns += clause.patterns
            elif isinstance(clause, Merge):
                patterns.append(clause.pattern)
        return {element.variable for pattern in patterns for element in pattern.elements}

    def _move_maps(self, patterns: list[Pattern]) -> None:
        """`CREATE (v $map)` takes parameters only: once folded it is `CREATE (v) SET v = row`."""
        filled = [element for pattern in patterns for element in pattern.elements if element.map]
        named = {element.variable for element in filled}
        for element in (element for pattern in patterns for element in pattern.elements):
            if any(named & value.variables for value in element.properties.values()):
                raise NotUnderstood("CREATE reads what it is about to make")
        for element in filled:
            self._move_map(element)

    def _move_map(self, element: Node | Edge) -> None:
        assert element.map is not None
        variable = element.variable
        if variable.startswith("@"):
            behind = int(variable[1:]) + 1
            variable = self._free_name()
            self._cuts.append(Cut(behind, behind, before=variable))
        elif not (variable.isascii() and variable.isidentifier()):
            raise NotUnderstood("a new vertex or edge with a quoted name is made of a map")
        end = self._source.previous_end
        self._cuts.append(Cut(element.map.start, element.map.end))
        self._cuts.append(Cut(end, end, element.map.name, before=f" SET {variable} = "))

    def _free_name(self) -> str:
        self._given_names += 1
        name = f"made_{self._given_names}"
        return name if name not in self._names else self._free_name()

    def _all_cuts(self) -> list[Cut]:
        cuts = list(self._cuts)
        for number, token in enumerate(self._source.tokens):
            end = token.start + len(token.text)
            if token.kind is Kind.PARAMETER and not any(cut.start <= token.start < cut.end for cut in self._cuts):
                after = self._source.tokens[number + 1 : number + 2]
                cuts.append(Cut(token.start, end, token.value, is_looked_into=bool(after) and after[0].text == "."))
        return sorted(cuts, key=lambda cut: (cut.start, cut.end))


def _refuse_maps(patterns: list[Pattern], verb: str) -> None:
    if any(element.map for pattern in patterns for element in pattern.elements):
        raise NotUnderstood(f"it {verb} a map of properties")
