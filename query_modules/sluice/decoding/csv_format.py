"""
Rows of CSV, one or more in a message, as maps: column -> value.

    "an\\nn",bob,1     a line break within quotes stays
    name,age           with `header: true` each message begins with its columns' names
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sluice.decoding.options import OptionReader
from sluice.decoding.refusals import WrongMessage, WrongOption
from sluice.decoding.texts import text_of

csv.field_size_limit(2**31 - 1)
"A message is the limit. Python's own is 128 KiB for a field."


BOOLEANS = {"true": True, "false": False}


def _number(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """Python also takes `1_000`, which nobody else does."""
    return lambda text: kind(text.replace("_", "?"))


TYPES: Mapping[str, Callable[[str], Any]] = {
    "text": str,
    "integer": _number(int),
    "float": _number(float),
    "boolean": lambda text: BOOLEANS[text.strip().lower()],
}


class CsvFormat:
    """How a topic's rows are written."""

    framed = False

    def __init__(self, options: OptionReader) -> None:
        """Takes its options: columns or header, delimiter, types. Raises WrongOption."""
        self._columns = options.texts("columns", ())
        self._header = options.flag("header", False)
        self._delimiter = options.take("delimiter", ",")  # which may be a tab
        types = options.map("types")
        if self._header == bool(self._columns):
            raise WrongOption(
                "CSV needs either the option columns, the names of the columns in their order, or header: true if each "
                "message begins with them"
            )
        if not isinstance(self._delimiter, str) or len(self._delimiter) != 1 or self._delimiter in '"\r\n\0':
            raise WrongOption(f"the option delimiter must be one character, got {self._delimiter!r}")
        for name, kind in types.items():
            if kind not in TYPES:
                raise WrongOption(f"the option types must map columns to {', '.join(TYPES)}, got {kind!r} for {name}")
            if self._columns and name not in self._columns:
                raise WrongOption(f"the option types names the column {name}, which columns does not have")
        self._types = {name: TYPES[kind] for name, kind in types.items() if kind != "text"}

    def read_all(self, values: Sequence[bytes], headers: Sequence[bytes | None] = ()) -> list[Any]:
        """The rows of each message. Raises WrongMessage."""
        return list(map(self._rows, values))

    def _rows(self, value: bytes) -> list[dict[str, Any]]:
        # With an empty `newline` lines end where CSV says, and not at every separator that Unicode has.
        reader = csv.reader(io.StringIO(text_of(value), newline=""), delimiter=self._delimiter, strict=True)
        columns = self._columns
        rows = []
        try:
            for fields in reader:
                if not fields:
                    continue  # an empty line
                if self._header and not columns:
                    columns = _columns_of(fields)
                else:
                    rows.append(self._row(columns, fields, reader.line_num))
        except csv.Error as error:
            raise WrongMessage(f"not CSV: {error} (line {reader.line_num})") from None
        return rows

    def _row(self, columns: Sequence[str], fields: list[str], line: int) -> dict[str, Any]:
        if len(fields) != len(columns):
            raise WrongMessage(f"not CSV of {len(columns)} columns: {len(fields)} fields (line {line})")
        row: dict[str, Any] = dict(zip(columns, fields, strict=True))
        for name, kind in self._types.items():
            text = row.get(name)
            if text is None:
                raise WrongMessage(f"not CSV with the column {name}, which the option types names (line {line})")
            try:
                row[name] = kind(text) if text.strip() else None
            except (ValueError, KeyError):
                raise WrongMessage(
                    f"not CSV of these types: {text[:40]!r} in the column {name} (line {line})"
                ) from None
        return row


def _columns_of(fields: list[str]) -> list[str]:
    names = [field.strip() for field in fields]
    if not all(names) or len(set(names)) < len(names):
        raise WrongMessage(f"not CSV with a name for each column: {', '.join(names)[:80]}")
    return names
