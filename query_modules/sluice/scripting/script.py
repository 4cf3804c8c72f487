"""
Fetches a transform script: over HTTP, or from a regular file of the server's machine, if the allow-list has it.

Called once, by CREATE; what it gives is pinned in the stream's metadata node, so nothing of this is needed to start
or recover.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import io
import os
import stat
import time

from sluice import http_get
from sluice.errors import ScriptError, SettingError
from sluice.host import allow_list
from sluice.host.allow_list import SUFFIX, locate, path_of, scheme_of, shown
from sluice.host.settings import PREFIX, Settings
from sluice.values.model import Transform

READ_SIZE = 1 << 16

MAX_REDIRECTS = 5


def fetch(uri: str, settings: Settings) -> Transform:
    """
    The script at `uri`: `http://`, `https://`, `file://` or a plain path.

    No proxy is used: what the allow-list names is what is connected to.

    Raises:
        ScriptError: "Couldn't get the transform script from <uri>", the specification's words, and then why, if more
            is known than that it is not there: it is not allowed, or redirects to where it is not; it is too large, too
            slow, or not UTF-8.
    """
    deadline = time.monotonic() + settings.script_timeout
    try:
        if scheme_of(uri) in ("", "file"):
            with _open_allowed(uri, settings) as file:
                content = _read(file, settings.script_max_bytes, deadline)
        else:
            with _follow(uri, settings, deadline) as response:
                content = _read(response, settings.script_max_bytes, deadline)
        source = content.decode("utf-8-sig")
    except SettingError as error:
        raise ScriptError(f"{cannot_get(uri)}: {error}") from None
    except UnicodeDecodeError as error:
        raise ScriptError(f"{cannot_get(uri)}: it is not UTF-8 text (byte {error.start})") from None
    except TimeoutError:
        within = f"it did not come within {settings.script_timeout:g} s ({PREFIX}SCRIPT_TIMEOUT)"
        raise ScriptError(f"{cannot_get(uri)}: {within}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        # What the specification's own example prints has no reason behind it, so a missing script has none either; the
        # reason is in the server's log by way of the cause.
        raise ScriptError(cannot_get(uri)) from error
    return Transform(uri=uri, source=source, sha256=hashlib.sha256(source.encode()).hexdigest())


def refusal(uri: str, allow: allow_list.AllowList) -> str | None:
    """Why a script at `uri` is not fetched, whether or not it is there; None if nothing is against it."""
    try:
        location = locate(uri)
    except (SettingError, ValueError) as error:
        return str(error)
    if location.scheme == "file" and not path_of(uri).name.endswith(SUFFIX):
        return f"the name of a script's file has to end with {SUFFIX}"
    if not allow.allows(location):
        return f"{PREFIX}TRANSFORM_ALLOW does not have it; it has {allow}"
    if location.scheme == "file" and not location.path[-1].endswith(SUFFIX):
        return f"it is a link to a file whose name does not end with {SUFFIX}"
    return None


def cannot_get(uri: str) -> str:
    """How an error about the script at `uri` begins: the specification's words."""
    return f"Couldn't get the transform script from {shown(uri)}"


def _check(uri: str, settings: Settings) -> None:
    reason = refusal(uri, settings.transform_allow)
    if reason is not None:
        raise SettingError(reason)


def _open_allowed(uri: str, settings: Settings) -> io.BufferedReader:
    _check(uri, settings)
    # A device or a pipe may never end, and opening one may wait for ever: non-blocking first, then look what it is.
    descriptor = os.open(os.path.realpath(path_of(uri)), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        # Once more, by what was opened: meanwhile somebody may have put a link into the path.
        _check(os.readlink(f"/proc/self/fd/{descriptor}"), settings)
        _check_regular(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def _check_regular(descriptor: int) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")


def _follow(uri: str, settings: Settings, deadline: float) -> http.client.HTTPResponse:
    """The answer to a GET, redirects followed to where the script could have been asked for in the first place."""
    place = uri
    _check(place, settings)
    for _ in range(MAX_REDIRECTS + 1):
        response = http_get.open_url(place, deadline)
        if response.status == http.client.OK:
            return response
        response.close()
        target = http_get.redirected(place, response)
        if target is None:
            raise OSError(f"the server answers {response.status} {response.reason}")
        origin = http_get.origin(target)
        if scheme_of(place) == "https" and scheme_of(target) != "https":
            raise SettingError(f"it redirects to {origin}, from TLS to none")
        reason = refusal(target, settings.transform_allow)
        if scheme_of(target) not in http_get.PORTS or reason is not None:
            raise SettingError(f"it redirects to {origin}, which is refused: {reason or 'it is no web server'}")
        place = target
    raise OSError(f"it redirects more than {MAX_REDIRECTS} times")


def _read(stream: io.BufferedReader | http.client.HTTPResponse, max_bytes: int, deadline: float) -> bytes:
    content = bytearray()
    # read1 returns what has arrived, so that a server that sends a byte now and then meets the deadline.
    while chunk := stream.read1(READ_SIZE):
        content += chunk
        if len(content) > max_bytes:
            raise SettingError(f"it is larger than {max_bytes} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError
    return bytes(content)
