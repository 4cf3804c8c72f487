"""
The modules as files: those in this package, those in a server's folder, and how they are copied and removed.

The folder contains `streams.py` and the package `sluice` with `INSTALLED.json`, the manifest: the version, and the
SHA-256 of every installed file. The package is staged next to its place and exchanged in one step, so that a server
that loads modules at any moment finds all of the old or all of the new files.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sluice
from sluice.errors import SettingError, UserError

MODULE = "streams.py"
PACKAGE = "sluice"
# Reloading a module purges whatever is imported in a folder whose name contains the module's name.
STAGING = ".sluice-new-"
MANIFEST = f"{PACKAGE}/INSTALLED.json"

EXAMPLES = "sluice/example_scripts"
"Folder of the example transforms; reloading a user's module `transforms` would purge a folder of that name."

SKIPPED = frozenset({"__pycache__", "py.typed"})
"Parts of the package that a server does not need."

AT_FDCWD = -100
RENAME_EXCHANGE = 2


class InstallError(UserError):
    """The folder is not what it should be; nothing was changed."""


@dataclass(frozen=True)
class Copy:
    """A set of the modules' files."""

    version: str
    files: Mapping[str, str] = field(repr=False)
    "path below the folder, with slashes -> SHA-256 in hexadecimal; empty if they were copied by hand."


def brought() -> dict[str, Path]:
    """The files in this package: path below a server's folder -> where the file is here."""
    package = Path(sluice.__file__).resolve().parent
    files = {f"{PACKAGE}/{path.relative_to(package).as_posix()}": path for path in _files(package)}
    # In a wheel they are data of this command's package; in a checkout they are next to the package.
    data = Path(__file__).parent / "files"
    module, examples = (
        (data / MODULE, data / "examples")
        if data.is_dir()
        else (package.parent / MODULE, package.parents[1] / "transforms")
    )
    files[MODULE] = module
    files |= {f"{EXAMPLES}/{path.name}": path for path in sorted(examples.glob("*.py"))}
    files.pop(MANIFEST, None)
    return files


def installed(folder: Path) -> Copy | None:
    """
    What is in a server's folder; None if nothing of Sluice is. Raises InstallError: files with Sluice's names there are
    not Sluice's.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return Copy(manifest["version"], manifest["files"])
    except FileNotFoundError:
        pass
    except (ValueError, KeyError, TypeError):
        raise InstallError(f"{folder / MANIFEST} cannot be read; move {folder / PACKAGE} away and try again") from None
    package, module = folder / PACKAGE, folder / MODULE
    version = version_of(package)
    if package.exists() and version is None:
        raise InstallError(f"{package} is not Sluice's: a server cannot have both, move it away")
    if module.exists() and "sluice.supervising.process" not in _text(module):
        raise InstallError(f"{module} is not Sluice's: a server cannot have both, move it away or rename it")
    return Copy(version, {}) if version else None


def version_of(package: Path) -> str | None:
    """The version that a folder of the package says it is; None: it says nothing."""
    found = re.search(r'^__version__ = "([^"]+)"', _text(package / "__init__.py"), re.MULTILINE)
    return found[1] if found else None


def is_current(folder: Path, copy: Copy) -> bool:
    """Whether it is this version, with every file present and unchanged."""
    files = brought()
    same = copy.version == sluice.__version__ and copy.files.keys() == files.keys()
    return same and all(_digest(folder / name) == copy.files[name] == _digest(path) for name, path in files.items())


def put(folder: Path, old: Copy | None) -> list[Path]:
    """
    Installs the files there, in place of those of `old`. Returns what was found and kept, because it is not Sluice's:
    files that were added, and changed ones as `name.orig`. Raises SettingError: the folder cannot be written; nothing
    was changed.
    """
    files = brought()
    if any(path.parent == folder / PACKAGE for path in files.values()):
        raise SettingError(f"this command runs from {folder} itself; use the one of another installation")
    with _locked(folder):
        staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=folder))
        try:
            digests = {name: _copy(path, staging / name) for name, path in sorted(files.items())}
            manifest = {"version": sluice.__version__, "files": digests}
            (staging / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
            (staging / MANIFEST).chmod(0o644)
            kept = _carry_over(folder, staging, old, digests)
            _exchange(staging / PACKAGE, folder / PACKAGE)
            os.replace(staging / MODULE, folder / MODULE)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return [folder / name for name in kept]


def remove(folder: Path, copy: Copy) -> list[Path]:
    """
    Removes what `put` installed there, and what Python compiled from it. Returns what was kept: files that were added
    or changed, with their folders.
    """
    with _locked(folder):
        # The module first: from then on a reload finds nothing of Sluice, neither whole nor in parts.
        for name in (MODULE, *(name for name in copy.files if name != MODULE)):
            path = folder / name
            if path.is_file() and _digest(path) == copy.files.get(name):
                path.unlink()
            for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
                compiled.unlink()
        (folder / MANIFEST).unlink(missing_ok=True)
        folders = [path for path in (folder / PACKAGE).rglob("*") if path.is_dir()]
        for path in (*sorted(folders, reverse=True), folder / PACKAGE, folder / "__pycache__"):
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
    left = [path for path in (folder / PACKAGE).rglob("*") if path.is_file()]
    return [path for path in (folder / MODULE, *left) if path.exists()]


def _files(package: Path) -> Iterator[Path]:
    for path in sorted(package.rglob("*")):
        if path.is_file() and not SKIPPED.intersection(path.relative_to(package).parts):
            yield path


def _carry_over(folder: Path, staging: Path, old: Copy | None, new: Mapping[str, str]) -> list[str]:
    """Copies into the staged package what was added to the old one, or changed in it."""
    if old is None or not old.files:
        return []
    kept = []
    for path in _files(folder / PACKAGE):
        name = path.relative_to(folder).as_posix()
        if name == MANIFEST or _digest(path) in (old.files.get(name), new.get(name)):
            continue
        name += ".orig" if name in new else ""
        _copy(path, staging / name)
        kept.append(name)
    return kept


def _copy(source: Path, target: Path) -> str:
    """Copies a file so that the server's user may read it, whatever the umask is; returns its SHA-256."""
    content = source.read_bytes()
    for parent in reversed(target.parents):
        if not parent.exists():
            parent.mkdir()
            parent.chmod(0o755)
    target.write_bytes(content)
    target.chmod(0o644)
    return hashlib.sha256(content).hexdigest()


def _exchange(new: Path, place: Path) -> None:
    """Replaces a folder with another, in one step if the file system can."""
    if not place.exists():
        new.rename(place)
        return
    library = ctypes.CDLL(None, use_errno=True)
    arguments = (AT_FDCWD, os.fsencode(new), AT_FDCWD, os.fsencode(place), RENAME_EXCHANGE)
    if hasattr(library, "renameat2") and library.renameat2(*arguments) == 0:
        return
    place.rename(new.with_name("old"))
    new.rename(place)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Allows one at a time; removes what a killed run left behind."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise SettingError(f"{folder}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for leftover in folder.glob(f"{STAGING}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield
    except PermissionError as error:
        raise SettingError(f"{folder} may not be written by this user: {error.strerror}; try again as root") from error
    finally:
        os.close(descriptor)


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
