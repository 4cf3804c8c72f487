"""
The tuning constants of both packages side by side: seconds first, then sizes and counts, each with what it is for.

    python -m tests.tuning
"""

from __future__ import annotations

import ast
from typing import NamedTuple

from tests.house import Module, modules


class Constant(NamedTuple):
    """A number that a module is tuned by."""

    name: str
    "With its module's."
    value: float
    text: str
    "What stands under it; empty if nothing does."

    @property
    def in_seconds(self) -> bool:
        """Whether it is a time."""
        return isinstance(self.value, float) and ("econds" in self.text or "How long" in self.text)


def constants(found: list[Module]) -> list[Constant]:
    """All numbers that modules define in capitals, with their docstrings, ordered by value."""
    numbers = []
    for module in found:
        before = ""
        for place, node in enumerate(module.tree.body):
            match node:
                case ast.Assign([ast.Name(name)], expression) if name.isupper():
                    value, text = _number(expression), _text_under(module.tree.body[place + 1 : place + 2])
                    before = text if not text.startswith("...") else f"{before.rstrip('.')} {text}"
                    if value is not None:
                        numbers.append(Constant(f"{module.name}.{name}", value, before))
    return sorted(numbers, key=lambda constant: constant.value)


def _number(node: ast.expr) -> float | None:
    """The value of a number, or of one that is written as `1 << 20` or `2**63 - 1`."""
    if not all(isinstance(part, ast.Constant | ast.BinOp | ast.operator) for part in ast.walk(node)):
        return None
    value = eval(compile(ast.Expression(node), "constant", "eval"))
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text_under(nodes: list[ast.stmt]) -> str:
    match nodes:
        case [ast.Expr(ast.Constant(str(text)))]:
            return " ".join(text.split())
    return ""


def main() -> None:
    """Prints them."""
    found = constants(modules())
    for title, times in (("seconds", True), ("sizes and counts", False)):
        print(title)
        for constant in found:
            if constant.text and constant.in_seconds is times:
                print(f"  {constant.value:>12g}  {constant.name:<48}  {constant.text}")


if __name__ == "__main__":
    main()
