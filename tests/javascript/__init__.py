"""
Node's side of the tests: the neo4j drivers that `package.json` pins, by npm into `.cache/javascript/`, and a program.

Where they cannot be had, what needs them is skipped, with the reason; in CI (the environment has `CI`) it fails.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent.parent / ".cache" / "javascript"
NPM_TIMEOUT = 150.0  # seconds; 5 MB on a first run


def node_folder() -> Path:
    """A folder with `run.js` and the packages that it needs. Skips or fails the test where there cannot be one."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            _do_without(f"the JavaScript drivers need Node 18 or newer with npm: no {program} on the path")
    parts = [HERE / "package.json", HERE / "run.js"]
    folder = CACHE / hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()[:12]
    if not folder.is_dir():
        _install(parts, folder)
    return folder


def _do_without(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def _install(parts: list[Path], folder: Path) -> None:
    """Install beside `folder` and rename, so that neither an interrupted run nor two at once leave half of it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        made = Path(scratch, "made")
        made.mkdir()
        for part in parts:
            shutil.copy(part, made)
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
        try:
            result = subprocess.run(
                command,
                cwd=made,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                text=True,
                timeout=NPM_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            _do_without(f"npm has not installed {HERE / 'package.json'} within {NPM_TIMEOUT:g} s")
        if result.returncode:
            _do_without(f"npm could not install {HERE / 'package.json'}:\n{result.stdout[-4000:]}")
        try:
            made.rename(folder)
        except OSError:
            if not folder.is_dir():  # another run was quicker otherwise
                raise
