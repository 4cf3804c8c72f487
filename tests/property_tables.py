"""
The tables of docs/kafka-security.md, from what the code checks by.

    python -m tests.property_tables     writes them into the page
"""

from __future__ import annotations

from pathlib import Path

from sluice.host.kafka_refusals import ON_REQUEST, REFUSED
from sluice.host.kafka_table import SECTIONS

PAGE = Path(__file__).parents[1] / "docs" / "kafka-security.md"
BEGIN, END = "<!-- properties: written by python -m tests.property_tables -->", "<!-- end of properties -->"


def tables() -> str:
    """What stands between the marks."""
    lines: list[str] = []
    for heading, properties in SECTIONS.items():
        lines += [f"**{heading}**", "", "| property | may be | |", "|---|---|---|"]
        lines += [f"| `{item.name}` | {item.kind.allowed} | {item.why} |" for item in properties]
        lines.append("")
    lines += [
        "**Where `SLUICE_KAFKA_ALLOW` names them**",
        "",
        "| property | may be | why not otherwise |",
        "|---|---|---|",
    ]
    lines += [f"| `{name}` | {kind.allowed} | {why} |" for name, (kind, why) in sorted(ON_REQUEST.items())]
    lines += ["", "**Never**", "", "| properties | why |", "|---|---|"]
    for why in dict.fromkeys(REFUSED.values()):
        lines.append(f"| {', '.join(f'`{name}`' for name in REFUSED if REFUSED[name] == why)} | {why} |")
    return "\n".join(lines)


def written() -> str:
    """What the page has between the marks."""
    return PAGE.read_text("utf-8").partition(f"{BEGIN}\n")[2].partition(f"\n{END}")[0]


def main() -> None:
    """Writes the page."""
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(f"{BEGIN}\n")
    after = rest.partition(f"\n{END}")[2]
    PAGE.write_text(f"{before}{BEGIN}\n{tables()}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
