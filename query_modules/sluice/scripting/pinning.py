"""
Pins a transform script: fetches it, and finds out whether it loads.
"""

from __future__ import annotations

import logging

from sluice.errors import ScriptError
from sluice.host.settings import Settings
from sluice.scripting import script
from sluice.scripting.process import TransformProcess
from sluice.values.model import Transform

log = logging.getLogger("sluice.pinning")


def pin(uri: str, settings: Settings) -> Transform:
    """
    The script at `uri`.

    Raises:
        ScriptError: it cannot be fetched, or does not load.
        SettingError: there is no interpreter to load it with.
    """
    try:
        transform = script.fetch(uri, settings)
    except ScriptError as error:
        # Of a script that is not there the error says no more than the specification has it say.
        log.warning("%s%s", error, f": {error.__cause__}" if error.__cause__ else "")
        raise
    TransformProcess(transform, settings).close()
    return transform
