"""What the commands share of printing. Needs typer and rich, as they do."""

from __future__ import annotations

import json
from typing import Any

import typer
from rich.console import Console


def visible(text: str) -> str:
    """`text` with every character escaped that a terminal would obey instead of showing it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def show(console: Console, text: str, style: str = "") -> None:
    """Prints `text` as it is: no markup, since `[red]` in a query is a list; no wrapping, since it is to be copied."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True, emoji=False)


def show_json(value: dict[str, Any]) -> None:
    """Prints one JSON object."""
    typer.echo(json.dumps(value, indent=2))
