"""A Python that resolves no name: whoever asks waits, as with a resolver that does not answer."""

from __future__ import annotations

import sys
from pathlib import Path

HOOK = """
import runpy, socket, sys, time

def never(host, *arguments, **keywords):
    with open({asked!r}, "w") as file:
        file.write(str(host))
    while True:
        time.sleep(60)

socket.getaddrinfo = never
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def python_whose_resolver_never_answers(folder: Path) -> Path:
    """
    An interpreter for SLUICE_PYTHON that runs the transform process's script so. The file `asked` in the folder has the
    name that was asked for last.
    """
    hook = folder / "hook.py"
    hook.write_text(HOOK.format(asked=str(folder / "asked")), encoding="utf-8")
    interpreter = folder / "python"
    # Started as `interpreter -I -X utf8 script counter`, and when it is tried, as `interpreter -I -X utf8 -c text ...`.
    lines = f'[ "$4" = -c ] && exec {sys.executable} "$@"\nexec {sys.executable} "$1" "$2" "$3" {hook} "$4" "$5"\n'
    interpreter.write_text(f"#!/bin/sh\n{lines}", encoding="utf-8")
    interpreter.chmod(0o755)
    return interpreter
