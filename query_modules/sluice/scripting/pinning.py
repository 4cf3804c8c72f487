"""Pins a transform script: fetches it, signs it, and finds out whether it may run and loads."""

from __future__ import annotations

import logging
import time

from sluice.errors import ScriptError, SettingError
from sluice.host.settings import Settings
from sluice.scripting import admission, script
from sluice.scripting.client import Client, WantsStop, load, never
from sluice.values.model import Transform
from sluice.values.options import NO_OPTIONS, Options

log = logging.getLogger("sluice.pinning")


def pin(uri: str, settings: Settings, wants_stop: WantsStop = never, options: Options = NO_OPTIONS) -> Transform:
    """
    The script at `uri`. One process fetches and loads it, within the settings' `script_timeout`.

    Args:
        wants_stop: asked while that takes its time; what it raises passes through.
        options: what it is configured with, to find out whether it takes them.

    Raises:
        ScriptError: it cannot be fetched, may not run, does not load, or refuses its options.
        SettingError: there is no interpreter to load it with.
        Stopped: the caller wants to stop.
    """
    deadline = time.monotonic() + settings.script_timeout
    with Client(uri, settings, wants_stop) as client:
        try:
            transform = script.fetched_by(client, uri, settings, deadline)
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
        load(client, transform, settings, deadline, options)
    return transform
