"""
Maps that are parameters, sent as their values.

Over Bolt, and in the server, a map costs more than its values: 2.14.1 takes 40 or 23 µs for a vertex of 21 properties.
So the keys go into the text. Of a map of which some properties are asked (`$event.id`) only those are sent. One that a
vertex gets as a whole (`SET n = $map`) becomes `SET n = {a: row[0], b: row[1]}`, if all rows have the same keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter

from sluice.bolt.values import Value
from sluice.folding.template import Keys, Template
from sluice.folding.words import is_name

MAX_KEYS = 100
"Keys of all maps of a row together."

Column = Sequence[Value]
"What the rows have in one place."


def keys_of(template: Template, columns: Sequence[Column]) -> Keys | None:
    """
    For each of the template's maps, the keys whose values are to be sent; None: the maps are not alike, or there are
    none.

    Args:
        columns: one for each of the template's names.
    """
    keys = []
    for number, asked in template.maps.items():
        column = columns[number]
        if set(map(type, column)) != {dict}:
            return None
        found = _common(column) if asked.as_a_whole else asked.properties
        if found is None or not set(asked.properties) <= set(found):
            return None
        keys.append(found)
    return tuple(keys) if keys and sum(map(len, keys)) <= MAX_KEYS else None


def spread(template: Template, columns: Sequence[Column], keys: Keys) -> list[Column]:
    """
    The columns with the values of the maps in their place, one column for each key.

    Raises KeyError: maps that are wanted as a whole have not the same keys.
    """
    found: list[Column] = []
    keys_of_map = dict(zip(template.maps, keys, strict=True))
    for number, column in enumerate(columns):
        if number not in keys_of_map:
            found.append(column)
        elif template.maps[number].as_a_whole:
            found += _values(column, keys_of_map[number])
        else:
            found += [[one.get(key) for one in column] for key in keys_of_map[number]]
    return found


def _common(maps: Sequence[Mapping[str, Value]]) -> tuple[str, ...] | None:
    """The keys that all of them have, if they have the same; None: they do not, or are nothing to be spread."""
    keys = tuple(maps[0])
    is_right = bool(keys) and set(map(len, maps)) == {len(keys)}
    return keys if is_right and all(type(key) is str and is_name(key) for key in keys) else None


def _values(maps: Sequence[Mapping[str, Value]], keys: Sequence[str]) -> Iterable[Column]:
    """The values of each key. Raises KeyError."""
    rows = map(itemgetter(*keys), maps)
    return [list(rows)] if len(keys) == 1 else zip(*rows, strict=True)
