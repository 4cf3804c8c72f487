"""
The merge keys of a batch's queries: one 64-bit number for each vertex and relationship that they merge.

Two values that are equal in Cypher have the same number, in every process of this machine, so it is not Python's own
hash of a text. Values that are not equal may have the same number: somebody then waits for nothing, and anybody who can
choose values to that end can as well choose equal ones.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from operator import itemgetter
from typing import Any

from sluice.bolt.values import Structure, Value
from sluice.folding.expressions import EXACT, Key
from sluice.folding.footprint import Place, footprint_of
from sluice.folding.merges import ALL, NONE, Merged, Merges, may_merge, merges_of
from sluice.values.merge_keys import ANYTHING, EVERYTHING, FINDS, MAX_SHAPES, MergeKeys, MergeShape
from sluice.values.same_query import SameParameter, SameQuery

Query = tuple[str, Mapping[str, Value]]

MAX_TEXTS = 512
"Texts that are remembered."

_from_bytes: Callable[[bytes, Any], int] = int.from_bytes

QUERIES_PER_LOOK = 100
"Queries that have to go by for each new text that is analysed. Other new texts count as merging everything."


class MergeReader:
    """
    Computes the keys of one stream's queries; remembers what it found out about their texts.

    Threads: one thread at a time.
    """

    def __init__(self) -> None:
        self._texts: OrderedDict[str, Merges] = OrderedDict()
        "The least recently used first."
        self._places: OrderedDict[str, tuple[Place, ...] | None] = OrderedDict()
        self._looked_for: set[frozenset[str]] = set()
        "The properties by which any of the texts look for something."
        self._looks = float(MAX_TEXTS)
        "How many texts may be analysed now."
        self._seen: set[MergeShape] = set()
        self._news: list[MergeShape] = []

    def keys(self, queries: Sequence[Query], *, in_stream: bool = False) -> MergeKeys:
        """
        What these queries merge, together.

        Args:
            in_stream: also what they find and write, which matters to other lanes of the same stream.
        """
        self._looks = min(self._looks + len(queries) / QUERIES_PER_LOOK, MAX_TEXTS)
        parameters = _by_text(queries)
        keys: dict[MergeShape, set[int]] = {}
        if in_stream:
            for merged, items in self._footprints(parameters):
                keys.setdefault(merged.shape, set()).update(numbers(merged, items))
        for text, items in parameters.items():
            merges = self._merges(text)
            if merges.everything:
                return EVERYTHING
            for merged in merges.merged:
                keys.setdefault(merged.shape, set()).update(numbers(merged, items))
            if len(keys) > MAX_SHAPES:
                return EVERYTHING
        return MergeKeys({shape: frozenset(found) for shape, found in keys.items() if found})

    def _footprints(
        self, parameters: Mapping[str, Sequence[Mapping[str, Value]]]
    ) -> Iterator[tuple[Merged, Sequence[Mapping[str, Value]]]]:
        """What queries find and write, for lanes of the same stream: by their texts, with the parameters of each."""
        found = [(self._footprint(text), items) for text, items in parameters.items()]
        for places, items in found:
            if places is None:
                yield Merged(ANYTHING, (), ()), items
            else:
                yield from ((place.looked_up_by(self._looked_for), items) for place in places)

    def _footprint(self, text: str) -> tuple[Place, ...] | None:
        if text not in self._places:
            if self._looks < 1:
                return None
            self._looks -= 1
            places = self._places[text] = footprint_of(text)
            if len(self._places) > MAX_TEXTS:
                self._places.popitem(last=False)
            shapes = [place.merged.shape for place in places or ()]
            self._looked_for |= {shape.known for shape in shapes if FINDS in shape.roles}
        else:
            self._places.move_to_end(text)
        return self._places[text]

    def meet(self, texts: Iterable[str]) -> None:
        """Analyses texts of which no keys are wanted, for `news`."""
        for text in texts:
            self._merges(text)

    def news(self) -> tuple[MergeShape, ...]:
        """The shapes that were met for the first time since this was last called."""
        news, self._news = tuple(self._news), []
        return news

    def _merges(self, text: str) -> Merges:
        found = self._texts.get(text)
        if found is not None:
            self._texts.move_to_end(text)
            return found
        if self._looks < 1:
            return ALL if may_merge(text) else NONE
        self._looks -= 1
        found = self._texts[text] = merges_of(text)
        if len(self._texts) > MAX_TEXTS:
            self._texts.popitem(last=False)
        for merged in found.merged:
            if merged.shape not in self._seen and len(self._seen) < MAX_SHAPES:
                self._seen.add(merged.shape)
                self._news.append(merged.shape)
        return found


def _by_text(queries: Sequence[Query]) -> Mapping[str, Sequence[Mapping[str, Value]]]:
    if isinstance(queries, SameQuery):
        return {queries.text: queries.parameters}
    parameters: dict[str, list[Mapping[str, Value]]] = {}
    for text, values in queries:
        found = parameters.get(text)
        if found is None:
            found = parameters[text] = []
        found.append(values)
    return parameters


def numbers(merged: Merged, parameters: Sequence[Mapping[str, Value]]) -> Iterable[int]:
    """The keys of what one text merges, for the parameters of each of its queries."""
    levels = levels_of(merged.lists, parameters)
    if not merged.values:
        return [0] if levels[-1] else []
    columns = [_hashed(column_of(source, levels)) for source in merged.values]
    return columns[0] if len(columns) == 1 else map(hash, zip(*columns, strict=True))


def null_keys(text: str, parameters: Mapping[str, Value]) -> list[str]:
    """
    What a query merges by a value that is null, as `:Label(name)`. Such a value is equal to nothing, so that
    each MERGE makes another vertex or relationship.
    """
    found = []
    for merged in merges_of(text).merged:
        levels = levels_of(merged.lists, [parameters])
        values = [value for source in merged.values for value in column_of(source, levels)]
        if None in values:
            labels = "".join(f":{label}" for label in sorted(merged.shape.labels))
            found.append(f"{labels}({', '.join(sorted(merged.shape.names))})")
    return found


def levels_of(lists: Iterable[Key], parameters: Sequence[Mapping[str, Value]]) -> list[Sequence[Any]]:
    """The rows that UNWIND makes of the parameters: for each row these, and its element of each list."""
    levels: list[Sequence[Any]] = [parameters]
    for source in lists:
        found = list(map(_elements, column_of(source, levels)))
        origins = [number for number, elements in enumerate(found) for _ in elements]
        levels = [[level[number] for number in origins] for level in levels]
        levels.append(list(chain.from_iterable(found)))
    return levels


def column_of(source: Key, levels: Sequence[Sequence[Any]]) -> list[Any]:
    """The value that each row has."""
    if not source.lists and not source.path:
        return [source.constant] * len(levels[0])
    values: Sequence[Any] = levels[len(source.lists)]
    path = source.path
    if isinstance(values, SameParameter) and path[:1] == (values.name,):
        values, path = values.values, path[1:]
    for key in path:
        try:
            values = list(map(itemgetter(key), values))
        except (KeyError, TypeError, IndexError):
            values = [value.get(key) if isinstance(value, dict) else None for value in values]
    return list(values)


def _elements(value: Any) -> Sequence[Any]:
    """What UNWIND makes of a value."""
    return value if isinstance(value, (list, tuple)) else () if value is None else (value,)


def _hashed(values: Sequence[Any]) -> Iterable[int]:
    """A number for each value."""
    types = set(map(type, values))
    if types == {int} and min(values) >= -EXACT and max(values) <= EXACT:
        return values
    if types == {str}:
        try:
            return list(map(hash, map(_from_bytes, map(str.encode, values), repeat("little"))))
        except UnicodeEncodeError:
            pass
    return map(_number, values)


def _number(value: Any) -> int:
    if isinstance(value, str):
        return hash(int.from_bytes(value.encode("utf-8", "surrogatepass"), "little"))
    if isinstance(value, (int, float)):
        try:
            number = float(value)
        except OverflowError:  # beyond what a query can take
            return 0
        if number != number:  # noqa: PLR0124 - not a number, which is equal to nothing
            return 0
        return int(number) if abs(number) <= EXACT and number.is_integer() else hash(number)
    if isinstance(value, Structure):
        return _number(value.fields[:2])  # the moment: a datetime is equal to the same one in another zone
    if isinstance(value, (list, tuple)):
        return hash(tuple(map(_number, value)))
    return 0
