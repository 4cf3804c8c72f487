"""
Landlock: a process gives up, for good, files, TCP and signals that it does not need. What it starts has given them up
as well.

Source: the kernel's Documentation/userspace-api/landlock.rst and include/uapi/linux/landlock.h, whose names these are.
The kernel's ABI number says what it can refuse: files from 1 on, moving between folders from 2, truncating from 3, TCP
from 4, ioctl of devices from 5, signals from 6. It does not refuse stat, chmod, chown and extended attributes, nor any
socket but those of TCP: that is for `seccomp`.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"System calls; the numbers are the same for all architectures that Python is built for."

VERSION = 1
"LANDLOCK_CREATE_RULESET_VERSION: asks for the ABI."

PATH_BENEATH = 1
"LANDLOCK_RULE_PATH_BENEATH."

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = (1 << bit for bit in range(4))
OF_ABI_1 = (1 << 13) - 1
"All of ABI 1: those four, and removing and making files of each kind."
MAKE_DEVICES = 1 << 6 | 1 << 11
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15

READING = EXECUTE | READ_FILE | READ_DIR
WRITING = (OF_ABI_1 | REFER | TRUNCATE) & ~MAKE_DEVICES
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
"What a rule about a file may have; the rest is for folders."

TCP = 1 << 0 | 1 << 1
"Binding and connecting."
SCOPES = 1 << 0 | 1 << 1
"Abstract sockets and signals, to processes that have not given up the same."

PR_SET_NO_NEW_PRIVS = 38
"From <linux/prctl.h>: no set-uid program gives back what was given up."

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def abi() -> int:
    """What the kernel can do; 0: it has no Landlock, or may not be asked."""
    try:
        return _call(CREATE_RULESET, None, 0, VERSION)
    except OSError:
        return 0


def no_new_privileges() -> None:
    """What the kernel wants before a process may restrict itself. Raises OSError."""
    if _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs")


def restrict(version: int, reads: Iterable[str], writes: Iterable[str], *, network: bool) -> None:
    """
    Restricts this thread, and what it starts, for as long as they live.

    Args:
        version: the ABI.
        reads: files and folders that may be read and executed, with all below them. Those that are not there are left
            out.
        writes: those that may be written as well.
        network: whether TCP is left alone.

    Raises:
        OSError: the kernel refuses; nothing is restricted.
    """
    handled = OF_ABI_1 | (REFER if version >= 2 else 0) | (TRUNCATE if version >= 3 else 0)
    handled |= IOCTL_DEV if version >= 5 else 0
    tcp = TCP if version >= 4 and not network else 0
    # struct landlock_ruleset_attr; an older kernel takes a longer one if what it does not know is 0.
    attributes = struct.pack("=QQQ", handled, tcp, SCOPES if version >= 6 else 0)
    ruleset = _call(CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path in reads:
            _allow(ruleset, path, READING & handled)
        for path in writes:
            _allow(ruleset, path, (READING | WRITING) & handled)
        _call(RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            access &= OF_FILES
        # struct landlock_path_beneath_attr, which is packed.
        _call(ADD_RULE, ruleset, PATH_BENEATH, struct.pack("=Qi", access, descriptor), 0)
    finally:
        os.close(descriptor)


def _call(number: int, *arguments: int | bytes | None) -> int:
    given = [ctypes.c_long(item) if isinstance(item, int) else item for item in arguments]
    result = int(_libc.syscall(ctypes.c_long(number), *given))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
