"""
Pins a transform script: fetches it, signs it, and finds out whether it may run and loads.
"""

from __future__ import annotations

import logging

from sluice.errors import ScriptError, SettingError
from sluice.host.settings import Settings
from sluice.scripting import admission, script
from sluice.scripting.process import TransformProcess
from sluice.values.model import Transform

log = logging.getLogger("sluice.pinning")


def pin(uri: str, settings: Settings) -> Transform:
    """
    The script at `uri`.

    Raises:
        ScriptError: it cannot be fetched, may not run, or does not load.
        SettingError: there is no interpreter to load it with.
    """
    try:
        transform = script.fetch(uri, settings)
    except ScriptError as error:
        # Of a script that is not there the error says no more than the specification has it say.
        log.warning("%s%s", error, f": {error.__cause__}" if error.__cause__ else "")
        raise
    try:
        transform = admission.sign(transform, settings)
    except SettingError as error:
        raise ScriptError(f"{script.cannot_get(uri)}: {error}") from None
    reason = admission.refusal(transform, settings)
    if reason is not None:
        raise ScriptError(f"{script.cannot_get(uri)}: {reason}")
    TransformProcess(transform, settings).close()
    return transform
