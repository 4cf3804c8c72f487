"""Which queries have to be sent by themselves, for what their values do to those of others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import chain

from sluice.bolt.values import Value
from sluice.folding.expressions import EXACT
from sluice.folding.text_queue import TextRows

_NUMBERS = (int, float)

_NEVER_MIXED = frozenset({str, int, bool, type(None)})
"Types of which no two values are equal to a MERGE and not the same."


def overwritten_keys(batch: Sequence[TextRows]) -> None:
    """Those that overwrite a property by which vertices are looked for."""
    for found in batch:
        for check in found.queue.checks:
            found.alone.update(check.failed_by(found))


def equal_numbers(batch: Sequence[TextRows]) -> None:
    """Those whose MERGE could find what another made of a number that is equal and not the same."""
    columns = [(found.alone, *column) for found in batch for column in found.queue.merged(found)]
    if all(set(map(type, values)) <= _NEVER_MIXED for _, values, _ in columns):
        return
    spellings: dict[Value, set[str]] = defaultdict(set)
    for value in chain.from_iterable(values for _, values, _ in columns):
        if type(value) in _NUMBERS:
            spellings[value].add(repr(value))
    unknown = any(found.queue.merges_unknown_numbers for found in batch)

    def is_mixed(value: Value) -> bool:
        if type(value) not in _NUMBERS:
            return type(value) not in _NEVER_MIXED
        is_float = type(value) is float
        return len(spellings[value]) > 1 or (is_float and (unknown or not abs(value) < EXACT))

    for alone, values, owners in columns:
        mixed = [number for number, value in enumerate(values) if is_mixed(value)]
        alone.update(mixed if owners is None else [owners[number] for number in mixed])


RULES: tuple[Callable[[Sequence[TextRows]], None], ...] = (overwritten_keys, equal_numbers)
"Each adds to `alone` of the texts of a batch."
