"""The registry's client: what it asks, whose fault what goes wrong is, and what it shows of it."""

from __future__ import annotations

import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sluice import decoding
from sluice.decoding.registry import SchemaRegistry
from sluice.decoding.registry_options import registry_options
from tests.unit.bolt.certificate import make_certificate
from tests.unit.decoding.registry_server import RegistryServer

SCHEMA = {"type": "record", "name": "R", "fields": [{"name": "f", "type": "int"}]}
FRAME = b"\0\0\0\0\1\2"


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with RegistryServer() as server:
        server.put(SCHEMA, subject="a b/c")
        yield server


def opened(registry: RegistryServer | str, **options: Any) -> decoding.Decoder:
    url = registry if isinstance(registry, str) else registry.url
    return decoding.open("avro", registry={"url": url, "timeout": 20, **options})


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_is_asked_for_again(registry, status: int):
    registry.failures = [status, status]
    assert opened(registry).value(FRAME) == {"f": 1}
    assert len(registry.asked) == 3


@pytest.mark.parametrize("status", [302, 400, 401, 403, 500])
def test_a_registry_that_does_not_let_us_in_is_no_fault_of_the_message(registry, status: int):
    registry.failures = [status] * 100
    with pytest.raises(decoding.ServiceUnavailable, match=f"asked for schema 1: it answers {status} "):
        opened(registry, timeout=2).value(FRAME)
    registry.failures = []
    assert opened(registry).value(FRAME) == {"f": 1}


def test_a_registry_that_is_away_is_named_in_time(registry):
    before = time.monotonic()
    with pytest.raises(decoding.ServiceUnavailable) as caught:
        opened("http://127.0.0.1:1", timeout=0.3).value(FRAME)
    assert str(caught.value) == "the schema registry at http://127.0.0.1:1, asked for schema 1: Connection refused"
    registry.drips = True
    try:
        with pytest.raises(decoding.ServiceUnavailable, match="its answer is not whole in time"):
            opened(registry, timeout=1).value(FRAME)
    finally:
        registry.drips = False
    assert time.monotonic() - before < 10


def test_one_that_is_away_is_replaced_by_another_of_the_list(registry):
    decoder = decoding.open("avro", registry={"url": ["http://127.0.0.1:1", registry.url], "timeout": 20})
    assert decoder.value(FRAME) == {"f": 1}


@pytest.mark.parametrize("body", [None, "text", {"detail": "no such resource"}, {"error_code": 404}], ids=str)
def test_an_address_that_is_no_registrys_is_no_fault_of_the_message(registry, body: Any):
    registry.answer = lambda path: (404, body)
    with pytest.raises(decoding.ServiceUnavailable, match="it answers 404 Not Found"):
        opened(registry).value(FRAME)


@pytest.mark.parametrize("body", [[], {}, {"schema": "{}", "references": [{}]}, "text", None], ids=str)
def test_an_answer_that_is_none_of_a_registrys_is_no_fault_of_the_message(registry, body: Any):
    registry.answer = lambda path: (200, body)
    with pytest.raises(decoding.ServiceUnavailable, match="answers with something else"):
        opened(registry).value(FRAME)


def test_an_answer_is_not_read_without_end(registry, monkeypatch):
    monkeypatch.setattr("sluice.decoding.registry.MAX_BYTES", 10)
    with pytest.raises(decoding.ServiceUnavailable, match="its answer is larger than 10 bytes"):
        opened(registry, timeout=1).value(FRAME)


def test_a_registry_without_guids_is_named(registry):
    registry.answer = lambda path: (404, None)
    with pytest.raises(decoding.ServiceUnavailable, match="as registries do that have no GUIDs"):
        opened(registry).value(b"\1" + bytes(16))


def test_names_of_subjects_are_escaped(registry):
    number = registry.put(
        {"type": "record", "name": "S", "fields": [{"name": "r", "type": "R"}]}, references=[("R", "a b/c")]
    )
    assert opened(registry).value(bytes([0, 0, 0, 0, number, 2])) == {"r": {"f": 1}}
    assert registry.asked[1:] == ["/subjects/a%20b%2Fc/versions/1"]


