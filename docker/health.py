"""
The health check of the image: whether the server answers, with the module in it.

Signs in as the module's own loopback does: by SLUICE_* variables and the flags of process 1, the server. The folder of
the modules is to be on PYTHONPATH.

    health.py                         exit code 0: streams.show answers
    health.py --check-python PROGRAM  ... for the build: this is the Python that PROGRAM embeds, and loads the package
"""

from __future__ import annotations

import sys
from pathlib import Path

import sluice.host.web  # noqa: F401 - what scripts are fetched with
import sluice.supervising.process  # noqa: F401 - all that the module loads, Kafka's client among it
from sluice.host import server_flags, settings
from sluice.persistence.loopback import Loopback
from sluice_tools.install.places import linked_python

SERVER = Path("/proc/1/cmdline")


def check_server() -> None:
    """Raises if the server does not answer."""
    server_flags.COMMAND_LINE = SERVER
    with Loopback(settings.load()) as loopback:
        loopback.connection.fetch("CALL streams.show() YIELD name RETURN count(name) AS streams", timeout=5.0)


def check_python(program: str) -> None:
    """Raises if this is not the Python that a program embeds; if it lacks something, the imports above did."""
    embedded, here = linked_python(Path(program)), sys.version_info[:2]
    if embedded not in (None, here):
        raise RuntimeError(f"{program} embeds Python {embedded}, and this is {here}")


if __name__ == "__main__":
    try:
        check_python(sys.argv[2]) if sys.argv[1:2] == ["--check-python"] else check_server()
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")
