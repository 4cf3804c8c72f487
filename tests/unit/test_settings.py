"""Settings come from the environment, else from the server's flags; a wrong one is named, its value is not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from sluice.errors import SettingError
from sluice.host import server_flags
from sluice.host.server_flags import parse_flags
from sluice.host.setting import declaration_of, written
from sluice.host.settings import Settings, load
from tests import settings_table


def test_without_any_variable_everything_is_a_default():
    assert load({}, {}) == Settings()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        pytest.param({"bolt-port": "7777"}, ("127.0.0.1", 7777, False), id="the server's port"),
        pytest.param({"bolt-address": "0.0.0.0"}, ("127.0.0.1", 7687, False), id="every IPv4 address"),
        pytest.param({"bolt-address": "::"}, ("::1", 7687, False), id="every IPv6 address"),
        pytest.param({"bolt-address": "10.1.2.3"}, ("10.1.2.3", 7687, False), id="one address"),
        pytest.param({"bolt-cert-file": "/c.pem"}, ("127.0.0.1", 7687, True), id="TLS"),
        pytest.param({"bolt-cert-file": ""}, ("127.0.0.1", 7687, False), id="an empty certificate is none"),
    ],
)
def test_the_loopback_is_found_from_the_servers_flags(flags, expected):
    settings = load({}, flags)
    assert (settings.loopback_host, settings.loopback_port, settings.loopback_tls) == expected


def test_a_variable_wins_over_a_flag():
    assert load({"SLUICE_LOOPBACK_PORT": "7001"}, {"bolt-port": "7002"}).loopback_port == 7001


@pytest.mark.parametrize(
    ("environment", "flags", "port"),
    [
        pytest.param({"MEMGRAPH_BOLT_PORT": "7001"}, {"bolt-port": "7002"}, 7001, id="the server's variable"),
        pytest.param({"MEMGRAPH_BOLT_PORT": "seven"}, {"bolt-port": "7002"}, 7002, id="none that the server takes"),
        pytest.param({}, {"bolt-port": "seven"}, 7687, id="misread"),
    ],
)
def test_the_port_is_the_one_that_the_server_takes(environment, flags, port):
    assert load(environment, flags).loopback_port == port


@pytest.mark.parametrize(
    ("environment", "who"),
    [
        pytest.param({"MEMGRAPH_USER": "ada", "MEMGRAPH_PASSWORD": "s3cret"}, ("ada", "s3cret"), id="the first user"),
        pytest.param({"MEMGRAPH_USER": "ada"}, ("", ""), id="half of it makes no user"),
        pytest.param(
            {"MEMGRAPH_USER": "ada", "MEMGRAPH_PASSWORD": "s3cret", "SLUICE_LOOPBACK_USER": "sluice"},
            ("sluice", ""),
            id="another user gets no other's password",
        ),
    ],
)
def test_without_a_user_of_its_own_the_loopback_is_the_one_that_the_server_makes(environment, who):
    settings = load(environment, {})
    assert (settings.loopback_user, settings.loopback_password) == who
    assert "s3cret" not in str(settings.as_variables())


def test_flags_come_from_files_in_the_servers_order(tmp_path: Path, monkeypatch):
    files = [tmp_path / name for name in ("etc", "named", "one", "two")]
    for file, number in zip(files, (1, 2, 3, 4), strict=True):
        file.write_text(f"# a comment\n\n--bolt-port={number}\n--bolt_address=10.0.0.{number}\n")
    command_line = tmp_path / "cmdline"
    monkeypatch.setattr(server_flags, "CONFIGURATION_FILE", files[0])
    monkeypatch.setattr(server_flags, "COMMAND_LINE", command_line)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("MEMGRAPH_CONFIG", raising=False)
    expected = {"": "1", f"--flag-file={files[2]}": "3", f"--flagfile={files[2]},{files[3]}": "4"}
    for words, port in expected.items():
        command_line.write_bytes(b"memgraph\0" + words.encode() + b"\0")
        found = server_flags.server_flags()
        assert (found["bolt-port"], found["bolt-address"]) == (port, f"10.0.0.{port}")
    command_line.write_bytes(b"memgraph\0--bolt-port\x009\0")
    assert server_flags.server_flags()["bolt-port"] == "9"
    monkeypatch.setenv("MEMGRAPH_CONFIG", str(files[1]))
    assert server_flags.server_flags()["bolt-address"] == "10.0.0.2"


def test_the_password_may_come_from_a_file(tmp_path: Path):
    file = tmp_path / "password"
    file.write_text("s3cret\n")
    settings = load({"SLUICE_LOOPBACK_PASSWORD_FILE": str(file)}, {})
    assert settings.loopback_password == "s3cret"
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("SLUICE_LOOPBACK_PORT", "http", "expected a port"),
        ("SLUICE_LOOPBACK_PORT", "70000", "expected a port"),
        ("SLUICE_LOOPBACK_TLS", "perhaps", "expected true or false"),
        ("SLUICE_BROKER_TIMEOUT", "-1", "expected seconds"),
        ("SLUICE_BROKER_TIMEOUT", "nan", "expected seconds"),
        ("SLUICE_SCRIPT_MAX_BYTES", "0", "expected an integer, 1 or more"),
        ("SLUICE_TRANSFORM_MEMORY_MB", "1.5", "expected an integer, 0 or more"),
        ("SLUICE_LOOPBACK_PASSWORD_FILE", "/nowhere/secret", "No such file"),
    ],
)
def test_a_wrong_value_is_refused_by_the_variables_name_and_not_repeated(variable, value, reason):
    with pytest.raises(SettingError, match=reason) as caught:
        load({variable: value}, {})
    assert variable in str(caught.value)
    assert value not in str(caught.value)


def test_an_unknown_variable_is_refused():
    with pytest.raises(SettingError, match="unknown setting SLUICE_BATCH"):
        load({"SLUICE_BATCH": "1"}, {})


def test_readme_has_the_table_of_what_is_declared():
    assert settings_table.written_table() == settings_table.table()


@pytest.mark.parametrize("field", dataclasses.fields(Settings), ids=lambda field: field.name)
def test_a_default_written_as_a_variable_reads_as_itself(field: dataclasses.Field):
    if field.name != "signing_key_file":  # one that is given has to be there
        parsed = declaration_of(field).parse(written(field.default)) if written(field.default) else field.default
        assert parsed == field.default
    assert declaration_of(field).text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(["memgraph", "--bolt-port=1"], {"bolt-port": "1"}, id="with an equals sign"),
        pytest.param(["--bolt-port", "1"], {"bolt-port": "1"}, id="with a space"),
        pytest.param(["-bolt_port=1"], {"bolt-port": "1"}, id="one dash, underscores"),
        pytest.param(
            ["--also-log-to-stderr", "--bolt-port=1"], {"also-log-to-stderr": "", "bolt-port": "1"}, id="a bare flag"
        ),
        pytest.param(["--a=1", "--a=2"], {"a": "2"}, id="the last one wins"),
        pytest.param(["--a=1", "word"], {"a": "1"}, id="a word after a value is nothing"),
        pytest.param([], {}, id="nothing"),
    ],
)
def test_flags_are_read_as_the_server_reads_them(words, expected):
    assert parse_flags(words) == expected
