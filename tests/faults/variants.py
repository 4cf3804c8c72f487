"""Products that are broken on purpose: a harness that finds nothing wrong with them would find nothing wrong at all."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.hosts.host import QUERY_MODULES

VARIANTS = ("exactly-once", "at-least-once", "at-most-once")
"What is promised, and two that are not: batch and checkpoint in transactions of their own, in either order."

# Added to the sink's module. The checkpoint's transaction comes after the batch's, or before it, in the same write.
SPLIT = """

def _send(self, transaction):
    vertex, uid = self._checkpoint_id
    start = encode_positions(transaction.before.positions, transaction.before.topic)
    parameters = {{"id": vertex, "uid": uid, "from": start, "to": transaction.properties, "session": ""}}
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
ORDERS = {"at-least-once": "batch + checkpoint", "at-most-once": "checkpoint + batch"}


def query_modules(variant: str, folder: Path) -> Path:
    """The query modules of a variant; a copy in `folder` if it is not the product itself."""
    if variant not in ORDERS:
        return QUERY_MODULES
    copy = folder / variant
    shutil.copytree(QUERY_MODULES, copy, ignore=shutil.ignore_patterns("__pycache__"))
    sink = copy / "sluice" / "persistence" / "sink.py"
    source = sink.read_text(encoding="utf-8")
    sink.write_text(source + SPLIT.format(order=ORDERS[variant]), encoding="utf-8")
    return copy
