"""
A filter of system calls, for what Landlock leaves open: sockets of every kind, file modes and owners, and what ends
another process of the same user.

Source: the kernel's Documentation/userspace-api/seccomp_filter.rst, include/uapi/linux/{seccomp,filter,audit}.h. The
filter is a program for the kernel's classic BPF machine. What it refuses fails with EACCES, which Python raises as
PermissionError; the process goes on.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Collection

PR_SET_SECCOMP, MODE_FILTER = 22, 2

LOAD, JUMP_IF_EQUAL, JUMP_FROM, RETURN = 0x20, 0x15, 0x35, 0x06
"BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JEQ | BPF_K, BPF_JMP | BPF_JGE | BPF_K, BPF_RET | BPF_K."

ALLOW = 0x7FFF0000
REFUSE = 0x00050000 | errno.EACCES
"SECCOMP_RET_ALLOW; SECCOMP_RET_ERRNO with its number."

NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16
"Offsets in struct seccomp_data; each argument has 8 bytes, the lower four first."

X32 = 0x40000000
"From here on the numbers are those of x86-64's second set of system calls."

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"`uname -m` -> AUDIT_ARCH_*."

NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "socket": (41, 198),
    "io_uring_setup": (425, 425),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "lchown": (94, None),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "setpgid": (109, 154),
    "setsid": (112, 157),
    "prlimit64": (302, 261),
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
    "fcntl": (72, 25),
    "ioctl": (16, 29),
}
"System call -> its numbers, in the order of ARCHITECTURES; None: there is none."

SOCKETS = ("socket",)
"A pair of sockets (socketpair) leads nowhere, and is left."

ALWAYS = (
    *("io_uring_setup",),  # which makes sockets as well
    *("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd"),
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "lchown", "fchown", "fchownat"),
    *("setxattr", "lsetxattr", "fsetxattr", "setxattrat"),
    *("removexattr", "lremovexattr", "fremovexattr", "removexattrat"),
    *("setpgid", "setsid"),  # a process that left its group would not be ended with it
)

SIGNALS = ("tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal")

F_SETOWN, F_SETOWN_EX, FIOSETOWN, SIOCSPGRP = 8, 15, 0x8901, 0x8902
"They have a file's readiness signalled to another process."

_libc = ctypes.CDLL(None, use_errno=True)


def offered() -> bool:
    """Whether the kernel takes a filter, and this module knows the architecture."""
    known = os.uname().machine in ARCHITECTURES and sys.maxsize > 1 << 32 and sys.byteorder == "little"
    # Where there are filters, one at address 0 cannot be read (EFAULT); elsewhere the mode is unknown (EINVAL).
    _libc.prctl(PR_SET_SECCOMP, MODE_FILTER, None, 0, 0)
    return known and ctypes.get_errno() == errno.EFAULT


def restrict(*, network: bool, signals: bool) -> None:
    """
    Restricts this thread, and what it starts, for as long as they live. Needs `landlock.no_new_privileges`.

    Args:
        network: whether sockets are left alone.
        signals: whether to refuse signals to other processes, because nothing else does.

    Raises:
        OSError: the kernel refuses; nothing is restricted.
    """
    code = program(os.uname().machine, os.getpid(), network=network, signals=signals)
    kept = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog
    header = struct.pack("@HP", len(code) // 8, ctypes.addressof(kept))
    if _libc.prctl(PR_SET_SECCOMP, MODE_FILTER, header, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def program(architecture: str, process: int, *, network: bool, signals: bool) -> bytes:
    """
    The filter, as an array of struct sock_filter.

    Args:
        architecture: as `uname -m` names it.
        process: the one process that signals may still be sent to, where they are refused.
    """
    column = list(ARCHITECTURES).index(architecture)
    refused = [*ALWAYS, *(() if network else SOCKETS), *(SIGNALS if signals else ())]
    lines = [
        _line(LOAD, ARCHITECTURE),
        _line(JUMP_IF_EQUAL, ARCHITECTURES[architecture], 1, 0),
        _line(RETURN, REFUSE),
        _line(LOAD, NUMBER),
        _line(JUMP_FROM, X32, 0, 1),
        _line(RETURN, REFUSE),
    ]
    for name in refused:
        number = NUMBERS[name][column]
        if number is not None:
            lines += [_line(JUMP_IF_EQUAL, number, 0, 1), _line(RETURN, REFUSE)]
    lines += _if_argument(NUMBERS["prlimit64"][column], 0, others_than=[0])
    if signals:
        lines += _if_argument(NUMBERS["kill"][column], 0, others_than=[process])
        lines += _if_argument(NUMBERS["tgkill"][column], 0, others_than=[process])
        lines += _if_argument(NUMBERS["fcntl"][column], 1, these=[F_SETOWN, F_SETOWN_EX])
        lines += _if_argument(NUMBERS["ioctl"][column], 1, these=[FIOSETOWN, SIOCSPGRP])
    return b"".join([*lines, _line(RETURN, ALLOW)])


def _if_argument(
    number: int | None, argument: int, *, these: Collection[int] = (), others_than: Collection[int] = ()
) -> list[bytes]:
    """Refuses a call whose argument is one of `these`, or none of `others_than`; goes on with any other call."""
    assert number is not None
    values = these or others_than
    last = REFUSE if others_than else ALLOW
    tests = [_line(JUMP_IF_EQUAL, value, len(values) - at, 0) for at, value in enumerate(values)]
    body = [
        _line(LOAD, ARGUMENTS + 8 * argument),
        *tests,
        _line(RETURN, last),
        _line(RETURN, ALLOW if others_than else REFUSE),
    ]
    return [_line(JUMP_IF_EQUAL, number, 0, len(body)), *body]


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
