"""
The properties that librdkafka has: as the installed one lists them, and as the list says that we have looked through.

    python -m tests.librdkafka      writes the list anew, for a new version

Nothing is set: librdkafka is only asked to print its documentation.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import confluent_kafka

LIST = Path(__file__).with_name("librdkafka.txt")

PRINT = """
import ctypes, ctypes.util, glob, os
import confluent_kafka
beside = os.path.join(os.path.dirname(os.path.dirname(confluent_kafka.__file__)), "confluent_kafka.libs", "librdkafka*")
library = ctypes.CDLL(next(iter(glob.glob(beside)), None) or ctypes.util.find_library("rdkafka"))
libc = ctypes.CDLL(None)
library.rd_kafka_conf_properties_show.argtypes = [ctypes.c_void_p]
library.rd_kafka_conf_properties_show(ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


@dataclass(frozen=True)
class Documented:
    """A property, as librdkafka documents it."""

    name: str
    kind: str
    "Such as integer, boolean, string, `enum value`."
    range: str
    "Such as `1 .. 100`, or words with commas between; empty if it says none."

    @property
    def bounds(self) -> tuple[int, int]:
        """The range of an integer."""
        low, high = self.range.split(" .. ")
        return int(low), int(high)


def installed() -> set[Documented]:
    """What the librdkafka of the installed wheel has."""
    shown = subprocess.run([sys.executable, "-c", PRINT], check=True, capture_output=True, text=True).stdout
    found = set()
    for line in shown.splitlines():
        kind = re.search(r"<br>\*Type: (.*)\*", line)
        if kind:
            columns = [column.strip() for column in line.split("|")]
            found.add(Documented(columns[0], kind[1].strip(), columns[2]))
    return found


def listed() -> set[Documented]:
    """What `LIST` has."""
    lines = [line for line in LIST.read_text("utf-8").splitlines() if not line.startswith("#")]
    return {Documented(*(part.strip() for part in line.split("|"))) for line in lines}


def version() -> str:
    """The confluent-kafka whose properties `LIST` has."""
    return LIST.read_text("utf-8").splitlines()[0].rsplit(" ", 1)[1]


def main() -> None:
    """Writes `LIST`."""
    found = sorted(installed(), key=lambda item: (item.name, item.range))
    lines = [f"{item.name} | {item.kind} | {item.range}" for item in found]
    LIST.write_text("\n".join([f"# confluent-kafka {confluent_kafka.__version__}", *lines]) + "\n", "utf-8")


if __name__ == "__main__":
    main()
