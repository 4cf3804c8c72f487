"""
Functions that read what an Avro schema describes: Python source, written for that schema and compiled once, as
`dataclasses` does it. Most fields are read in line, in half the time that fastavro takes to look up what they are.

They give what fastavro gives for data that is as the schema says. Of other data they raise something, or end at another
place than the data does: fastavro then says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from struct import Struct
from typing import Any

ReadAll = Callable[[Sequence[bytes], int, list[Any]], None]
"""
Reads values, each of which begins at the same place of its data, and adds them to a list; stops at the first that does
not end where its data does, and raises something at others that are none.
"""

Convert = Callable[[Any, Mapping[str, Any]], Any]
"A value of a logical type, and that type, into what a graph has."

_NUMBER = (
    "n = data[at]",
    "at += 1",
    "if n > 127:",
    "    n += (data[at] - 1) << 7",
    "    at += 1",
    "    if n > 16383:",
    "        n += (data[at] - 1) << 14",
    "        at += 1",
    "        if n > 2097151:",
    "            n, at = rest(data, at, n)",
)
"A number that tells negative ones by its last bit, of which three bytes are read in line."

_SIZE = ("n = data[at]", "at += 1", "if n & 129:", "    n, at = size(data, at, n)", "end = at + (n >> 1)")

_SIGNED = "{0} = -(n + 1 >> 1) if n & 1 else n >> 1"

_INTEGER = (*_NUMBER, _SIGNED)

_IN_LINE: Mapping[str, tuple[str, ...]] = {
    "null": ("{0} = None",),
    "boolean": ("{0} = data[at] != 0", "at += 1"),
    "int": _INTEGER,
    "long": _INTEGER,
    "float": ("({0},) = float_at(data, at)", "at += 4"),
    "double": ("({0},) = double_at(data, at)", "at += 8"),
    "bytes": (*_SIZE, "{0} = data[at:end]", "at = end"),
    "string": (*_SIZE, "{0} = decode(data[at:end])", "at = end"),
}
"Type -> the lines that give a variable its next value."

RECORDS = ("record", "error")

_SHIFTS = tuple(range(21, 63, 7))
"Of the bytes of a number from the fourth on; after them there may be one bit."

_BLOCKS = (
    "while True:",
    *(f"    {line}" for line in (*_NUMBER, _SIGNED.format("count"))),
    "    if not count:",
    "        return found, at",
    "    if count < 0:",
    "        count = -count",
    *(f"        {line}" for line in _NUMBER),
    "    for _ in range(count):",
)
"Of an array or a map: how many items follow; if that is negative, their bytes come after it."


def compiled(schema: Any, conversions: Mapping[str, Convert]) -> ReadAll:
    """
    The function for a schema. All values are read in one loop: to call a function for each takes a fifth of the time.

    Args:
        schema: as fastavro has parsed it.
        conversions: by type and logical type, joined as fastavro's own.
    """
    code = _Code(conversions)
    name = code.loop(schema)
    exec("\n".join(code.lines), code.names)
    read_all: ReadAll = code.names[name]
    return read_all


class _Code:
    """The functions for one schema."""

    def __init__(self, conversions: Mapping[str, Convert]) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {
            "rest": _rest,
            "size": _size,
            "decode": bytes.decode,
            "float_at": Struct("<f").unpack_from,
            "double_at": Struct("<d").unpack_from,
        }
        "What the source uses."
        self._conversions = conversions
        self._named: dict[str, Any] = {}
        "Full name of a type -> its schema."
        self._functions: dict[str, str] = {}
        "Full name of a record -> its function."
        self._variables = 0

    def loop(self, schema: Any) -> str:
        """Writes the function that reads many such values; its name."""
        name = self._variable("read")
        lines = [f"def {name}(values, start, found):", "    append = found.append"]
        lines += ["    for data in values:", "        at = start"]
        value = self._record(schema, lines, 2) if _kind(schema) in RECORDS else self._value(schema, lines, 2)
        self.lines += [*lines, "        if at != len(data):", "            return", f"        append({value})"]
        return name

    def _function(self, schema: Any) -> str:
        """Writes the function that reads such a value, and says where it ends; its name."""
        name = self._variable("read")
        lines = [f"def {name}(data, at):"]
        kind = _kind(schema)
        if kind in RECORDS:
            self._functions[schema["name"]] = name
            lines.append(f"    return {self._record(schema, lines, 1)}, at")
        elif kind in ("array", "map"):
            lines += _indented([f"found = {'[]' if kind == 'array' else '{}'}", *_BLOCKS], 1)
            key = "" if kind == "array" else self._value("string", lines, 3)
            item = self._value(schema["items" if kind == "array" else "values"], lines, 3)
            lines += _indented([f"found[{key}] = {item}" if key else f"found.append({item})"], 3)
        else:
            lines.append(f"    return {self._value(schema, lines, 1)}, at")
        self.lines += lines
        return name

    def _record(self, schema: Any, lines: list[str], depth: int) -> str:
        """Adds the lines that read a record's fields; what makes it of them."""
        self._named[schema["name"]] = schema
        fields = [(field["name"], self._value(field["type"], lines, depth)) for field in schema["fields"]]
        return f"{{{', '.join(f'{key!r}: {value}' for key, value in fields)}}}"

    def _value(self, schema: Any, lines: list[str], depth: int) -> str:
        """Adds the lines that read a value; the variable that has it."""
        kind = _kind(schema)
        if kind in self._named and kind not in self._functions:
            return self._value(self._named[kind], lines, depth)
        value = self._variable("v")
        if kind in _IN_LINE:
            made = [line.format(value) for line in _IN_LINE[kind]]
        elif kind == "fixed":
            made = [f"{value} = data[at : at + {schema['size']:d}]", f"at += {schema['size']:d}"]
        elif kind == "enum":
            symbols = {2 * place: symbol for place, symbol in enumerate(schema["symbols"])}
            made = [*_NUMBER, f"{value} = {self._name('symbols', symbols)}[n]"]
        elif kind == "union":
            made = self._union(schema, value)
        else:
            made = [f"{value}, at = {self._functions.get(kind) or self._function(schema)}(data, at)"]
        if kind in ("fixed", "enum"):
            self._named[schema["name"]] = schema
        convert = self._conversions.get(f"{kind}-{schema['logicalType']}") if "logicalType" in schema else None
        if convert is not None:
            made.append(f"{value} = {self._name('convert', convert)}({value}, {self._name('type', schema)})")
        lines += _indented(made, depth)
        return value

    def _union(self, schema: list[Any], value: str) -> list[str]:
        made = list(_NUMBER)
        for place, item in enumerate(schema):
            made.append(f"{'elif' if place else 'if'} n == {2 * place}:")
            made.append(f"    {value} = {self._value(item, made, 1)}")
        return [*made, "else:", "    raise ValueError"]

    def _name(self, begin: str, meaning: Any) -> str:
        name = self._variable(begin)
        self.names[name] = meaning
        return name

    def _variable(self, begin: str) -> str:
        self._variables += 1
        return f"{begin}{self._variables}"


def _kind(schema: Any) -> str:
    """A type's name; a full one if it is defined elsewhere."""
    return schema if isinstance(schema, str) else "union" if isinstance(schema, list) else schema["type"]


def _indented(lines: list[str], depth: int) -> list[str]:
    return ["    " * depth + line for line in lines]


def _rest(data: bytes, at: int, low: int) -> tuple[int, int]:
    """A number of more than three bytes, of which `low` is what the first three make, and where it ends."""
    number = low & 2097151
    for shift in _SHIFTS:
        byte = data[at]
        at += 1
        if byte < 128:
            return number | byte << shift, at
        number |= (byte & 127) << shift
    if data[at] > 1:
        raise ValueError
    return number | data[at] << 63, at + 1


def _size(data: bytes, at: int, low: int) -> tuple[int, int]:
    """A number that must not be negative, of which `low` is the first byte, and where it ends."""
    if low & 1:
        raise ValueError
    low += (data[at] - 1) << 7
    if low < 16384:
        return low, at + 1
    low += (data[at + 1] - 1) << 14
    return (low, at + 2) if low < 2097152 else _rest(data, at + 2, low)
