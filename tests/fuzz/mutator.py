"""
Inputs out of seeds: bytes that were changed, and JSON values that were.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeAlias

MAX_SIZE = 1 << 12
"Bytes of an input at the most: what is wrong shows in a small one."

MAX_CHANGES = 4

Mutate: TypeAlias = Callable[[Sequence[bytes], Random], bytes]

NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"Values at whose edges sizes and signs go wrong."


def changed_bytes(seeds: Sequence[bytes], rng: Random) -> bytes:
    """A seed with a few changes."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(1, MAX_CHANGES)):
        rng.choice(_CHANGES)(data, seeds, rng)
    return bytes(data[:MAX_SIZE])


def _span(data: Sequence[int], rng: Random) -> tuple[int, int]:
    start = rng.randint(0, len(data))
    return start, min(len(data), start + rng.choice((1, 1, 2, 4, 16, 64)))


def _flip(data: bytearray, _: Sequence[bytes], rng: Random) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _set(data: bytearray, _: Sequence[bytes], rng: Random) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.randrange(256)


def _number(data: bytearray, _: Sequence[bytes], rng: Random) -> None:
    start, value = rng.randint(0, len(data)), rng.choice(NUMBERS)
    size = max(1, (value.bit_length() + 7) // 8)
    data[start : start + size] = value.to_bytes(size, "big")


def _remove(data: bytearray, _: Sequence[bytes], rng: Random) -> None:
    start, end = _span(data, rng)
    del data[start:end]


def _repeat(data: bytearray, _: Sequence[bytes], rng: Random) -> None:
    start, end = _span(data, rng)
    data[start:start] = data[start:end] * rng.choice((1, 1, 2, 30))


def _insert(data: bytearray, _: Sequence[bytes], rng: Random) -> None:
    start = rng.randint(0, len(data))
    data[start:start] = rng.randbytes(rng.choice((1, 2, 3, 8)))


def _splice(data: bytearray, seeds: Sequence[bytes], rng: Random) -> None:
    other = rng.choice(seeds)
    start, end = sorted((rng.randint(0, len(other)), rng.randint(0, len(other))))
    place = rng.randint(0, len(data))
    data[place : place + rng.choice((0, end - start))] = other[start:end]


def _cut(data: bytearray, _: Sequence[bytes], rng: Random) -> None:
    del data[rng.randint(0, len(data)) :]


_CHANGES = (_flip, _flip, _set, _number, _remove, _repeat, _insert, _splice, _splice, _cut)

SCALARS: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31 - 1, 2**31, 2**63 - 1, -(2**63), 0.5, -0.0, 1e308, float("nan"), float("inf")),
    *(
        "",
        " ",
        "x",
        "0",
        "-1",
        "null",
        "[]",
        "{}",
        "\ud800",
        "\0",
        "\n",
        "é",
        "@",
        "env:NAME",
        "file:/srv/x",
        "9" * 5000,
    ),
    *([], {}, [[]], {"": None}, {"$": "date"}, {"$": "structure"}, {"$": "bytes"}),
)
"What a value is changed to; a map with $ stands for a value that JSON does not have (`targets`)."


def changed_json(seeds: Sequence[bytes], rng: Random) -> bytes:
    """A seed, which is JSON, with a few changes to its values; sometimes as `changed_bytes`."""
    if rng.random() < 0.1:
        return changed_bytes(seeds, rng)
    value = json.loads(rng.choice(seeds))
    for _ in range(rng.randint(1, MAX_CHANGES)):
        value = _changed(value, seeds, rng)
    return json.dumps(value).encode()


def _changed(value: Any, seeds: Sequence[bytes], rng: Random) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.9:
        name = rng.choice(list(value))
        match rng.randrange(8):
            case 0:
                return {key: item for key, item in value.items() if key != name}
            case 1:
                return {**value, rng.choice(("", "x", "0", "number", "start")): value[name]}
            case _:
                return {**value, name: _changed(value[name], seeds, rng)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        return [*value[:at], _changed(value[at], seeds, rng), *value[at + rng.randint(0, 1) :]]
    if isinstance(value, str) and value and rng.random() < 0.5:
        if value[0] in "[{":  # JSON within JSON
            return _within(value, seeds, rng)
        return changed_bytes([value.encode("utf-8", "replace")], rng).decode(errors="replace")
    return rng.choice(SCALARS)


def _within(value: str, seeds: Sequence[bytes], rng: Random) -> str:
    try:
        return json.dumps(_changed(json.loads(value), seeds, rng))
    except ValueError:
        return ""
