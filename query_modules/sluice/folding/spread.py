"""
Maps that are parameters, sent as lists of their values.

Over Bolt, and in the server, a map costs more than a list of its values: 2.14.1 takes 40 or 23 µs for a vertex of 21
properties. So the keys go into the text. Of a map of which some properties are asked (`$event.id`) only those
are sent. One that a vertex gets as a whole (`SET n = $map`) becomes `SET n = {a: row[0], b: row[1]}`, if it has the
same keys in all rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sluice.bolt.values import Value
from sluice.folding.template import Row, Template
from sluice.folding.words import is_name

MOST_KEYS = 100
"Keys of all maps of a row together."

MOST_TEXTS = 16
"How many choices of keys there may be for one template: the server has to plan each of these texts."

Keys = tuple[tuple[str, ...], ...]


class Spreader:
    """
    Spreads the rows of one template.

    Threads: one thread at a time.
    """

    def __init__(self, template: Template) -> None:
        self._template = template
        self._texts: dict[Keys, str] = {}

    def spread(self, rows: Sequence[Row]) -> tuple[str, list[list[Value]]] | None:
        """A text and its rows; None: the maps are not alike, or there are none."""
        template = self._template
        keys: list[tuple[str, ...]] = []
        for number, asked in template.maps.items():
            column = rows if template.is_bare else [row[number] for row in rows]
            if set(map(type, column)) != {dict}:
                return None
            found = _keys_of(column) if asked.as_a_whole else asked.properties
            if found is None or not set(asked.properties) <= set(found):
                return None
            keys.append(found)
        text = self._text(tuple(keys)) if keys else None
        if text is None:
            return None
        if template.is_bare:
            return text, [[one.get(key) for key in keys[0]] for one in rows]
        keys_of = dict(zip(template.maps, keys, strict=True))
        return text, [_flat(row, keys_of) for row in rows]

    def _text(self, keys: Keys) -> str | None:
        text = self._texts.get(keys)
        if text is None and len(self._texts) < MOST_TEXTS and sum(map(len, keys)) <= MOST_KEYS:
            text = self._texts[keys] = self._template.spread(keys)
        return text


def _flat(row: Row, keys_of: Mapping[int, Sequence[str]]) -> list[Value]:
    """The row with the values of its maps in their place."""
    flat: list[Value] = []
    for number, value in enumerate(row):
        if number in keys_of:
            flat += map(value.get, keys_of[number])
        else:
            flat.append(value)
    return flat


def _keys_of(maps: Sequence[Mapping[str, Value]]) -> tuple[str, ...] | None:
    """The keys that all of them have, in the order of all of them; None: they differ, or are nothing to be spread."""
    keys, *others = set(map(tuple, maps))
    if others or not keys or not all(type(key) is str and is_name(key) for key in keys):
        return None
    return keys
