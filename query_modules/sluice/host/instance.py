"""
Which server process this is, for the loopback: whoever answers at its port may be another server.
"""

from __future__ import annotations

import secrets
import sys

ATTRIBUTE = "_memgraph_sluice_instance"
"Of `sys`, which a reload of the modules spares, so that all copies of this package say the same."


def this_process() -> str:
    """A text that no other process has; the same for as long as this one lives."""
    return str(vars(sys).setdefault(ATTRIBUTE, secrets.token_hex(8)))
