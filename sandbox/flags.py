"""The command line, which is Memgraph's as far as it matters here."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Flags:
    """What the sandbox was started with."""

    bolt_port: int
    data_directory: Path
    query_modules_directories: tuple[Path, ...]
    log_file: Path | None
    "None: the log goes to standard error."
    unknown: tuple[str, ...]
    "Words that mean nothing to the sandbox; most are flags of Memgraph that it has no use for."


def parse_flags(words: Sequence[str]) -> Flags:
    """
    Flags from the words after the program's name: `--name value` or `--name=value`, `_` for `-`.

    Raises:
        SystemExit: a value is missing or is not what the flag takes.
    """
    parser = argparse.ArgumentParser(prog="sandbox", allow_abbrev=False)
    parser.add_argument("--bolt-port", type=int, default=7687)
    parser.add_argument("--data-directory", type=Path, required=True)
    parser.add_argument("--query-modules-directory", default="", help="folders, with commas between them")
    parser.add_argument("--log-file", default="")
    parser.add_argument("--telemetry-enabled", help="taken and ignored: there is no telemetry")
    known, unknown = parser.parse_known_args([_with_dashes(word) for word in words])
    return Flags(
        bolt_port=known.bolt_port,
        data_directory=known.data_directory.absolute(),
        query_modules_directories=tuple(
            Path(folder).absolute() for folder in known.query_modules_directory.split(",") if folder
        ),
        log_file=Path(known.log_file).absolute() if known.log_file else None,
        unknown=tuple(unknown),
    )


def _with_dashes(word: str) -> str:
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value
