"""
How the rows of a folded query are sent: as a list of rows or, where there are many, column by column.

Memgraph makes each list and each text of a parameter anew three times before a row gets to see it. A text that is
split there is made once, and packed here in no time. Of 4000 edges each takes 2.14.1 5.2 µs instead of 7.0, of 4000
vertices of 21 properties 13 instead of 20.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sluice.bolt.values import Value
from sluice.folding.spread import Column, keys_of, spread
from sluice.folding.template import ROWS, SEPARATOR, Joined, Keys, Row, Template

MIN_ROWS = 100
"Rows that are sent as columns: with fewer it costs more than it gains."

PART = 64
"""
Rows that are sent together. Where Memgraph copies all that a query holds for each row, as it does in some joins, it
copies the columns of a part.
"""

MARK = "\x1f"
"ASCII's unit separator: texts that have one in them are sent by themselves."

MAX_TEXTS_PER_BATCH = 16
"How many forms of a template are used: the server has to plan the text of each."


class Unwinder:
    """The rows of one template. Threads: one thread at a time."""

    def __init__(self, template: Template) -> None:
        self._template = template
        self._texts: dict[tuple[Keys | None, Joined | None], str] = {}

    def unwound(self, rows: Sequence[Row]) -> tuple[str, dict[str, Value]]:
        """The text that stands for so many queries, and its parameters."""
        template = self._template
        if not template.names:
            return template.text, {ROWS: rows}
        given: Sequence[Column] = [rows] if template.is_bare else list(zip(*rows, strict=True))
        keys, columns = self._spread(given)
        if template.has_columns and len(rows) >= MIN_ROWS:
            found = self._by_columns(columns, keys)
            if found is not None:
                return found
        text = self._text(keys, None)
        if text is None:
            keys, columns, text = None, given, template.text
        is_value = template.is_bare and keys is None
        return text, {ROWS: list(rows) if is_value else list(map(list, zip(*columns, strict=True)))}

    def _spread(self, given: Sequence[Column]) -> tuple[Keys | None, Sequence[Column]]:
        """The keys of maps whose values are sent in their place, and what is sent."""
        keys = keys_of(self._template, given) if self._template.maps else None
        try:
            return keys, given if keys is None else spread(self._template, given, keys)
        except KeyError:  # the maps have not the same keys
            return None, given

    def _by_columns(self, columns: Sequence[Column], keys: Keys | None) -> tuple[str, dict[str, Value]] | None:
        is_value = self._template.is_bare and keys is None
        sent = [_sent(column, len(column) if is_value else PART) for column in columns]
        joined = tuple(isinstance(parts[0], str) for parts in sent)
        if joined == (False,):
            return None
        text = self._text(keys, joined)
        if text is None:
            return None
        rows = sent[0][0] if is_value else list(map(list, zip(*sent, strict=True)))
        return text, {ROWS: rows, SEPARATOR: MARK}

    def _text(self, keys: Keys | None, joined: Joined | None) -> str | None:
        """None: there are too many forms already."""
        form = keys, joined
        if form not in self._texts and len(self._texts) < MAX_TEXTS_PER_BATCH:
            self._texts[form] = self._template.form(keys, joined)
        return self._texts.get(form)


def _sent(column: Column, size: int) -> list[Any]:
    """A column in parts of so many values, which are texts if all of its values are, and have no mark in them."""
    count = len(column)
    # Never a part of a single value: an empty text is split into nothing.
    starts = range(0, max(1, count - 1), size)
    ends = [*starts[1:], count]
    parts = [column[start:end] for start, end in zip(starts, ends, strict=True)]
    if set(map(type, column)) == {str}:
        joined = [MARK.join(part) for part in parts]
        if sum(part.count(MARK) for part in joined) == count - len(parts):
            return joined
    return list(map(list, parts))
