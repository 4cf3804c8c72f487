"""
Which pinned scripts may run: the one place that decides it, for whatever is about to be loaded out of a stream's node.

A node says which script a stream has, and whoever may write nodes can say anything there. So a script runs only if
something outside the graph vouches for it:

1. the administrator's list of hashes (`SLUICE_TRANSFORM_SHA256`), if there is one, and then nothing else;
2. otherwise its URI has to be allowed (`SLUICE_TRANSFORM_ALLOW`), and either this server signed it when it fetched it
   from there (`signing`), or it is from a file, which holds just this script now.

Neither needs the script's web server, so a stream recovers without it.

A ready transform (`sluice:NAME`) needs neither: whatever the node says, the installed package's own code is what runs.
Only the list of hashes decides about it too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sluice.errors import ScriptError, SettingError, one_line
from sluice.host.allow_list import scheme_of, shown
from sluice.host.settings import PREFIX, Settings
from sluice.scripting import ready_scripts, script
from sluice.scripting.process import TransformProcess
from sluice.values.model import StreamSpec, Transform
from sluice.values.output_lines import OutputLines

SUMS_LINE = re.compile(r"\\?([0-9a-f]{64}) [ *].+", re.IGNORECASE)
"A line of what `sha256sum` prints; it begins with a backslash where the file's name has one."

MAX_LIST_BYTES = 1 << 20

MARK = "\ufeff"
"A byte order mark, which `sha256sum` counts and a script goes without."


def load(
    spec: StreamSpec,
    settings: Settings,
    wants_stop: Callable[[], bool] = lambda: False,
    lines: OutputLines | None = None,
) -> TransformProcess:
    """
    A process with a stream's script, which may run, configured with the stream's options. Raises as `check`, and as
    `TransformProcess`.

    Args:
        wants_stop, lines: as `TransformProcess`.
    """
    check(spec, settings)
    transform = ready_scripts.what_runs(spec.transform)
    return TransformProcess(transform, settings, wants_stop, spec.config, lines)


def check(spec: StreamSpec, settings: Settings) -> None:
    """Raises SettingError unless a stream's script may run: why not, and what to do."""
    reason = refusal(spec.transform, settings)
    if reason is not None:
        raise SettingError(f"Kafka stream {spec.name}, {reason}; {_remedy(spec, settings)}")


def refusal(transform: Transform, settings: Settings) -> str | None:
    """Why a script may not run; None if it may. Reads files, and asks no server."""
    ready = ready_scripts.is_ready(transform.uri)
    if ready:
        try:
            transform = ready_scripts.installed(transform.uri)
        except ScriptError as error:
            return str(error)
    sha256 = hashlib.sha256(transform.source.encode()).hexdigest()
    if sha256 != transform.sha256:
        return "the script in its node is not the one with the SHA-256 beside it"
    if settings.transform_sha256:
        return _refusal_by_list(transform, settings.transform_sha256)
    if ready:
        return None
    reason = script.refusal(transform.uri, settings.transform_allow)
    if reason is not None:
        return f"the script in its node is from {shown(transform.uri)}: {reason}"
    return _refusal_by_signature(transform, settings)


def sign(transform: Transform, settings: Settings) -> Transform:
    """
    A script that was just fetched, signed.

    Where there is no key, one from a file goes without a signature: as long as the file stays, it needs none. So does
    one that the administrator's list decides about, and a ready transform. Raises SettingError: there is no key, and
    without one the script could not run.
    """
    if ready_scripts.is_ready(transform.uri):
        return transform
    try:
        signature = settings.signing_key_file.sign(transform.uri, transform.sha256)
    except (OSError, ValueError) as error:
        if settings.transform_sha256 or _is_file(transform.uri):
            return transform
        remedy = f"set {PREFIX}SIGNING_KEY_FILE, or give the script as a file"
        raise SettingError(f"it cannot be signed: {_key_trouble(settings, error)}; {remedy}") from None
    return replace(transform, signature=signature)


def _remedy(spec: StreamSpec, settings: Settings) -> str:
    uri = spec.transform.uri
    if not ready_scripts.is_ready(uri) and script.refusal(uri, settings.transform_allow) is None:
        return f"RELOAD TRANSFORM OF STREAM {spec.name} takes what is at {uri} now"
    return f"ALTER STREAM {spec.name} SET TRANSFORM gives it one that is allowed"


def _refusal_by_list(transform: Transform, path: str) -> str | None:
    what = f"{PREFIX}TRANSFORM_SHA256"
    try:
        listed = _read_list(Path(path))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        return f"the list of scripts that may run, {what}, cannot be read: {path}: {reason}"
    if transform.sha256 in listed or hashlib.sha256((MARK + transform.source).encode()).hexdigest() in listed:
        return None
    return f"{what}, {path}, does not have its script, whose SHA-256 is {transform.sha256}"


def _read_list(path: Path) -> frozenset[str]:
    """The hashes in a file of the form that `sha256sum` writes. Raises OSError; ValueError for any other form."""
    with path.open("rb") as file:
        content = file.read(MAX_LIST_BYTES + 1)
    if len(content) > MAX_LIST_BYTES:
        raise ValueError(f"it is larger than {MAX_LIST_BYTES} bytes")
    hashes = set()
    for number, line in enumerate(content.decode(errors="replace").replace("\r\n", "\n").split("\n"), 1):
        found = SUMS_LINE.fullmatch(line)
        if found is not None:
            hashes.add(found[1].lower())
        elif line.strip():
            raise ValueError(f"line {number} is not a line of sha256sum's")
    return frozenset(hashes)


def _refusal_by_signature(transform: Transform, settings: Settings) -> str | None:
    trouble = ""
    try:
        if settings.signing_key_file.verify(transform.signature, transform.uri, transform.sha256):
            return None
    except (OSError, ValueError) as error:
        trouble = f" ({_key_trouble(settings, error)})"
    unsigned = f"the script in its node is not signed with this server's key{trouble}"
    if not _is_file(transform.uri):
        return unsigned
    try:
        if script.fetch(transform.uri, settings).sha256 == transform.sha256:
            return None
    except ScriptError as error:
        return f"{unsigned}, and its file cannot be read: {error}"
    return f"{unsigned}, and its file holds another one"


def _is_file(uri: str) -> bool:
    return scheme_of(uri) in ("", "file")


def _key_trouble(settings: Settings, error: OSError | ValueError) -> str:
    reason = error.strerror if isinstance(error, OSError) else error
    return one_line(f"the key {settings.signing_key_file}: {reason}")
