"""Scripts come over HTTP or from regular files, and are bounded in size and time."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from sluice.errors import ScriptError
from sluice.script import fetch
from sluice.settings import Settings
from tests.hosts.script_server import ScriptServer

SOURCE = "def stream(batch):\n    return []  # é\n"
SETTINGS = Settings(script_timeout=1.0, script_max_bytes=1000)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my transform.py"
    path.write_text(SOURCE, encoding="utf-8")
    return path


def test_a_plain_path(file: Path):
    transform = fetch(str(file), SETTINGS)
    assert (transform.uri, transform.source) == (str(file), SOURCE)
    assert transform.sha256 == hashlib.sha256(SOURCE.encode()).hexdigest()


@pytest.mark.parametrize("host", ["", "localhost"])
def test_a_file_uri(file: Path, host: str):
    assert fetch(f"file://{host}{str(file).replace(' ', '%20')}", SETTINGS).source == SOURCE


def test_http(script_server: ScriptServer):
    url = script_server.serve("/transform.py", SOURCE)
    assert fetch(url, SETTINGS).source == SOURCE


def test_what_cannot_be_had_is_said_in_the_words_of_the_specification(script_server: ScriptServer, tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for uri in [
        script_server.url("/missing.py"),
        str(tmp_path / "none.py"),
        str(tmp_path),
        "/dev/zero",
        str(pipe),
        "http://[",
    ]:
        with pytest.raises(ScriptError) as caught:
            fetch(uri, SETTINGS)
        assert str(caught.value) == f"Couldn't get the transform script from {uri}"


def test_a_server_that_does_not_answer_is_not_waited_for(script_server: ScriptServer):
    url = script_server.serve("/slow.py", SOURCE)
    script_server.delay("/slow.py", 5)
    with pytest.raises(ScriptError, match="Couldn't get the transform script from"):
        fetch(url, Settings(script_timeout=0.2))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"#" * 1001, "it is larger than 1000 bytes", id="too large"),
        pytest.param(b"\xff\xfe", "it is not UTF-8 text (byte 0)", id="not text"),
    ],
)
def test_a_script_that_cannot_be_one(tmp_path: Path, content: bytes, reason: str):
    path = tmp_path / "t.py"
    path.write_bytes(content)
    with pytest.raises(ScriptError) as caught:
        fetch(str(path), SETTINGS)
    assert str(caught.value) == f"Couldn't get the transform script from {path}: {reason}"


def test_an_unknown_scheme_says_what_is_supported():
    with pytest.raises(ScriptError, match=r"ftp:// is not supported; use http://, https://, file:// or a path"):
        fetch("ftp://host/t.py", SETTINGS)
