"""The embedded stand-in as the host."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tests.hosts.host import REPOSITORY, ServerHost


class SandboxHost(ServerHost):
    """`python -m sandbox`, by its command line: the tests see of it what they see of Memgraph."""

    name = "the sandbox"
    folder = REPOSITORY
    is_memgraph = False

    def program(self) -> Sequence[str | Path]:
        """The sandbox of this checkout, on the Python of this test run."""
        return [sys.executable, "-m", "sandbox"]
