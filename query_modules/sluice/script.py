"""
Fetches a transform script: over HTTP, or from a regular file of the server's machine.

Called once, by CREATE; what it gives is pinned in the stream's metadata node, so nothing of this is needed to start
or recover.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import os
import stat
import time
import urllib.request
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sluice.errors import ScriptError
from sluice.model import Transform
from sluice.settings import Settings

READ_SIZE = 1 << 16

HTTP_SCHEMES = ("http", "https")


def fetch(uri: str, settings: Settings) -> Transform:
    """
    The script at `uri`: `http://`, `https://`, `file://` or a plain path.

    Raises:
        ScriptError: "Couldn't get the transform script from <uri>", the specification's words, and then why if more
            is known than
            that it is not there; or it is too large, or not UTF-8.
    """
    deadline = time.monotonic() + settings.script_timeout
    scheme = uri.partition("://")[0].lower() if "://" in uri else ""
    try:
        if scheme in HTTP_SCHEMES:
            with urllib.request.urlopen(uri, timeout=settings.script_timeout) as response:
                content = _read(response, uri, settings.script_max_bytes, deadline)
        elif scheme in ("", "file"):
            with _open_regular(_path_of(uri)) as file:
                content = _read(file, uri, settings.script_max_bytes, deadline)
        else:
            raise ScriptError(
                f"{_cannot_get(uri)}: {scheme}:// is not supported; use http://, https://, file:// or a path"
            )
    except (OSError, http.client.HTTPException, ValueError) as error:
        # What the specification's own example prints has no reason behind it, so a missing script has none either; the
        # reason is in the server's log by way of the cause.
        raise ScriptError(_cannot_get(uri)) from error
    try:
        source = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScriptError(f"{_cannot_get(uri)}: it is not UTF-8 text (byte {error.start})") from error
    return Transform(uri=uri, source=source, sha256=hashlib.sha256(source.encode()).hexdigest())


def _cannot_get(uri: str) -> str:
    return f"Couldn't get the transform script from {uri}"


def _path_of(uri: str) -> Path:
    if not uri.lower().startswith("file://"):
        return Path(uri)
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost"):
        raise ScriptError(f"{_cannot_get(uri)}: file:// takes no host, as in file:///srv/transform.py")
    return Path(unquote(parts.path))


def _open_regular(path: Path) -> io.BufferedReader:
    # A device or a pipe may never end, and opening one may wait for ever: non-blocking first, then look what it is.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is not a regular file")
    return os.fdopen(descriptor, "rb")


def _read(stream: io.BufferedReader | http.client.HTTPResponse, uri: str, max_bytes: int, deadline: float) -> bytes:
    content = bytearray()
    # read1 returns what has arrived, so that a server that sends a byte now and then meets the deadline.
    while chunk := stream.read1(READ_SIZE):
        content += chunk
        if len(content) > max_bytes:
            raise ScriptError(f"{_cannot_get(uri)}: it is larger than {max_bytes} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError("the script did not arrive in time")
    return bytes(content)
