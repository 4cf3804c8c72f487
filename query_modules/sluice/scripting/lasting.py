"""
Queries that stay as they are, whatever the transform does later to the lists and dicts that it gave.

A group's batches are transformed one after the other and sent together. Copying what a transform gives costs a fourth
of all that is done with it; mostly there is no need to, since nobody but us has it any more. That is told by counting
references, of which any that we do not know of only makes us copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from operator import itemgetter
from sys import getrefcount
from typing import Any

from sluice.bolt.values import Value
from sluice.scripting.contract import Query
from sluice.values.same_query import SameQuery

_text, _parameters = itemgetter(0), itemgetter(1)

_UNCHANGING = frozenset({str, int, float, bool, bytes, type(None)})


def lasting(make: Callable[[], Sequence[Query]]) -> Sequence[Query]:
    """The queries that `make` gives, in a form that nobody else can change."""
    queries: Sequence[Query]
    queries, references = _made(make)
    if isinstance(queries, SameQuery):
        return queries  # of a ready transform, which keeps nothing of it
    if references == _REFERENCES and _is_ours_alone(queries):
        return queries
    return _as_they_are(queries)


def _made(make: Callable[[], Any]) -> tuple[Any, int]:
    made = make()
    return made, getrefcount(made)


def _counts(items: Iterable[object]) -> set[int]:
    return set(map(getrefcount, items))


_, _REFERENCES = _made(list)
"What is counted for a list that nobody else has."

[_IN_A_LIST] = _counts([object()])
"... and for something that is in a list, and nowhere else."


def _is_ours_alone(queries: Sequence[Query]) -> bool:
    """Whether nobody else has any of what is in the list, as far as that can change."""
    if _counts(queries) != {_IN_A_LIST}:
        return not queries
    level: list[Any] = list(map(_parameters, queries))
    while level:
        kinds = set(map(type, level))
        if not kinds <= {dict, list} or _counts(level) != {_IN_A_LIST + 1}:
            return False
        found = map(dict.values, level) if kinds == {dict} else map(_values, level)  # the first in half the time
        if set(map(type, chain.from_iterable(found))) <= _UNCHANGING:
            return True
        level = [value for container in level for value in _values(container) if type(value) not in _UNCHANGING]
    return True


def _values(container: Any) -> Iterable[Any]:
    return container.values() if type(container) is dict else container


def _as_they_are(queries: Sequence[Query]) -> Sequence[Query]:
    values = chain.from_iterable(map(dict.values, map(_parameters, queries)))
    if set(map(type, values)) <= _UNCHANGING:
        return list(zip(map(_text, queries), map(dict.copy, map(_parameters, queries)), strict=True))
    try:
        return [(text, _copied(parameters)) for text, parameters in queries]
    except RecursionError:
        return queries  # nested without end: packing refuses it


def _copied(value: Value) -> Value:
    if isinstance(value, dict):
        if set(map(type, value.values())) <= _UNCHANGING:
            return dict(value)
        return {name: _copied(item) for name, item in value.items()}
    if isinstance(value, list):
        return list(map(_copied, value))
    return value
