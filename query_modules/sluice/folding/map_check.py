"""Maps that are written over vertices, and the properties by which vertices are looked for."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import TYPE_CHECKING

from sluice.bolt.values import Value
from sluice.folding.access import Access, Element, Origin, OverwriteCheck
from sluice.folding.expressions import Key

if TYPE_CHECKING:
    from sluice.folding.text_queue import TextRows

_ABSENT = object()


class MapCheck:
    """
    An overwrite check of one text: which of its queries leave the properties that are looked for as they are.

    `expected` has, for each such property, the value that it must have in the map; None: it must not be there.
    """

    def __init__(self, access: Access, element: Element, check: OverwriteCheck, looked_for: Iterable[str]) -> None:
        """`looked_for`: the properties of vertices that decide, in any text of the schedule, what is found."""
        self._check = check
        self._own: set[str] = set()
        "Properties whose value is looked for as the map has it: they are not changed by it."
        self.expected: dict[str, Key | None] = {}
        is_new = element.origin is Origin.CREATED
        for name in looked_for:
            if check.map.lists:
                if name not in check.kept:
                    self.expected[name] = None
                continue
            key = element.keys.get(name) if is_new else access.known(element.variable, name)
            if key == Key((*check.map.path, name)):
                self._own.add(name)
            if key is not None or not (check.replaces or (is_new and name not in element.properties)):
                self.expected[name] = key

    def failed_by(self, found: TextRows) -> Iterable[int]:
        """The numbers of the rows that change a property that is looked for, or may."""
        key = self._check.map
        if key.lists:
            return [number for number, maps in enumerate(found.elements(key)) if not self._spares(maps)]
        expected = {name: found.column(key) if key else None for name, key in self.expected.items()}
        maps = found.column(key)
        if all(_hold(maps, name, values, is_own=name in self._own) for name, values in expected.items()):
            return ()
        return [number for number, item in enumerate(maps) if not self._holds(number, item, expected)]

    def _spares(self, maps: list[Value] | None) -> bool:
        """Whether none of the maps has any of the properties."""
        return maps is not None and all(type(item) is dict and self.expected.keys().isdisjoint(item) for item in maps)

    def _holds(self, number: int, item: Value, expected: dict[str, list[Value] | None]) -> bool:
        replaces = self._check.replaces
        if type(item) is not dict:
            return False
        if not replaces and expected.keys().isdisjoint(item):
            return True
        for name, values in expected.items():
            value = item.get(name, _ABSENT)
            if value is _ABSENT:
                if replaces:
                    return False
            elif values is None or type(value) is not type(values[number]) or value != values[number]:
                return False
        return True


def _hold(maps: list[Value], name: str, values: list[Value] | None, *, is_own: bool) -> bool:
    """
    Whether a look at all maps together shows already that each has the value that it must have.

    Args:
        is_own: whether the values come from these maps, so that nothing need be compared.
    """
    if values is None or not set(map(type, values)) <= {str, int, bool}:  # NaN is not equal to itself
        return False
    if is_own:
        return True
    try:
        found = list(map(itemgetter(name), maps))
    except (KeyError, TypeError, IndexError):
        return False
    return set(map(type, maps)) == {dict} and found == values and list(map(type, found)) == list(map(type, values))
