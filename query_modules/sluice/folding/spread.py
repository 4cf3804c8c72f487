"""
Maps that have the same keys in all rows, sent as their values.

What a vertex gets as a whole (`SET n = $map`) is a map of properties. Over Bolt, and in the server, a map costs three
times what a list of its values does (2.14.1: 40 and 23 µs for a vertex of 21 properties), so the keys go into the text:
`SET n = {a: row[0], b: row[1]}`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sluice.bolt.values import Value
from sluice.folding.template import Row, Template

MOST_KEYS = 100
"Keys of all maps of a row together."

MOST_TEXTS = 16
"How many choices of keys there may be for one template: the server has to plan each of these texts."

_is_name = re.compile("[A-Za-z_][A-Za-z0-9_]*").fullmatch

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
        if template.is_bare:
            keys = _keys_of(rows)
            text = self._text((keys,)) if keys else None
            return None if text is None else (text, list(map(list, map(dict.values, rows))))
        found = [_keys_of([row[number] for row in rows]) for number in sorted(template.maps)]
        text = self._text(tuple(keys for keys in found if keys is not None)) if found and all(found) else None
        return None if text is None else (text, [self._flat(row) for row in rows])

    def _text(self, keys: Keys) -> str | None:
        text = self._texts.get(keys)
        if text is None and len(self._texts) < MOST_TEXTS and sum(map(len, keys)) <= MOST_KEYS:
            text = self._texts[keys] = self._template.spread(keys)
        return text

    def _flat(self, row: Row) -> list[Value]:
        flat: list[Value] = []
        for number, value in enumerate(row):
            if number in self._template.maps:
                flat += value.values()
            else:
                flat.append(value)
        return flat


def _keys_of(maps: Sequence[Value]) -> tuple[str, ...] | None:
    """The keys that all of them have, in the order of all of them; None: they differ, or are nothing to be spread."""
    if set(map(type, maps)) != {dict}:
        return None
    keys, *others = set(map(tuple, maps))
    if others or not keys or not all(type(key) is str and _is_name(key) for key in keys):
        return None
    return keys
