"""
Drivers of other languages, each a program that reads queries and writes answers, as those of `tests/javascript` do.
What they need is built into `.cache/` by the language's own tools; without these, what needs them is skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kafka.jars import jars
from tests.kafka.jars import java as java_runtime

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent.parent / ".cache" / "clients"
BUILD_TIMEOUT = 600.0  # seconds; the first time all dependencies are fetched and compiled


def go() -> list[str]:
    """The driver of Go."""
    _build(["go", "build", "-o", str(CACHE / "go"), "."], HERE / "go")
    return [str(CACHE / "go")]


def rust() -> list[str]:
    """neo4rs, the driver of Rust."""
    _build(["cargo", "build", "--quiet", "--release", "--target-dir", str(CACHE / "rust")], HERE / "rust")
    return [str(CACHE / "rust" / "release" / "client")]


def java() -> list[str]:
    """The driver of Java, whose program is compiled when it is run."""
    if shutil.which("javac") is None:
        pytest.skip("needs javac: a JDK (Debian: default-jdk-headless)")
    class_path = os.pathsep.join(map(str, jars(HERE / "java" / "pom.xml")))
    return [java_runtime(), "-cp", class_path, str(HERE / "java" / "Client.java")]


def _build(command: list[str], folder: Path) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"needs {command[0]}")
    CACHE.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=BUILD_TIMEOUT, check=False)
    assert made.returncode == 0, made.stderr[-4000:]
