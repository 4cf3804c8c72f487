"""
The table of settings in README, from what the code reads them by.

    python -m tests.settings_table     writes it into the page
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from sluice.host.setting import declaration_of, written
from sluice.host.settings import Settings, variable

PAGE = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- settings: written by python -m tests.settings_table -->", "<!-- end of settings -->"


def table() -> str:
    """What stands between the marks."""
    lines = ["| variable | meaning | default |", "|---|---|---|"]
    for field in dataclasses.fields(Settings):
        declared, default = declaration_of(field), written(field.default)
        if declared.shown is not None:
            default = declared.shown
        elif default and not isinstance(field.default, int | float):
            default = f"`{default}`"
        lines.append(f"| `{variable(field.name)}` | {declared.text} | {default} |".replace("|  |", "| |"))
    return "\n".join(lines)


def written_table() -> str:
    """What the page has between the marks."""
    return PAGE.read_text("utf-8").partition(f"{BEGIN}\n")[2].partition(f"\n{END}")[0]


def main() -> None:
    """Writes the page."""
    before, _, rest = PAGE.read_text("utf-8").partition(f"{BEGIN}\n")
    after = rest.partition(f"\n{END}")[2]
    PAGE.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
