"""
Loads and configures a transform script, and says of its exceptions where in the script they came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sluice.errors import ScriptError, one_line
from sluice.scripting import memory_limit
from sluice.scripting.bundle import Modules
from sluice.scripting.confinement import hint
from sluice.scripting.contract import CONFIGURE, Entry, entry_of
from sluice.scripting.foreign import foreign_package


def load(modules: Modules, options: dict[str, Any]) -> Entry:
    """
    Runs the script, configures it, and gives its transform.

    Raises:
        ScriptError: it does not compile, raises, defines no transform, or refuses its options; the text says where.
    """
    try:
        namespace = vars(modules.load())
    except BaseException as error:
        raise ScriptError(describe(error, modules)) from error
    _configure(namespace, options, modules)
    return entry_of(namespace)  # which may be what `configure` has defined


def _configure(namespace: Mapping[str, Any], options: dict[str, Any], modules: Modules) -> None:
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
        raise ScriptError(f"{CONFIGURE}(options) refuses them: {_located(text, error, modules)}") from error
    except BaseException as error:
        raise ScriptError(f"{CONFIGURE}(options) raised {describe(error, modules)}") from error


def describe(error: BaseException, modules: Modules) -> str:
    """An exception of the user's script in one line: its type, its text, and the script's line it came from."""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    described = f"{type(error).__name__}: {text}" if text else type(error).__name__
    foreign = foreign_package(error)
    if foreign is not None:
        described = f"{type(error).__name__}: {foreign}"
    return _located(described, error, modules)


def _located(text: str, error: BaseException, modules: Modules) -> str:
    place = _place(error, modules)
    return one_line((text if place is None else f"{text} ({place})") + hint(error) + memory_limit.own_hint(error))


def _place(error: BaseException, modules: Modules) -> str | None:
    """The innermost line of the script's own that an exception came from."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        place = modules.place(error.filename, error.lineno)
        if place is not None:
            return place
    traceback, place = error.__traceback__, None
    while traceback is not None:
        place = modules.place(traceback.tb_frame.f_code.co_filename, traceback.tb_lineno) or place
        traceback = traceback.tb_next
    return place
