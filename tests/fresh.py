"""
Tries the commands of README on a machine that has next to nothing: a Debian of its own, with git, make, python3 and
python3-venv, first as an ordinary user, then as root.

    sudo python3 -m tests.fresh [--suite SUITE] [--all]

`make test` has to name what is missing, in one command, and `make demo` has to work. With `--all` that command is
typed, and `make test` has to pass. Needs root and debootstrap. What is tried is what is committed; the network, pip's
settings and the authorities are those of this machine. The root folder stays, in `.cache/fresh/SUITE`, for the next
time, and beside it what a user's latest attempt printed; a checkout is new each time. Ubuntu is tried with
`--suite noble --mirror` and the address of its archive.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SUITES = ("bookworm", "trixie")
"Of Debian: with Python 3.11 and 3.13."

ALONE = "git,make,python3,python3-venv,ca-certificates"
USERS = {"tester": "/home/tester", "root": "/root"}
"User -> home, in the order in which they try."

KEPT = re.compile(r"PIP_\w+|\w*_proxy|\w*_PROXY|\w*(CERT|CA_BUNDLE|CA_CERTS)\w*|LANG")
"What of this machine's environment is about the network."

COPIED = ("/etc/resolv.conf", "/etc/hosts", "/usr/local/share/ca-certificates")


class Fresh:
    """One root folder, and what runs in it."""

    def __init__(self, suite: str, mirror: str | None = None) -> None:
        """`mirror`: where the suite is; None: where debootstrap looks for it."""
        self.folder = ROOT / ".cache" / "fresh" / suite
        self.suite = suite
        self._mirror = mirror

    def prepare(self) -> None:
        """Makes it, if it is not there, or not as it was made. Raises CalledProcessError: debootstrap could not."""
        part = self.folder.with_suffix(".part")
        if (self.folder / "usr/bin/java").exists():  # an attempt with `--all` has installed what it needs
            self.folder.rename(part)
        if not self.folder.is_dir():
            shutil.rmtree(part, ignore_errors=True)
            part.parent.mkdir(parents=True, exist_ok=True)
            command = ["debootstrap", "--variant=minbase", f"--include={ALONE}", self.suite, str(part)]
            subprocess.run([*command, *filter(None, [self._mirror])], check=True, stdout=subprocess.DEVNULL)
            part.rename(self.folder)
        for place in map(Path, COPIED):
            target = self.folder / place.relative_to("/")
            if place.is_dir():
                shutil.copytree(place, target, dirs_exist_ok=True)
            elif place.is_file():
                shutil.copy(place, target)
        self.run(
            "root", "update-ca-certificates >/dev/null; id tester >/dev/null 2>&1 || useradd -m -s /bin/bash tester"
        )

    def check_out(self, user: str) -> str:
        """A new clone of what is committed here, in the user's home; gives its folder."""
        home = self.folder / USERS[user].lstrip("/")
        shutil.rmtree(home / "sluice", ignore_errors=True)
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(home / "sluice")], check=True)
        self.run("root", f"chown -R {user} {USERS[user]}/sluice")
        return f"{USERS[user]}/sluice"

    def run(self, user: str, command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command as a user, with processes, mounts and an environment of its own."""
        inside = (
            f"mount -t proc proc {self.folder}/proc && mount --rbind /dev {self.folder}/dev && "
            f'chroot {self.folder} su {user} -s /bin/sh -w "$WHITELIST" -l -c "$COMMAND"; exit $?'
        )  # the shell stays: it is the process 1 here, and buries whatever ends without a parent
        kept = {name: value for name, value in os.environ.items() if KEPT.fullmatch(name)}
        paths = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "COMMAND": command, "WHITELIST": ",".join(kept) or "LANG"}
        return subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", inside],
            env={**kept, **paths},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )


def attempts(fresh: Fresh, *, everything: bool) -> Iterator[tuple[str, str, str, bool]]:
    """Tries it all, in turn: who did what, how it ended, and whether that is as it has to be."""
    places = {user: fresh.check_out(user) for user in USERS}
    told = ""
    for user, place in places.items():
        said, right = _judged(fresh, user, f"cd {place} && make test", works=False)
        told = said[said.find("apt-get install") :]
        yield user, "make test", said, right
    for user, place in places.items():
        yield user, "make demo", *_judged(fresh, user, f"cd {place} && make demo", works=True)
    if everything:
        unasked = told.replace("apt-get install", "apt-get install -qq -y", 1)
        yield "root", told, *_judged(fresh, "root", f"apt-get update -qq && {unasked}", works=True)
        for user, place in places.items():
            yield user, "make test", *_judged(fresh, user, f"cd {place} && make test", works=True)


def _judged(fresh: Fresh, user: str, command: str, *, works: bool) -> tuple[str, bool]:
    began = time.monotonic()
    result = fresh.run(user, command)
    fresh.folder.with_name(f"{fresh.folder.name}.{user}.log").write_text(result.stdout)
    lines = [line for line in result.stdout.splitlines() if line.strip()]
    right = (result.returncode == 0) if works else any("error: the tests need" in line for line in lines)
    if not right:
        print("\n".join(lines[-40:]), file=sys.stderr)
    shown = next((line for line in lines if "error: the tests need" in line), lines[-1].strip("─ ") if lines else "")
    return f"{time.monotonic() - began:.0f} s: {shown}", right


def main() -> None:
    """Prints a line for each attempt. Status 1: one was not as it has to be; 2: it cannot be tried here."""
    parser = argparse.ArgumentParser(description="Tries the commands of README in a Debian of its own.")
    parser.add_argument("--suite", action="append", help=f"default: {' and '.join(SUITES)}")
    parser.add_argument("--mirror", help="the archive that has the suite; default: Debian's")
    parser.add_argument("--all", action="store_true", help="also install what is missing, and then make test")
    options = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        print("error: this needs root, and debootstrap (Debian: debootstrap)", file=sys.stderr)
        raise SystemExit(2)
    well = True
    for suite in options.suite or SUITES:
        fresh = Fresh(suite, options.mirror)
        fresh.prepare()
        for user, what, said, right in attempts(fresh, everything=options.all):
            well &= right
            print(f"{suite}, {user}: {what}: {'' if right else 'WRONG, '}{said}", flush=True)
    raise SystemExit(0 if well else 1)


if __name__ == "__main__":
    main()
