"""
Queries of one text with one parameter, as ready transforms make them of many messages: kept as a column of values.

They are a sequence of (query, parameters) like any other. Who looks at all of them asks for the column: a tuple and a
map for each message, made and taken apart again, would cost as much as reading the message's JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, overload

Query = tuple[str, dict[str, Any]]


class SameParameter(Sequence[dict[str, Any]]):
    """The parameters of each query."""

    def __init__(self, name: str, values: list[Any]) -> None:
        self.name = name
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return ({self.name: value} for value in self.values)

    @overload
    def __getitem__(self, place: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, place: slice) -> SameParameter: ...
    def __getitem__(self, place: int | slice) -> dict[str, Any] | SameParameter:
        if isinstance(place, slice):
            return SameParameter(self.name, self.values[place])
        return {self.name: self.values[place]}


class SameQuery(Sequence[Query]):
    """The queries."""

    def __init__(self, text: str, parameters: SameParameter) -> None:
        self.text = text
        self.parameters = parameters

    def __len__(self) -> int:
        return len(self.parameters)

    def __iter__(self) -> Iterator[Query]:
        return ((self.text, one) for one in self.parameters)

    @overload
    def __getitem__(self, place: int) -> Query: ...
    @overload
    def __getitem__(self, place: slice) -> SameQuery: ...
    def __getitem__(self, place: int | slice) -> Query | SameQuery:
        if isinstance(place, slice):
            return SameQuery(self.text, self.parameters[place])
        return self.text, self.parameters[place]


Queries = list[Query] | SameQuery


def texts_of(queries: Sequence[tuple[str, Any]]) -> list[str]:
    """The text of each query."""
    return [queries.text] * len(queries) if isinstance(queries, SameQuery) else [text for text, _ in queries]


def parameters_of(queries: Sequence[tuple[str, Any]]) -> Sequence[Any]:
    """The parameters of each query."""
    return queries.parameters if isinstance(queries, SameQuery) else [parameters for _, parameters in queries]


def joined(parts: Sequence[Sequence[Query]]) -> Sequence[Query]:
    """The queries of all parts, one after the other; as a column if all of them have the same form."""
    first = parts[0] if parts else None
    if isinstance(first, SameQuery):
        name, values = first.parameters.name, []
        for part in parts:
            if not isinstance(part, SameQuery) or (part.text, part.parameters.name) != (first.text, name):
                break
            values += part.parameters.values
        else:
            return SameQuery(first.text, SameParameter(name, values))
    return list(chain.from_iterable(parts))
