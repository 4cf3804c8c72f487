"""
Loads a transform script, and says of its exceptions where in the script they came from.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from sluice.errors import ScriptError, one_line
from sluice.scripting import memory_limit
from sluice.scripting.confinement import hint
from sluice.scripting.contract import Entry, entry_of
from sluice.scripting.foreign import foreign_package


def load(source: str, uri: str) -> Entry:
    """
    Runs the script and gives its transform.

    Raises:
        ScriptError: it does not compile, raises, or defines no transform; the text says where.
    """
    namespace: dict[str, Any] = {"__name__": "transform", "__file__": uri, "__builtins__": __builtins__}
    try:
        exec(compile(source, uri, "exec", dont_inherit=True), namespace)
    except BaseException as error:
        raise ScriptError(describe(error, uri)) from error
    return entry_of(namespace)


def describe(error: BaseException, uri: str) -> str:
    """An exception of the user's script in one line: its type, its text, and the script's line it came from."""
    line = error.lineno if isinstance(error, SyntaxError) else _line_in(error.__traceback__, uri)
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    described = f"{type(error).__name__}: {text}" if text else type(error).__name__
    foreign = foreign_package(error)
    if foreign is not None:
        described = f"{type(error).__name__}: {foreign}"
    hints = hint(error) + memory_limit.own_hint(error)
    return one_line((described if line is None else f"{described} (line {line})") + hints)


def _line_in(traceback: TracebackType | None, uri: str) -> int | None:
    line = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == uri:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line
