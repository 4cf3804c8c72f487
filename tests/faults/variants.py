"""Products that are broken on purpose: a harness that finds nothing wrong with them would find nothing wrong at all."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.hosts.host import QUERY_MODULES

VARIANTS = ("exactly-once", "at-least-once", "at-most-once", "no-turns")
"""
What is promised, and three that are not: batch and checkpoint in transactions of their own, in either order; streams
and lanes that do not wait for one another.
"""

# Added to the sink's module. The checkpoint's transaction comes after the batch's, or before it, in the same write.
SPLIT = """

def _send(self, transaction):
    vertex, uid = self._checkpoint_id
    start = encode_positions(transaction.before.positions, transaction.before.topic)
    parameters = {{"id": vertex, "uid": uid, "from": start, "to": transaction.properties, "session": self._session}}
    checkpoint = b"".join((BEGIN, frame(messages.run(FENCE, parameters)), PULL_ALL, COMMIT))
    batch = b"".join((BEGIN, transaction.queries.frames, COMMIT))
    request = {order}
    self._connection.send(request)
    sent = replace(transaction, bytes=len(request), sent_at=time.monotonic())
    self.in_flight.all = (*self.in_flight.all, sent)


def _replies_to(transaction):
    return 6 + 2 * transaction.queries.size


Sink.send = _send
"""
NO_TURNS = """

MergeGuard._obstacle = lambda self, owner, keys, ticket, now: None
"""
ADDITIONS = {
    "at-least-once": ("persistence/sink.py", SPLIT.format(order="batch + checkpoint")),
    "at-most-once": ("persistence/sink.py", SPLIT.format(order="checkpoint + batch")),
    "no-turns": ("engine/merge_guard.py", NO_TURNS),
}
"What is added to which module."


def query_modules(variant: str, folder: Path) -> Path:
    """The query modules of a variant; a copy in `folder` if it is not the product itself."""
    if variant not in ADDITIONS:
        return QUERY_MODULES
    copy = folder / variant
    shutil.copytree(QUERY_MODULES, copy, ignore=shutil.ignore_patterns("__pycache__"))
    module, addition = ADDITIONS[variant]
    path = copy / "sluice" / module
    path.write_text(path.read_text(encoding="utf-8") + addition, encoding="utf-8")
    return copy
