"""
Fetches a transform script, in the transform process: from a web server with `requests`, or from a regular file.

Here and not in the database's process, so that whatever does not answer (a resolver, a web server, a network's file
system) ends with this process at its owner's deadline, and so that what a server sends is parsed nowhere else. That
goes for files as well: where a path leads is found out by the process that opens it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from contextlib import closing
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

from sluice.errors import SettingError, one_line
from sluice.host import allow_list
from sluice.host.allow_list import PORTS, SUFFIX, AllowList, is_folder, path_of, scheme_of
from sluice.scripting.bundle import NO_SCRIPT, SCRIPT, ZIP, encoded, unzipped

READ_SIZE = 1 << 16

DECODED_FROM = 1 << 12
"Bytes of a compressed answer that are decoded at a time: they can become a thousand times as many."

MAX_REDIRECTS = 5

MAX_CAUSE = 300
"Characters of a cause: with a reason it fits into an answer."


class NotFetched(Exception):
    """There is no script: what the error says of that, and the cause that the log has; either may be None."""

    def __init__(self, reason: str | None, cause: str | None = None) -> None:
        super().__init__(reason)
        self.reason = None if reason is None else one_line(reason)
        self.cause = None if cause is None else one_line(cause, MAX_CAUSE)


def fetch(uri: str, allow: str, max_bytes: int) -> str:
    """
    The script at `uri`: `http://`, `https://`, `file://` or a plain path. Of a zip file, or a folder on this machine,
    all modules as one text (`bundle`). Takes as long as it takes.

    No proxy is used, and no file with passwords: what the list names is what is connected to.

    Args:
        allow: the allow-list's text.
        max_bytes: a larger script is refused; an encoded answer counts as what it decodes to.

    Raises:
        NotFetched: with a reason if more is known than that it is not there: it is not allowed, or redirects to where
            it is not; it is too large, or not UTF-8.
    """
    may = AllowList.parse(allow)
    try:
        if is_folder(uri):
            return encoded(_read_folder(uri, may, max_bytes), max_bytes)
        read = _read_file if scheme_of(uri) in ("", "file") else _get
        content = read(uri, may, max_bytes)
        return encoded(unzipped(content, max_bytes), max_bytes) if content[:4] == ZIP else content.decode("utf-8-sig")
    except SettingError as error:
        raise NotFetched(str(error)) from None
    except UnicodeDecodeError as error:
        raise NotFetched(f"it is not UTF-8 text (byte {error.start})") from None
    except Exception as error:  # `requests` lets exceptions of the packages below it through
        # What the specification's own example prints has no reason behind it, so a missing script has none either.
        raise NotFetched(None, _innermost(error)) from error


def _innermost(error: BaseException) -> str:
    """What was the matter in the end: `requests` wraps it more than once."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _check(uri: str, may: AllowList) -> None:
    reason = allow_list.refusal(uri, may)
    if reason is not None:
        raise SettingError(reason)


def _read_file(uri: str, may: AllowList, max_bytes: int) -> bytes:
    _check(uri, may)
    # A device or a pipe may never end, and opening one may wait for ever: non-blocking first, then look what it is.
    descriptor = os.open(os.path.realpath(path_of(uri)), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        # Once more, by what was opened: meanwhile somebody may have put a link into the path.
        _check(os.readlink(f"/proc/self/fd/{descriptor}"), may)
        _check_regular(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    with open(descriptor, "rb") as file:
        return _joined(iter(lambda: file.read(READ_SIZE), b""), max_bytes)


def _read_folder(uri: str, may: AllowList, max_bytes: int) -> dict[str, str]:
    """The modules in a folder and below it; what is hidden is passed over, and so are links to folders."""
    _check(uri, may)
    root = os.path.realpath(path_of(uri))
    if not os.path.lexists(os.path.join(root, SCRIPT)):
        raise SettingError(NO_SCRIPT)
    modules: dict[str, str] = {}
    size = 0
    for folder, folders, files in os.walk(root, onerror=_raise):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in files if name.endswith(SUFFIX)):
            path = os.path.join(folder, name)
            content = _read_file(path, may, max_bytes)
            size += len(content)
            if size > max_bytes:
                raise SettingError(f"it is larger than {max_bytes} bytes")
            modules[os.path.relpath(path, root)] = content.decode("utf-8-sig")
    return modules


def _raise(error: OSError) -> None:
    raise error


def _check_regular(descriptor: int) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")


def _get(uri: str, may: AllowList, max_bytes: int) -> bytes:
    """What is there, redirects followed to where the script could have been asked for in the first place."""
    _check(uri, may)
    try:
        from sluice.host import web
    except ImportError as error:
        remedy = "install requests there, or set SLUICE_PYTHON"
        raise SettingError(f"the Python that runs transforms cannot fetch it ({error}); {remedy}") from None
    with web.session() as session:
        place = uri
        for _ in range(MAX_REDIRECTS + 1):
            request = web.prepared(session, place)
            # Once more, by what is connected to: no other way to read a URI gets past the list.
            _check(str(request.url), may)
            with closing(session.send(request, stream=True, allow_redirects=False)) as response:
                if response.status_code == HTTPStatus.OK:
                    return _joined(response.iter_content(DECODED_FROM), max_bytes)
                target = session.get_redirect_target(response)
                if target is None:
                    raise OSError(f"the server answers {response.status_code} {response.reason}")
            place = _redirected(place, urljoin(place, target), may)
    raise OSError(f"it redirects more than {MAX_REDIRECTS} times")


def _redirected(place: str, target: str, may: AllowList) -> str:
    """The target of a redirect. Raises SettingError if it is not one to follow."""
    parts = urlsplit(target)
    # Scheme, host and port: what may be shown of a URI that a server has made up.
    origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if scheme_of(place) == "https" and scheme_of(target) != "https":
        raise SettingError(f"it redirects to {origin}, from TLS to none")
    reason = allow_list.refusal(target, may)
    if scheme_of(target) not in PORTS or reason is not None:
        raise SettingError(f"it redirects to {origin}, which is refused: {reason or 'it is no web server'}")
    return target


def _joined(chunks: Iterable[bytes], max_bytes: int) -> bytes:
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > max_bytes:
            raise SettingError(f"it is larger than {max_bytes} bytes")
    return bytes(content)
