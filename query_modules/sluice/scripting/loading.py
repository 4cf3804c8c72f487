"""
Loads and configures a transform script, and says of its exceptions where in the script they came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from sluice.errors import ScriptError, one_line
from sluice.scripting.confinement import hint
from sluice.scripting.contract import CONFIGURE, Entry, entry_of
from sluice.scripting.foreign import foreign_package


def load(source: str, uri: str, options: dict[str, Any]) -> Entry:
    """
    Runs the script, configures it, and gives its transform.

    Raises:
        ScriptError: it does not compile, raises, defines no transform, or refuses its options; the text says where.
    """
    namespace: dict[str, Any] = {"__name__": "transform", "__file__": uri, "__builtins__": __builtins__}
    try:
        exec(compile(source, uri, "exec", dont_inherit=True), namespace)
    except BaseException as error:
        raise ScriptError(describe(error, uri)) from error
    _configure(namespace, options, uri)
    return entry_of(namespace)  # which may be what `configure` has defined


def _configure(namespace: Mapping[str, Any], options: dict[str, Any], uri: str) -> None:
    """Calls the script's `configure(options)` if it has one, with {} where there are none."""
    configure = namespace.get(CONFIGURE)
    if configure is None:
        if options:
            why = f"it defines no function {CONFIGURE}(options), and was given {', '.join(sorted(options))}"
            raise ScriptError(one_line(f"it takes no options: {why}"))
        return
    if not callable(configure):
        raise ScriptError(f"its {CONFIGURE} is not callable")
    try:
        configure(options)
    except (ValueError, TypeError) as error:
        # What it says of the options is for their author, who need not know Python.
        text = str(error) or type(error).__name__
        raise ScriptError(f"{CONFIGURE}(options) refuses them: {_located(text, error, uri)}") from error
    except BaseException as error:
        raise ScriptError(f"{CONFIGURE}(options) raised {describe(error, uri)}") from error


def describe(error: BaseException, uri: str) -> str:
    """An exception of the user's script in one line: its type, its text, and the script's line it came from."""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    described = f"{type(error).__name__}: {text}" if text else type(error).__name__
    foreign = foreign_package(error)
    if foreign is not None:
        described = f"{type(error).__name__}: {foreign}"
    return _located(described, error, uri)


def _located(text: str, error: BaseException, uri: str) -> str:
    line = error.lineno if isinstance(error, SyntaxError) else _line_in(error.__traceback__, uri)
    return one_line((text if line is None else f"{text} (line {line})") + hint(error))


def _line_in(traceback: TracebackType | None, uri: str) -> int | None:
    line = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == uri:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line
