"""
A transform script as the database's process gets it: fetched by a transform process, which is ended at the deadline.

Called once, by CREATE; what it gives is pinned in the stream's metadata node, so nothing of this is needed to start
or recover.
"""

from __future__ import annotations

import hashlib
import time

from sluice.bolt.packstream import unpack
from sluice.errors import RemoteProtocolError, ScriptError, TransformError
from sluice.host.allow_list import refusal, shown
from sluice.host.settings import PREFIX, Settings
from sluice.scripting import ready_scripts
from sluice.scripting.client import Client, WantsStop, limits_of, never
from sluice.scripting.frames import NOT_FETCHED, SCRIPT
from sluice.values.model import Transform

__all__ = ["fetch", "fetched_by", "refusal"]


def fetch(uri: str, settings: Settings, wants_stop: WantsStop = never) -> Transform:
    """
    The script at `uri`: `http://`, `https://`, `file://`, a plain path, or the `sluice:NAME` of a ready transform. Not
    run.

    Raises:
        ScriptError: as `fetched_by`.
        SettingError: there is no interpreter to fetch it with.
        Stopped: the caller wants to stop.
    """
    deadline = time.monotonic() + settings.script_timeout
    with Client(uri, settings, wants_stop) as client:
        return fetched_by(client, uri, settings, deadline)


def fetched_by(client: Client, uri: str, settings: Settings, deadline: float) -> Transform:
    """
    Has a new process fetch the script, which it can then be asked to load.

    Args:
        deadline: `time.monotonic()` by which it has to be done.

    Raises:
        ScriptError: "Couldn't get the transform script from <uri>", the specification's words, and then why, if more
            is known than that it is not there: it is not allowed, or redirects to where it is not; it is too large, too
            slow, or not UTF-8. What else is known is its cause.
        Stopped: the caller wants to stop.
    """
    if ready_scripts.is_ready(uri):
        return ready_scripts.installed(uri)
    request = {
        **limits_of(client, settings),
        "uri": uri,
        "allow": str(settings.transform_allow),
        "max_bytes": settings.script_max_bytes,
    }
    limits = {SCRIPT: settings.script_max_bytes + len(SCRIPT)}
    try:
        answer = client.ask(request, "fetching it", max(deadline - time.monotonic(), 0.0), limits=limits)
        kind, content = bytes(answer[:1]), bytes(answer[1:])
        if kind == SCRIPT:
            source = content.decode()
            return Transform(uri=uri, source=source, sha256=hashlib.sha256(content).hexdigest())
        reason, cause = unpack(content) if kind == NOT_FETCHED else ("its process answered another request", None)
    except TransformError as error:
        late = f"it did not come within {settings.script_timeout:g} s ({PREFIX}SCRIPT_TIMEOUT)"
        raise ScriptError(f"{cannot_get(uri)}: {error if client.died else late}") from None
    except (RemoteProtocolError, ValueError, TypeError):
        raise ScriptError(f"{cannot_get(uri)}: its process answered another request") from None
    if reason is not None:
        raise ScriptError(f"{cannot_get(uri)}: {reason}")
    raise ScriptError(cannot_get(uri)) from OSError(str(cause))


def cannot_get(uri: str) -> str:
    """How an error about the script at `uri` begins: the specification's words."""
    return f"Couldn't get the transform script from {shown(uri)}"
