"""
The house in numbers: rooms and the arrows between them, long modules and constructors, names that stand for two things.

    python -m tests.house
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
INSIDE = ROOT / "query_modules"
OUTSIDE = ROOT / "tools"

MAX_LINES = 300
"Lines of a module; longer ones are named."

MAX_ARGUMENTS = 5
"Arguments of a constructor; longer ones are named."


class Module(NamedTuple):
    """One file of the two packages."""

    name: str
    "As it is imported: `sluice.bolt.client`."
    path: Path
    tree: ast.Module
    lines: int

    @property
    def room(self) -> str:
        """The folder that it is in, or itself if it stands right in its package: `sluice.bolt`, `sluice.errors`."""
        parts = self.name.split(".")
        return ".".join(parts[:2])


def modules() -> list[Module]:
    """All of both packages, and `streams.py`."""
    found = []
    for root in (INSIDE, OUTSIDE):
        for path in sorted(root.rglob("*.py")):
            name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
            text = path.read_text(encoding="utf-8")
            found.append(Module(name, path, ast.parse(text), text.count("\n")))
    return found


def imported(module: Module) -> Iterator[str]:
    """What a module imports, by whole names; of `from a import b`, both `a` and `a.b`."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def arrows(found: list[Module]) -> dict[tuple[str, str], list[str]]:
    """(room, room that it imports from) -> the imports, as `module -> module`."""
    rooms = {module.name: module.room for module in found}
    drawn = defaultdict(list)
    for module in found:
        for name in set(imported(module)):
            if name in rooms and rooms[name] != module.room and name != "sluice":
                drawn[module.room, rooms[name]].append(f"{module.name} -> {name}")
    return dict(drawn)


def long_constructors(found: list[Module]) -> list[tuple[int, str]]:
    """Constructors with more than MAX_ARGUMENTS arguments besides self: how many, and whose."""
    return sorted(
        (count, f"{module.name}.{node.name}")
        for module in found
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
        for item in node.body
        if isinstance(item, ast.FunctionDef) and item.name == "__init__"
        if (count := len(item.args.args) + len(item.args.kwonlyargs) - 1) > MAX_ARGUMENTS
    )[::-1]


def long_modules(found: list[Module]) -> list[tuple[int, str]]:
    """Modules with more than MAX_LINES lines: how many, and which."""
    return sorted(((module.lines, module.name) for module in found if module.lines > MAX_LINES), reverse=True)


def names_defined_twice(found: list[Module]) -> dict[str, list[str]]:
    """Public classes that stand in more than one module."""
    places = defaultdict(list)
    for module in found:
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(module.name)
    return {name: where for name, where in sorted(places.items()) if len(where) > 1}


def main() -> None:
    """Prints it all."""
    found = modules()
    drawn = arrows(found)
    rooms = {module.room for module in found if module.name.startswith("sluice.")}
    inside = [pair for pair in drawn if pair[0] in rooms and pair[1] in rooms]
    print(f"lines            {sum(module.lines for module in found)}")
    print(f"rooms inside     {len(rooms)}, with {len(inside)} arrows between them")
    for title, rows in (("long constructors", long_constructors(found)), ("long modules", long_modules(found))):
        print(f"{title:16} {len(rows)}: {', '.join(f'{name} {count}' for count, name in rows)}")
    twice = names_defined_twice(found)
    print(f"names of two     {len(twice)}: {', '.join(twice)}")


if __name__ == "__main__":
    main()
