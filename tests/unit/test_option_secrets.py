"""Secrets in a transform's options: looked up in the server, for the registry that they are meant for alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sluice.errors import ScriptError, SettingError
from sluice.host.secrets_allowed import SecretsAllow
from sluice.scripting.option_secrets import looked_up
from sluice.scripting.process import TransformProcess
from sluice.values.configuration import Configuration
from sluice.values.options import options_of
from tests.unit.test_transform_process import SETTINGS, batch, transform

URL = "https://registry.example.org"
PEER = "registry.example.org:443"
SECRET = "ada:hunter2"


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REGISTRY_LOGIN", SECRET)
    file = tmp_path / "login"
    file.write_text(f"{SECRET}\n")
    return file


def registry(allow: str, **options: Any) -> dict[str, Any]:
    """The map as it is looked up."""
    found: dict[str, Any] = looked_up({"x": 1, "registry": {"url": URL, **options}}, SecretsAllow.parse(allow))
    assert found["x"] == 1
    return dict(found["registry"])


def test_references_become_what_they_refer_to(secret: Path):
    assert registry("REGISTRY_LOGIN", basic_auth="env:REGISTRY_LOGIN")["basic_auth"] == ("ada", "hunter2")
    assert registry(f"{secret}@{PEER}", basic_auth=f"file:{secret}")["basic_auth"] == ("ada", "hunter2")
    assert registry(f"{secret}@{PEER}", bearer_token=f"file:{secret}")["bearer_token"] == (SECRET,)
    assert registry(str(secret), ca=str(secret), key=str(secret)) == {"url": URL, "ca": str(secret), "key": str(secret)}
    both = {"url": [URL, "http://[::1]:8081/x"], "basic_auth": "env:REGISTRY_LOGIN"}
    assert registry(f"REGISTRY_LOGIN@{PEER}+[::1]:8081", **both)["basic_auth"] == ("ada", "hunter2")
    assert looked_up({"registry": "text"}, SecretsAllow(())) == {"registry": "text"}
    assert registry("", basic_auth="plain", timeout=3) == {"url": URL, "basic_auth": "plain", "timeout": 3}


@pytest.mark.parametrize(
    ("allow", "options", "reason"),
    [
        (
            "",
            {"basic_auth": "env:REGISTRY_LOGIN"},
            f"is not allowed for {PEER}; .*REGISTRY_LOGIN@{PEER} in the server's",
        ),
        ("REGISTRY_LOGIN@other:443", {"basic_auth": "env:REGISTRY_LOGIN"}, f"is not allowed for {PEER}"),
        (f"REGISTRY_LOGIN@{PEER}", {"basic_auth": "env:REGISTRY_LOGIN", "url": [URL, "http://x"]}, "for .*x:80"),
        (f"REGISTRY_LOGIN@{PEER}", {"basic_auth": "env:REGISTRY_LOGIN", "url": "ftp://x"}, "not plainly host:port"),
        ("", {"basic_auth": "file:/etc/passwd"}, "/etc/passwd, which is not allowed"),
        ("", {"ca": "/etc/passwd"}, "/etc/passwd, which is not allowed"),
        ("", {"certificate": "/etc/ssl/certs/x.pem"}, "which is not allowed"),
        ("", {"bearer_token": "env:SLUICE_X"}, "the variable SLUICE_X, which is never allowed"),
        ("/etc/passwd", {"basic_auth": "file:/dev/null"}, "/dev/null, which is never allowed"),
        ("GONE", {"basic_auth": "env:GONE"}, "the variable GONE, which the server does not have"),
    ],
    ids=str,
)
def test_what_is_not_let_out_is_refused(secret: Path, allow: str, options: dict[str, Any], reason: str):
    with pytest.raises(SettingError, match=f"^transform option registry.* refers to .*{reason}|names .*{reason}"):
        registry(allow, **options)


def test_a_secret_of_another_form_is_not_repeated(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REGISTRY_LOGIN", "hunter2")
    with pytest.raises(SettingError, match="not of the form user:password$") as caught:
        registry("REGISTRY_LOGIN", basic_auth="env:REGISTRY_LOGIN")
    assert "hunter2" not in str(caught.value)


def test_a_script_is_given_them_and_no_other_sees_them(secret: Path):
    source = "def configure(options):\n    global given\n    given = options\n"
    source += "def stream(batch):\n    return [('RETURN $x', {'x': list(given['registry']['basic_auth'])})]"
    options = options_of({"registry": {"url": URL, "basic_auth": "env:REGISTRY_LOGIN"}})
    settings = replace(SETTINGS, secrets_allow=SecretsAllow.parse("REGISTRY_LOGIN"))
    assert "hunter2" not in options.text
    with TransformProcess(transform(source), settings, config=Configuration(transform=options)) as transform_process:
        assert transform_process.rows(batch(b"")) == [("RETURN $x", {"x": ["ada", "hunter2"]})]
    with pytest.raises(ScriptError, match="^bad transform /srv/t.py: transform option registry.basic_auth refers to"):
        TransformProcess(transform(source), SETTINGS, config=Configuration(transform=options))
