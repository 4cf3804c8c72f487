"""What the commands share: signing in, reading a password, printing. Needs typer and rich, as they do."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

PASSWORD = "MEMGRAPH_PASSWORD"
"The variable that the password may be in."

User = Annotated[str, typer.Option(metavar="NAME", help=f"User to sign in as; the password is in {PASSWORD}.")]
PasswordFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="... or in this file.", exists=True, dir_okay=False)
]
Authorities = Annotated[
    Path | None,
    typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Who may have signed certificates (PEM)."),
]


def password_of(file: Path | None, option: str) -> str:
    """The password in a file, without its line break; without a file, the one in PASSWORD. Raises BadParameter."""
    if file is None:
        return os.environ.get(PASSWORD, "")
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeError) as error:
        raise typer.BadParameter("cannot be read as text", param_hint=option) from error


def pairs_of(given: Sequence[str] | None, option: str) -> dict[str, Any]:
    """What `NAME=JSON` says, given any number of times: name -> value. Raises BadParameter."""
    return dict(_pair(text, option) for text in given or ())


def _pair(given: str, option: str) -> tuple[str, Any]:
    name, equals, value = given.partition("=")
    if not (name and equals):
        raise typer.BadParameter(f"{visible(given)} is not NAME=JSON", param_hint=option)
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError) as error:
        message = f"the value of {visible(name)} is not JSON (a string needs its quotes: {name}='\"text\"'): {error}"
        raise typer.BadParameter(visible(message), param_hint=option) from error


def visible(text: str) -> str:
    """`text` with every character escaped that a terminal would obey instead of showing it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def show(console: Console, text: str, style: str = "") -> None:
    """Prints `text` as it is: no markup, since `[red]` in a query is a list; no wrapping, since it is to be copied."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True, emoji=False)


def show_json(value: dict[str, Any]) -> None:
    """Prints one JSON object; dates and times are texts."""
    typer.echo(json.dumps(value, indent=2, default=str))


def show_table(console: Console, columns: list[str], rows: list[list[Any]]) -> None:
    """Prints rows as the specification prints results."""
    table = Table(box=box.ASCII2, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # As the specification's tables have values: `{id:"1"}`, and text at the top without quotes.
        cells = [value if isinstance(value, str) else _inner(value) for value in row]
        table.add_row(*(Text("\n".join(map(visible, cell.strip().splitlines()))) for cell in cells))
    console.print(table)


def _inner(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_inner(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_inner, value)) + "]"
    if value is None or isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
