"""
The flags of the server in which this code runs, so that the loopback finds its server without configuration.

Memgraph reads them from `/etc/memgraph/memgraph.conf`, then `~/.memgraph/config`, then the file that MEMGRAPH_CONFIG
names, and the command line; each overrides the one before (`LoadConfig` in `src/helpers.hpp` at v2.14.1).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

CONFIGURATION_FILE = Path("/etc/memgraph/memgraph.conf")
COMMAND_LINE = Path("/proc/self/cmdline")

DATA_DIRECTORY = "mg_data"
"The server's default (`data_directory` in `src/flags/general.cpp` at v2.14.1)."


def server_flags() -> dict[str, str]:
    """
    The flags of this process: name (with dashes inside, none in front) -> value; empty for a flag without a value.
    """
    files = [CONFIGURATION_FILE, Path("~/.memgraph/config").expanduser()]
    if "MEMGRAPH_CONFIG" in os.environ:
        files.append(Path(os.environ["MEMGRAPH_CONFIG"]))
    flags: dict[str, str] = {}
    for file in files:
        flags |= parse_flags(_lines(file))
    command_line = parse_flags(_command_line())
    for name in ("flag-file", "flagfile"):
        for path in filter(None, command_line.get(name, "").split(",")):
            flags |= parse_flags(_lines(Path(path)))
    return flags | command_line


def data_directory() -> Path | None:
    """Where the server keeps its graph; None: unknown, or it does not exist."""
    folder = Path(server_flags().get("data-directory", "") or DATA_DIRECTORY)
    return folder if folder.is_dir() else None


def write_json(file: Path, content: object) -> None:
    """Replaces a file in one step. Raises OSError."""
    beside = file.with_suffix(".new")
    beside.write_text(json.dumps(content), encoding="utf-8")
    os.replace(beside, file)


def parse_flags(words: Iterable[str]) -> dict[str, str]:
    """
    Flags from a command line's words or a file's lines: `--name=value`, `--name value`, one dash or two, `_` for `-`.

    A word that is not a flag is the value of the flag before it, if that has none yet.
    """
    flags: dict[str, str] = {}
    waiting = None
    for word in words:
        if word.startswith("-") and len(word) > 1:
            name, equals, value = word.lstrip("-").partition("=")
            name = name.replace("_", "-")
            flags[name] = value
            waiting = None if equals else name
        elif waiting is not None:
            flags[waiting] = word
            waiting = None
    return flags


def _lines(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [line.strip() for line in lines if line.strip().startswith("-")]


def _command_line() -> list[str]:
    try:
        return [word.decode(errors="replace") for word in COMMAND_LINE.read_bytes().split(b"\0")]
    except OSError:
        return []
