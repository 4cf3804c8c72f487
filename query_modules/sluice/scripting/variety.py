"""
Notices transforms that put values into the texts of their queries, in place of parameters.

The server has to parse and plan each such text, and nothing is folded. That is said once, where a script's own output
goes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from sluice.values.same_query import texts_of

MANY = 500
"Different texts from which on a stream has too many of them, if they are half of its queries at least."

ENOUGH = 100_000
"Queries after which a stream that has not that many is not watched any more."

WARNING = (
    "WARNING sluice: the texts of this transform's queries differ from each other ({texts} among {queries}): values "
    "belong into parameters, since each new text is parsed and planned, and none is folded; such as: {example}"
)

MAX_EXAMPLE = 120


class Variety:
    """Counts the different texts of a stream."""

    def __init__(self) -> None:
        self._texts: set[int] = set()
        self._queries = 0

    def settled(self, queries: Sequence[tuple[str, Any]]) -> bool:
        """Whether no more queries need to be looked at after these: the warning was given, or there is no reason."""
        self._queries += len(queries)
        self._texts.update(map(hash, set(texts_of(queries))))
        count = len(self._texts)
        if count < MANY:
            return self._queries > ENOUGH
        if 2 * count < self._queries:
            return True
        example = " ".join(queries[-1][0].split())[:MAX_EXAMPLE]
        print(WARNING.format(texts=count, queries=self._queries, example=example), file=sys.stderr, flush=True)
        return True