def test_passwords_come_from_files_and_are_read_anew(registry, tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text("ada:wrong\n")
    registry.authorization = "Basic YWRhOnPDtnM="
    decoder = opened(registry, basic_auth=f"file:{secret}")
    with pytest.raises(decoding.ServiceUnavailable, match="it answers 401 Unauthorized") as caught:
        decoder.value(FRAME)
    assert "wrong" not in str(caught.value)
    secret.write_text("ada:sös\n")
    assert decoder.value(FRAME) == {"f": 1}
    assert opened(registry, basic_auth=("ada", "sös")).value(FRAME) == {"f": 1}
    registry.authorization = "Bearer t0k"
    secret.write_text("t0k")
    assert opened(registry, bearer_token=f"file:{secret}").value(FRAME) == {"f": 1}
    assert opened(registry, bearer_token=("t0k",)).value(FRAME) == {"f": 1}
    secret.write_text("no colon")
    with pytest.raises(decoding.ServiceUnavailable, match="secret does not hold user:password$"):
        opened(registry, basic_auth=f"file:{secret}", timeout=0.3).value(FRAME)
    with pytest.raises(decoding.ServiceUnavailable, match="No such file or directory: .*/none$"):
        opened(registry, basic_auth=f"file:{tmp_path}/none", timeout=0.3).value(FRAME)


def test_tls_trusts_what_it_is_told(tmp_path: Path):
    both = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    with RegistryServer(context) as server:
        server.put(SCHEMA)
        with pytest.raises(decoding.ServiceUnavailable, match="certificate"):
            opened(server, timeout=1).value(FRAME)
        assert opened(server, ca=str(tmp_path / "certificate.pem")).value(FRAME) == {"f": 1}


SECRET = "hunter2"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (None, r"the option registry must be a map, as {url: 'http://localhost:8081'}"),
        ({}, "the option registry.url is missing"),
        ({"url": []}, "the option registry.url is missing"),
        ({"url": "localhost:8081"}, "the option registry.url must begin with http:// or https:// and a host"),
        ({"url": f"http://ada:{SECRET}@x"}, "the option registry.url has a password or a query"),
        ({"url": "http://x", "user": 1}, "the option registry has no user; there are url, basic_auth, "),
        (
            {"url": "http://x", "basic_auth": f"ada:{SECRET}"},
            "registry.basic_auth must be 'env:NAME' or 'file:/path'",
        ),
        (
            {"url": "http://x", "basic_auth": ["ada", SECRET]},
            "registry.basic_auth must be 'env:NAME' or 'file:/path'",
        ),
        (
            {"url": "http://x", "bearer_token": SECRET},
            "registry.bearer_token must be 'env:NAME' or 'file:/path'",
        ),
        ({"url": "http://x", "basic_auth": "file:/a", "bearer_token": "file:/b"}, "registry takes one of them"),
        ({"url": "http://x", "ca": "relative"}, "the option registry.ca must be the path of a file"),
        ({"url": "http://x", "key": "/k"}, "the option registry has a key without a certificate"),
        ({"url": "http://x", "timeout": True}, "the option registry.timeout must be seconds, up to 300"),
        ({"url": "http://x", "timeout": 0}, "the option registry.timeout must be seconds, up to 300"),
    ],
    ids=str,
)
def test_options_that_are_wrong_are_named_without_their_secrets(given: Any, reason: str):
    with pytest.raises(decoding.WrongOption) as caught:
        SchemaRegistry(given)
    assert reason in str(caught.value)
    assert SECRET not in str(caught.value)


def test_no_secret_is_shown():
    assert SECRET not in repr(registry_options({"url": "http://x", "basic_auth": ("ada", SECRET)}))


@pytest.mark.parametrize(
    ("form", "module", "package"),
    [
        ("avro", "fastavro", "fastavro"),
        ("protobuf", "google.protobuf", "protobuf"),
        ("jsonschema", "jsonschema", "jsonschema"),
    ],
)
def test_a_package_that_is_missing_is_named_with_the_command_that_installs_it(monkeypatch, form, module, package):
    for name in [name for name in sys.modules if name.split(".")[0] == module.split(".")[0]]:
        monkeypatch.delitem(sys.modules, name)

    class Missing:
        def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
            if name == module:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    options = {"validate": True} if form == "jsonschema" else {}
    with pytest.raises(decoding.WrongOption) as caught:
        decoding.open(form, registry={"url": "http://x"}, **options)
    assert str(caught.value).endswith(f"needs the package {package}: {sys.executable} -m pip install {package}")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            {"format": "avor"},
            "the option format must be one of json, text, csv, avro, protobuf, jsonschema, got 'avor'",
        ),
        ({"format": "json", "registry": {"url": "http://x"}}, "unknown option registry; there are decimals, "),
        ({"format": "text", "decimals": "text"}, "unknown option decimals; there are format, key_format"),
        ({"format": "json", "decimals": "exact"}, "the option decimals must be one of float, text, got 'exact'"),
        ({"format": "avro", "registry": {"url": "http://x"}, "schema": {"type": 1}}, "must be an Avro schema: "),
    ],
    ids=str,
)
def test_wrong_options_of_formats_are_named(options: dict[str, Any], reason: str):
    with pytest.raises(decoding.WrongOption) as caught:
        decoding.open(**options)
    assert reason in str(caught.value)
