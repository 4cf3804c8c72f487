"""Golden pairs: a batch of queries, and what it becomes. `golden/README.md` says how to add one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from sluice.folding import FOLDED, explain
from tests.unit.folding.batches import Query
from tests.unit.folding.forms import folded

FOLDER = Path(__file__).parent / "golden"

ARROW = "=>"
"The line between a batch and what it becomes."


class Pair(NamedTuple):
    """A batch, and what is written below it."""

    title: str
    batch: list[str]
    "The lines of the queries, as written."
    result: list[str]
    "The lines of what it becomes, as written."

    @property
    def queries(self) -> list[Query]:
        """The batch: lines of text, then a line of parameters for each query of that text."""
        found: list[Query] = []
        text: list[str] = []
        is_complete = False
        for line in self.batch:
            if not line.startswith("{"):
                text = [line] if is_complete else [*text, line]
            else:
                found.append(("\n".join(text), json.loads(line)))
            is_complete = line.startswith("{")
        return found

    def now(self) -> list[str]:
        """The lines of what it becomes now."""
        queries = self.queries
        lines = [found for text in dict.fromkeys(text for text, _ in queries) for found in _explained(text)]
        results = folded(queries, by_columns=self.title.endswith("as columns"))
        if results == queries:
            return [*lines, "sent as it is"]
        for text, parameters in results:
            lines += [*text.split("\n"), json.dumps(parameters, ensure_ascii=False)]
        return lines


def _explained(text: str) -> list[str]:
    found = explain(text)
    return [] if found == FOLDED else [f"not folded: {found.removeprefix('sent as it is: ')}"]


def pairs(text: str) -> Iterator[Pair]:
    """The pairs of a file: each begins with `# title` and ends at the next."""
    for block in f"\n{text}".split("\n# ")[1:]:
        title, *lines = block.strip("\n").split("\n")
        arrow = lines.index(ARROW) if ARROW in lines else len(lines)
        yield Pair(title, lines[:arrow], lines[arrow + 1 :])


def written(found: Iterable[Pair]) -> str:
    """The text of a file with these pairs, and what each becomes now."""
    return "\n".join("\n".join([f"# {pair.title}", *pair.batch, ARROW, *pair.now(), ""]) for pair in found)
