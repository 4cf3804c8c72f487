"""
Text into a query, for those queries that folding knows about.

    part (WITH of what is there, part)* (RETURN of what is there)?

    part:    UNWIND* MATCH* (OPTIONAL MATCH)* update*
    update:  CREATE | MERGE | SET | REMOVE | DELETE | FOREACH (variable IN list | update+)

Whatever else a text holds makes it NotUnderstood: a text is sent as it is rather than guessed at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sluice.cypher.lexer import Kind
from sluice.folding.expressions import Expression, Form, conjuncts, expression, labels
from sluice.folding.patterns import Patterns
from sluice.folding.query import (
    Assignment,
    Clause,
    Create,
    Cut,
    Delete,
    Edge,
    Loop,
    LoopEnd,
    Match,
    Merge,
    Node,
    Pattern,
    Query,
    Set,
    Unwind,
    With,
)
from sluice.folding.source import NotUnderstood, Source
from sluice.folding.words import HARMLESS, RESERVED, is_name

_FOREIGN = {
    "CALL": "a procedure or a subquery may do anything",
    "LOAD": "it reads a file",
    "USING": "it is about a single query",
    "EXPLAIN": "it is for people",
    "PROFILE": "it is for people",
}

_UPDATES = (Create, Merge, Set, Delete, LoopEnd)
"What writes, and the end of a FOREACH."

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
        self._maps: set[int] = set()
        "Where parameters are that stand for all that SET gives to a variable."
        self._given_names = 0
        self._optional = False
        "Whether there was an OPTIONAL MATCH since the last WITH."

    def query(self) -> Query:
        source = self._source
        while source.token.kind is not Kind.END and not source.is_symbol(";"):
            self._clause()
        end = source.previous_end if self._clauses else 0
        source.accept_symbol(";")
        if source.token.kind is not Kind.END:
            raise source.unexpected("the end of the query")
        if not any(isinstance(clause, _UPDATES) for clause in self._clauses):
            raise NotUnderstood("it writes nothing")
        if not isinstance(self._clauses[-1], _UPDATES):
            # Without its RETURN, Memgraph refuses such a query.
            raise NotUnderstood("it writes nothing after its last WITH")
        searches = any(token.is_keyword("IN") for token in source.tokens)
        return Query(self._clauses, self._all_cuts(), self._names, end, searches)

    def _clause(self) -> None:
        source = self._source
        word = source.token.text.upper()
        if word in _FOREIGN:
            raise NotUnderstood(f"{word} is not folded: {_FOREIGN[word]}")
        if source.accept_keyword("UNWIND"):
            self._add(self._unwind(), word, Unwind, With)
        elif source.accept_keyword("MATCH"):
            if self._optional:
                raise NotUnderstood("MATCH comes after OPTIONAL MATCH")
            self._add(self._match(), word, Unwind, With, Match)
        elif source.accept_keyword("OPTIONAL", "MATCH"):
            self._optional = True
            clause = self._match()
            clause.is_optional = True
            self._add(clause, word, Unwind, With, Match)
        elif source.accept_keyword("WITH"):
            self._optional = False
            self._add(self._with(), word, Unwind, With, Match, *_UPDATES)
        elif source.is_keyword("RETURN"):
            self._return()
        else:
            self._update(word)

    def _add(self, clause: Clause, word: str, *after: type[Clause]) -> None:
        if self._clauses and not isinstance(self._clauses[-1], after):
            raise NotUnderstood(f"{word} comes after a clause that is not understood in front of it")
        self._clauses.append(clause)

    def _update(self, word: str) -> None:
        source = self._source
        clause: Clause
        if source.accept_keyword("FOREACH"):
            self._loop(word)
            return
        if source.accept_keyword("DETACH", "DELETE") or source.accept_keyword("DELETE"):
            clause = Delete(self._list_of(self._deleted))
        elif source.accept_keyword("CREATE"):
            patterns = self._list_of(self._patterns.pattern)
            self._move_maps(patterns)
            clause = Create(patterns)
        elif source.accept_keyword("MERGE"):
            clause = self._merge()
        elif source.accept_keyword("SET"):
            clause = Set(self._list_of(self._set_item))
        elif source.accept_keyword("REMOVE"):
            clause = Set(self._list_of(self._remove_item))
        else:
            raise source.unexpected("a clause that writes")
        self._add(clause, word, Unwind, With, Match, Loop, *_UPDATES)

    def _loop(self, word: str) -> None:
        source = self._source
        source.expect("(")
        variable = source.name(RESERVED)
        if not source.accept_keyword("IN"):
            raise source.unexpected("IN")
        elements = expression(source)
        source.expect("|")
        self._add(Loop(elements, variable), word, Unwind, With, Match, Loop, *_UPDATES)
        while not source.accept_symbol(")"):
            self._update(source.token.text.upper())
        self._clauses.append(LoopEnd())

    def _with(self) -> With:
        source = self._source
        found = With(set(), {}, [])
        if source.accept_symbol("*"):
            found.kept = None
        else:
            for name, value in self._list_of(self._with_item):
                if name in found.values or name in (found.kept or ()):
                    raise NotUnderstood(f"WITH names {name} twice")
                if value is None and found.kept is not None:
                    found.kept.add(name)
                elif value is not None:
                    found.values[name] = value
            end = source.previous_end
            self._cuts.append(Cut(end, end, before=", ", carries_row=True))
        for word in ("ORDER", "SKIP", "LIMIT"):
            if source.is_keyword(word):
                raise NotUnderstood("WITH orders or counts rows, which once folded are those of all queries")
        if source.accept_keyword("WHERE"):
            found.conditions = conjuncts(expression(source))
        return found

    def _with_item(self) -> tuple[str, Expression | None]:
        source = self._source
        if source.is_keyword("DISTINCT"):
            raise NotUnderstood("WITH leaves out rows that are alike, which once folded are those of all queries")
        value = expression(source)
        if source.accept_keyword("AS"):
            return source.name(RESERVED), value
        if value.form is not Form.NAME:
            raise source.unexpected("AS")
        return value.name, None

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
        token, value = source.token, expression(source)
        if token.kind is Kind.PARAMETER and source.previous_end == token.start + len(token.text):
            self._maps.add(token.start)
        return Assignment(variable, value=value, replaces=replaces)

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
        if is_call and first.value.lower() == "count" and source.ahead(2).text == "*":
            source.take()
            for symbol in "(*)":
                source.expect(symbol)
            return source.name(RESERVED) if source.accept_keyword("AS") else "count(*)"
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
        """The variables of vertices and edges that are known where the text has been taken to."""
        known: list[set[str]] = [set()]
        for clause in self._clauses:
            if isinstance(clause, Loop):
                known.append(set())
            elif isinstance(clause, LoopEnd):
                known.pop()
            elif isinstance(clause, With):
                known[-1] = known[-1] if clause.kept is None else known[-1] & clause.kept
            else:
                known[-1] |= {element.variable for pattern in _patterns_of(clause) for element in pattern.elements}
        return known[-1]

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
        self._cuts.append(Cut(end, end, element.map.name, before=f" SET {variable} = ", is_map=True))

    def _free_name(self) -> str:
        self._given_names += 1
        name = f"made_{self._given_names}"
        return name if name not in self._names else self._free_name()

    def _all_cuts(self) -> list[Cut]:
        cuts = list(self._cuts)
        for number, token in enumerate(self._source.tokens):
            if token.kind is Kind.PARAMETER and not any(cut.start <= token.start < cut.end for cut in self._cuts):
                cuts.append(self._cut_at(number))
        return sorted(cuts, key=lambda cut: (cut.start, cut.end))

    def _cut_at(self, number: int) -> Cut:
        """The cut for the parameter that token `number` is, and the property of it that is asked for."""
        token, dot, name, then = (*self._source.tokens[number : number + 4], None, None, None)[:4]
        assert token is not None
        end = token.start + len(token.text)
        if dot is None or dot.text != ".":
            return Cut(token.start, end, token.value, is_map=token.start in self._maps)
        if name is None or name.kind is not Kind.NAME or not is_name(name.text):
            return Cut(token.start, end, token.value, is_looked_into=True)
        is_looked_into = then is not None and then.text == "."
        return Cut(token.start, name.start + len(name.text), token.value, name.text, is_looked_into=is_looked_into)


def _patterns_of(clause: Clause) -> list[Pattern]:
    if isinstance(clause, (Match, Create)):
        return clause.patterns
    return [clause.pattern] if isinstance(clause, Merge) else []


def _refuse_maps(patterns: list[Pattern], verb: str) -> None:
    if any(element.map for pattern in patterns for element in pattern.elements):
        raise NotUnderstood(f"it {verb} a map of properties")
