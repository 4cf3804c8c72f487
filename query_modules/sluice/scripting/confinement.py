"""
Confines a transform process to what a transform needs, before any of the script runs (`SLUICE_TRANSFORM_SANDBOX`).

A confined transform reads its interpreter's folders, its packages and the folder that its script is in; it writes
nothing, makes no socket, signals nobody but itself and what it has started, and cannot look into another process. What
it may use besides is the administrator's to say (`host.transform_access`).
"""

from __future__ import annotations

import functools
import os
import socket
import sys
from collections.abc import Iterable
from typing import NamedTuple

from sluice.host.allow_list import is_folder, path_of, scheme_of
from sluice.host.transform_access import SANDBOX, VARIABLE, WRITABLE, AllowedAccess, Sandbox
from sluice.scripting import landlock, seccomp

FILES, NETWORK, SIGNALS = "files", "network", "signals"
"The parts: what a transform is kept from."

TRUNCATES = 3
"The Landlock ABI from which on no file can be written that is not allowed."
SCOPES = 6
"... and from which on it keeps signals from other processes, and leaves those of the transform's own alone."

INTERPRETER = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/timezone", "/etc/mime.types"),
    *("/etc/ssl", "/etc/pki", "/etc/ca-certificates"),
    *("/dev/zero", "/dev/random", "/dev/urandom"),
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/sys/devices/system/cpu"),
)
"What an interpreter and its packages read outside of their own folders."

RESOLVER = (
    *("/etc/resolv.conf", "/run/systemd/resolve", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf"),
    *("/etc/gai.conf", "/etc/services", "/etc/protocols"),
)
"What it reads to find other machines."

VARIABLES = ("LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
"Variables that name more such files and folders, with colons between."

THREADS = "/proc/self/task"


class Machine(NamedTuple):
    """What this machine has to confine a process."""

    landlock: int
    "The ABI; 0: none."
    seccomp: bool

    @property
    def kept(self) -> tuple[str, ...]:
        """The parts that nothing gets around."""
        files = [FILES] if self.landlock >= TRUNCATES else []
        return (*files, NETWORK, SIGNALS) if self.seccomp else ()

    @property
    def lacking(self) -> tuple[str, ...]:
        """The other parts."""
        return tuple(part for part in (FILES, NETWORK, SIGNALS) if part not in self.kept)

    def __str__(self) -> str:
        files = f"Landlock ABI {self.landlock}" if self.landlock else "no Landlock"
        return f"{files}, {'seccomp' if self.seccomp else 'no seccomp'}"


class Unconfined(Exception):
    """The process cannot be confined, though it has to be; the text says why."""


@functools.cache
def machine() -> Machine:
    """What the kernel offers, which stays so while it runs. Does not wait."""
    return Machine(landlock.abi(), seccomp.offered())


def described(sandbox: Sandbox, access: AllowedAccess, found: Machine) -> str:
    """What a transform with that access is kept from, in a few words."""
    if sandbox is Sandbox.OFF:
        return f"off; this machine has {found}"
    if sandbox is Sandbox.ON and found.lacking:
        return f"refused: {_refusal(found)}"
    kept = ", ".join(part for part in found.kept if part != NETWORK or not access.network) or "nothing"
    lacking = f", not from {', '.join(found.lacking)}" if found.lacking else ""
    network = (NETWORK,) if access.network else ()
    may = ", ".join([*network, *access.reads, *(f"{path}{WRITABLE}" for path in access.writes)])
    return f"kept from {kept}{lacking}{f'; may use {may}' if may else ''}; this machine has {found}"


confined = False
"Whether this process is."


def confine(sandbox: Sandbox, access: AllowedAccess, uri: str | None) -> None:
    """
    Confines this process, and what it starts, for as long as they live.

    Args:
        uri: where the script is from, if that is known for sure: the folder of a file may be read.

    Raises:
        Unconfined: a part is missing, and sandbox is ON; or the kernel refuses what it has.
    """
    global confined
    if sandbox is Sandbox.OFF:
        return
    found = machine()
    if sandbox is Sandbox.ON:
        if found.lacking:
            raise Unconfined(_refusal(found))
        if len(os.listdir(THREADS)) > 1:
            raise Unconfined(f"{SANDBOX} is on, and a package has started a thread that would not be confined")
    confined = True
    try:
        landlock.no_new_privileges()
        if found.landlock:
            reads = _existing([*_needed(access), *_beside(uri)])
            landlock.restrict(found.landlock, reads, ("/dev/null", *access.writes), network=access.network)
        if found.seccomp:
            seccomp.restrict(network=access.network, signals=found.landlock < SCOPES)
    except OSError as error:
        raise Unconfined(f"it cannot be confined ({SANDBOX}), the kernel refuses: {error.strerror}") from None


def hint(error: BaseException) -> str:
    """What to add to an exception of a script that may come of its confinement; empty if it does not."""
    chain: BaseException | None = error
    while confined and chain is not None:
        if isinstance(chain, (PermissionError, socket.gaierror)):  # the latter of names, which are looked up over it
            return f"; transforms are confined here ({SANDBOX}), and {VARIABLE} says what they may use"
        chain = chain.__cause__ or chain.__context__
    return ""


def _refusal(found: Machine) -> str:
    return (
        f"{SANDBOX} is on, and this machine cannot keep a transform from {', '.join(found.lacking)} ({found}); "
        "auto runs it with what there is"
    )


def _needed(access: AllowedAccess) -> list[str]:
    own = [*sys.path, sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix]
    named = [path for name in VARIABLES for path in os.environ.get(name, "").split(":")]
    return [*own, *INTERPRETER, *named, *access.reads, *(RESOLVER if access.network else ())]


def _beside(uri: str | None) -> list[str]:
    if uri is None or scheme_of(uri) not in ("", "file"):
        return []
    path = os.path.realpath(path_of(uri))
    return [path if is_folder(uri) else os.path.dirname(path)]


def _existing(paths: Iterable[str]) -> list[str]:
    """Each once; never the root, which would be everything."""
    return [path for path in dict.fromkeys(paths) if os.path.isabs(path) and os.path.realpath(path) != "/"]
