"""Only what the administrator lets out is looked up, for the brokers it is for, and nothing of it is in an error."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from sluice.brokers import clients
from sluice.brokers.references import Resolved, resolve
from sluice.errors import BrokerError, SettingError
from sluice.host import settings
from sluice.host.secrets_allowed import SecretsAllow, brokers_of
from sluice.host.settings import Settings, load, put_in_force
from sluice.values.configuration import configuration_of

BROKER = "kafka.example.org:9093"


@pytest.fixture(autouse=True)
def _as_it_was():
    before = settings.in_force()
    yield
    put_in_force(before)


def looked_up(allow: SecretsAllow | str, given: dict[str, Any], uri: str = BROKER) -> Resolved:
    allowed = allow if isinstance(allow, SecretsAllow) else SecretsAllow.parse(allow)
    return resolve("s", uri, configuration_of("s", given), allowed)


def refusal(allow: SecretsAllow | str, given: dict[str, Any], uri: str = BROKER) -> str:
    with pytest.raises(SettingError) as caught:
        looked_up(allow, given, uri)
    said = str(caught.value)
    assert said.startswith("Kafka stream s, config: ")
    assert "\n" not in said
    return said.removeprefix("Kafka stream s, config: ")


# The list


@pytest.mark.parametrize(
    "text",
    [
        "KAFKA_PASSWORD",
        "KAFKA_PASSWORD@kafka:9092",
        "A@kafka-1:9092+kafka-2:9093,B,/run/secrets,/srv/a@b/c@[::1]:9092",
        "/etc/memgraph/sluice-secrets",
    ],
)
def test_a_list_is_told_as_it_was_written(text):
    assert str(SecretsAllow.parse(text)) == text
    assert load({"SLUICE_SECRETS_ALLOW": text}, {}).as_variables()["SLUICE_SECRETS_ALLOW"] == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("relative/folder", "expected variables and absolute paths"),
        ("A-B", "expected variables and absolute paths"),
        ("@kafka:9092", "expected variables and absolute paths"),
        ("A@", "after A@ there must be host:port"),
        ("A@kafka:9092+", "after A@ there must be host:port"),
        ("A@kafka:90920", "after A@ there must be host:port"),
        ("A@kafka:x", "after A@ there must be host:port"),
        ("A@*:9092", "after A@ there must be host:port"),
        ("SLUICE_LOOPBACK_PASSWORD", "variables that begin with SLUICE_ or MEMGRAPH_ are never allowed"),
        ("MEMGRAPH_PASSWORD@kafka:9092", "variables that begin with SLUICE_ or MEMGRAPH_ are never allowed"),
        ("/a\0b", "a path has control characters in it"),
    ],
)
def test_what_is_no_list_is_refused_when_the_server_starts(text, reason):
    with pytest.raises(SettingError) as caught:
        load({"SLUICE_SECRETS_ALLOW": text}, {})
    assert str(caught.value).startswith(f"SLUICE_SECRETS_ALLOW has an invalid value: {reason}")


@pytest.mark.parametrize(
    ("uri", "brokers"),
    [
        ("kafka:9092", {"kafka:9092"}),
        ("KAFKA", {"kafka:9092"}),
        ("SASL_SSL://a:1, b:2", {"a:1", "b:2"}),
        ("[0:0::1]:9092,", {"[::1]:9092"}),
    ],
)
def test_brokers_are_compared_as_librdkafka_reads_them(uri, brokers):
    assert brokers_of(uri) == brokers


@pytest.mark.parametrize(
    "uri", ["a:1/b:2", "a b:1", "a:1;b:2", "::1", "http://a:1", "a:1:2", "a:", "a:0", "a\t:1", ":9092"]
)
def test_an_address_that_could_be_read_in_two_ways_is_none(uri):
    with pytest.raises(ValueError, match="host:port|expected|IPv6"):
        brokers_of(uri)


# Variables


def test_no_variable_is_let_out_by_itself(monkeypatch):
    monkeypatch.setenv("KAFKA_PASSWORD", "hunter2")
    said = refusal("/etc/memgraph/sluice-secrets", {"sasl.password": "env:KAFKA_PASSWORD"})
    assert said == (
        f"sasl.password refers to the variable KAFKA_PASSWORD, which is not allowed for {BROKER}; "
        "the administrator can allow it: "
        f"SLUICE_SECRETS_ALLOW=/etc/memgraph/sluice-secrets,KAFKA_PASSWORD@{BROKER} in the server's environment"
    )
    assert str(Settings().secrets_allow) == "/etc/memgraph/sluice-secrets"


def test_what_the_refusal_says_to_set_lets_it_out(monkeypatch):
    monkeypatch.setenv("KAFKA_PASSWORD", "hunter2")
    given = {"sasl.password": "env:KAFKA_PASSWORD"}
    said = refusal("OTHER", given, "b:2,a:1")
    text = said.partition("SLUICE_SECRETS_ALLOW=")[2].partition(" in the server's")[0]
    assert text == "OTHER,KAFKA_PASSWORD@a:1+b:2"
    assert looked_up(text, given, "a:1,b:2").values == {"sasl.password": "hunter2"}


@pytest.mark.parametrize("variable", ["MADE_UP_AND_NOT_SET", "HOME"])
def test_a_refusal_does_not_tell_whether_the_variable_is_there(variable):
    said = refusal("X", {"sasl.password": f"env:{variable}"})
    assert said.replace(variable, "V") == (
        f"sasl.password refers to the variable V, which is not allowed for {BROKER}; the administrator can allow it: "
        f"SLUICE_SECRETS_ALLOW=X,V@{BROKER} in the server's environment"
    )


@pytest.mark.parametrize(
    ("bound", "uri", "out"),
    [
        ("", "anywhere:1", True),
        ("@a:1", "a:1", True),
        ("@a:1", "A:1", True),
        ("@a:1", "SASL_SSL://a:1", True),
        ("@a:1+b:2", "b:2", True),
        ("@a:1+b:2", "b:2,a:1", True),
        ("@a:1,S@b:2", "a:1,b:2", False),
        ("@a:1", "a:1,c:3", False),
        ("@a:1", "c:3,a:1", False),
        ("@a:1", "a:2", False),
        ("@a:1", "a", False),
        ("@a:9092", "a", True),
        ("@a:1", "a:1/x", False),
        ("@a:1", "a:1.evil:2", False),
        ("@a:1", "[::1]:1", False),
        ("@[::1]:1", "[0::1]:1", True),
    ],
)
def test_a_bound_secret_goes_to_its_brokers_only(monkeypatch, bound, uri, out):
    monkeypatch.setenv("S", "hunter2")
    given = {"sasl.password": "env:S"}
    if out:
        assert looked_up(f"S{bound}", given, uri).values == {"sasl.password": "hunter2"}
    else:
        assert "is not allowed for" in refusal(f"S{bound}", given, uri)


@pytest.mark.parametrize(
    ("url", "out"),
    [
        ("https://auth:8443/t", True),
        ("https://AUTH:8443", True),
        ("https://auth/t", False),
        ("https://evil:8443/auth:8443", False),
        ("http://127.0.0.1:8443/t", False),
    ],
)
def test_a_bound_secret_of_oauth_goes_to_its_token_endpoint_only(monkeypatch, url, out):
    monkeypatch.setenv("S", "hunter2")
    given = {"sasl.oauthbearer.client.secret": "env:S", "sasl.oauthbearer.token.endpoint.url": url}
    if out:
        assert looked_up("S@a:1+auth:8443", given, "a:1").values["sasl.oauthbearer.client.secret"] == "hunter2"
    else:
        assert "is not allowed for" in refusal("S@a:1+auth:8443", given, "a:1")
    assert "is not allowed for" in refusal("S@auth:8443", given, "a:1"), "the broker gets the token"


@pytest.mark.parametrize("variable", ["SLUICE_LOOPBACK_PASSWORD", "MEMGRAPH_PASSWORD", "MEMGRAPH_ENTERPRISE_LICENSE"])
def test_our_own_variables_and_the_servers_go_to_no_broker(monkeypatch, variable):
    monkeypatch.setenv(variable, "hunter2")
    said = refusal("X", {"sasl.password": f"env:{variable}"})
    assert said == f"sasl.password refers to the variable {variable}, which is never allowed"


@pytest.mark.parametrize(
    ("held", "reason"),
    [
        ("", "which is empty"),
        ("\r\n", "which is empty"),
        (" hunter2", "which begins with a blank, which librdkafka would cut off"),
        ("\thunter2", "which begins with a blank, which librdkafka would cut off"),
        ("hun\nter2", "which has control characters in it"),
        ("hun\x01ter2", "which has control characters in it"),
    ],
)
def test_a_secret_that_librdkafka_would_read_otherwise_is_refused_by_name(monkeypatch, tmp_path, held, reason):
    monkeypatch.setenv("S", held)
    (tmp_path / "s").write_bytes(held.encode())
    for reference, shown in (("env:S", "the variable S"), (f"file:{tmp_path}/s", f"{tmp_path}/s")):
        said = refusal(f"S,{tmp_path}", {"sasl.password": reference})
        assert said == f"sasl.password refers to {shown}, {reason}"


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_a_line_break_at_the_end_is_no_part_of_a_secret(monkeypatch, tmp_path, end):
    monkeypatch.setenv("S", f"hunter 2{end}")
    (tmp_path / "s").write_bytes(f"hunter 2{end}".encode())
    given = {"sasl.password": "env:S", "sasl.username": f"file:{tmp_path}/s", "client.id": "plain"}
    resolved = looked_up(f"S,{tmp_path}", given)
    assert resolved.values == {"sasl.password": "hunter 2", "sasl.username": "hunter 2", "client.id": "plain"}
    assert resolved.withheld == ("sasl.password", "sasl.username")


def test_a_path_that_the_list_cannot_have_is_told_so(tmp_path):
    said = refusal("X", {"sasl.password": f"file:{tmp_path}/a,b"})
    assert said.endswith("a,b, which cannot be let out: SLUICE_SECRETS_ALLOW has commas between its parts")


def test_a_variable_that_is_let_out_and_not_there_is_named():
    said = refusal("MADE_UP", {"sasl.password": "env:MADE_UP"})
    assert said == "sasl.password refers to the variable MADE_UP, which the server does not have"


# Files


@pytest.fixture
def folder(tmp_path):
    """Let out; beside it is `outside`, which is not."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "key").write_text("hunter2\n")
    (tmp_path / "outside").write_text("swordfish\n")
    return tmp_path / "in"


READ = [("sasl.password", "file:{}"), ("ssl.key.location", "{}"), ("ssl.ca.location", "{}")]


@pytest.mark.parametrize(("key", "written"), READ)
def test_a_file_in_a_folder_is_let_out_and_no_other(folder, key, written):
    place = folder / "key"
    assert looked_up(str(folder), {key: written.format(place)}).values == {
        key: "hunter2" if key == "sasl.password" else str(place)
    }
    assert looked_up(str(place), {key: written.format(place)}).withheld == (key,)
    os.symlink("../outside", folder / "link")
    os.symlink(folder, folder.parent / "into")
    for outside in (
        folder.parent / "outside",
        folder / ".." / "outside",
        folder / "link",
        f"{folder}-not/key",
        "/etc/shadow",
    ):
        said = refusal(str(folder), {key: written.format(outside)})
        assert f"{key} refers to {outside}, which is not allowed for {BROKER}" in said
    assert looked_up(str(folder), {key: written.format(folder.parent / "into" / "key")})
    assert looked_up(str(folder.parent / "into"), {key: written.format(place)})


@pytest.mark.parametrize(("key", "written"), READ)
def test_a_bound_folder_is_for_its_brokers(folder, key, written):
    given = {key: written.format(folder / "key")}
    assert looked_up(f"{folder}@{BROKER}", given)
    assert "is not allowed for evil:1" in refusal(f"{folder}@{BROKER}", given, "evil:1")


@pytest.mark.parametrize(("key", "written"), READ)
@pytest.mark.parametrize(
    "place", ["/proc/self/environ", "/proc/1/environ", "/sys/kernel/mm", "/dev/zero", "/dev/stdin"]
)
def test_devices_and_processes_are_never_let_out(key, written, place):
    assert refusal("/", {key: written.format(place)}) == f"{key} refers to {place}, which is never allowed"


@pytest.mark.parametrize(("key", "written"), READ)
def test_the_servers_own_files_are_never_let_out_by_whatever_name(tmp_path, key, written):
    (tmp_path / "data").mkdir()
    for name in ("data/snapshot", "password", "server.key"):
        (tmp_path / name).write_text("hunter2")
    os.symlink(tmp_path / "data", tmp_path / "also")
    os.link(tmp_path / "password", tmp_path / "other")
    flags = {"data-directory": str(tmp_path / "data"), "bolt-key-file": str(tmp_path / "server.key")}
    environment = {"SLUICE_LOOPBACK_PASSWORD_FILE": str(tmp_path / "password"), "SLUICE_SECRETS_ALLOW": str(tmp_path)}
    allow = load(environment, flags).secrets_allow
    for name in ("data/snapshot", "data", "also/snapshot", "password", "other", "server.key"):
        said = refusal(allow, {key: written.format(tmp_path / name)})
        assert said == f"{key} refers to {tmp_path / name}, which is never allowed"
    (tmp_path / "mine").write_text("swordfish")
    assert looked_up(allow, {key: written.format(tmp_path / "mine")})


def test_without_a_flag_the_data_directory_is_the_servers_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mg_data").mkdir()
    (tmp_path / "mg_data" / "wal").write_text("hunter2")
    allow = load({"SLUICE_SECRETS_ALLOW": str(tmp_path)}, {}).secrets_allow
    assert "is never allowed" in refusal(allow, {"sasl.password": f"file:{tmp_path}/mg_data/wal"})


def test_what_is_no_regular_file_holds_nobody_up(folder):
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    for name in ("pipe", "folder"):
        said = refusal(str(folder), {"sasl.password": f"file:{folder / name}"})
        assert said == f"sasl.password refers to {folder / name}, which is not a regular file"
        assert "which is not a regular file" in refusal(str(folder), {"ssl.key.location": str(folder / name)})
    assert "which is not a regular file or folder" in refusal(str(folder), {"ssl.ca.location": str(folder / "pipe")})
    assert looked_up(str(folder), {"ssl.ca.location": str(folder / "folder")})


def test_a_file_that_takes_the_place_of_one_that_was_looked_at_is_not_read(folder, monkeypatch):
    """Between looking where a file is and opening it, its folder becomes another one."""
    opened = os.open

    def swapping(path, *args, **more):
        if str(path).endswith("/key"):
            folder.rename(folder.parent / "before")
            os.symlink(folder.parent / "instead", folder)
        return opened(path, *args, **more)

    (folder.parent / "instead").mkdir()
    (folder.parent / "instead" / "key").write_text("swordfish")
    allow = SecretsAllow.parse(str(folder / "key"))
    monkeypatch.setattr(os, "open", swapping)
    monkeypatch.setattr(SecretsAllow, "allows_file", lambda _, path, __: path == str(folder / "key"))
    said = refusal(allow, {"sasl.password": f"file:{folder}/key"})
    assert "is not allowed" in said
    assert "swordfish" not in said


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"\xff", "is not UTF-8"),
        (b"x" * 70_000, "has more than 65536"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(folder, content, reason):
    place = folder / "other"
    if content is not None:
        place.write_bytes(content)
    said = refusal(str(folder), {"sasl.password": f"file:{place}"})
    assert said.startswith(f"sasl.password refers to {place}, which {reason}")


def test_authorities_of_the_system_are_nobodys_secret():
    assert looked_up("NOTHING", {"ssl.ca.location": "probe"}).withheld == ()
    assert looked_up("NOTHING", {"ssl.ca.location": "/etc/ssl/certs", "https.ca.location": "/etc/ssl/certs"}).values
    assert "is not allowed" in refusal("NOTHING", {"ssl.certificate.location": "/etc/ssl/certs"})
    assert "is not allowed" in refusal("NOTHING", {"ssl.ca.location": "/etc/ssl/certs/../private"})


# Errors


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    request = ("req", "-x509", "-newkey", "rsa:2048", "-days", "2")
    openssl(*request, "-subj", "/CN=a", "-keyout", "key.pem", "-passout", "pass:swordfish", "-out", "a.pem")
    openssl(*request, "-subj", "/CN=b", "-keyout", "other.pem", "-nodes", "-out", "b.pem")
    openssl(
        "pkcs12", "-export", "-inkey", "other.pem", "-in", "b.pem", "-out", "store.p12", "-passout", "pass:swordfish"
    )
    (folder / "hunter2.txt").write_text("hunter2-in-a-file\n")
    return folder


MUTUAL = {"security.protocol": "ssl", "ssl.certificate.location": "{}/a.pem"}
OIDC = {"security.protocol": "sasl_ssl", "sasl.mechanism": "OAUTHBEARER", "sasl.oauthbearer.method": "oidc"}
CONSTRUCTORS = {
    "no key": ({**MUTUAL, "ssl.key.location": "{}/hunter2.txt"}, "ssl.key.location", "it is not in PEM format"),
    "its password": (
        {**MUTUAL, "ssl.key.location": "{}/key.pem", "ssl.key.password": "env:HUNTER"},
        "ssl.key.location",
        "it is not in PEM format, or the password is not the key's",
    ),
    "another key": (
        {**MUTUAL, "ssl.key.location": "{}/other.pem"},
        "ssl.key.location",
        "the key is not the certificate's",
    ),
    "no key in a secret": ({**MUTUAL, "ssl.key.pem": "env:HUNTER"}, "ssl.key.pem", "it is not in PEM format"),
    "no authorities": (
        {"security.protocol": "ssl", "ssl.ca.location": "{}/hunter2.txt"},
        "ssl.ca.location",
        "there is no certificate",
    ),
    "nothing revoked": (
        {"security.protocol": "ssl", "ssl.crl.location": "{}/hunter2.txt"},
        "ssl.crl.location",
        "there is no certificate",
    ),
    "no certificate": (
        {"security.protocol": "ssl", "ssl.certificate.location": "{}/hunter2.txt"},
        "ssl.certificate.location",
        "it is not in PEM format",
    ),
    "no keystore": (
        {"security.protocol": "ssl", "ssl.keystore.location": "{}/hunter2.txt", "ssl.keystore.password": "env:HUNTER"},
        "ssl.keystore.location",
        "it is no keystore",
    ),
    "a keystore's password": (
        {"security.protocol": "ssl", "ssl.keystore.location": "{}/store.p12", "ssl.keystore.password": "env:HUNTER"},
        "ssl.keystore.location",
        "the password is not the keystore's",
    ),
    "half of it": (
        {"security.protocol": "sasl_ssl", "sasl.mechanism": "PLAIN", "sasl.password": "env:HUNTER"},
        "sasl.username, sasl.password",
        "what belongs together has to be set together",
    ),
    "no token endpoint": (
        {**OIDC, "sasl.oauthbearer.client.id": "env:HUNTER", "sasl.oauthbearer.client.secret": "env:HUNTER"},
        "sasl.oauthbearer.token.endpoint.url, sasl.oauthbearer.method",
        "what belongs together has to be set together",
    ),
    "ciphers": (
        {**MUTUAL, "ssl.cipher.suites": "MADE_UP", "ssl.key.password": "env:HUNTER"},
        "ssl.cipher.suites",
        "OpenSSL has none of these",
    ),
}


@pytest.mark.parametrize("case", CONSTRUCTORS)
@pytest.mark.parametrize("kind", [Producer, AdminClient, Consumer], ids=["producer", "admin", "consumer"])
def test_no_secret_and_no_word_of_librdkafkas_is_in_a_constructors_error(case, kind, certificates, monkeypatch):
    given, named, why = CONSTRUCTORS[case]
    monkeypatch.setenv("HUNTER", "hunter2-in-a-variable")
    put_in_force(Settings(secrets_allow=SecretsAllow.parse(f"HUNTER,{certificates}")))
    configuration = configuration_of(
        "s", {k: v.format(certificates) if isinstance(v, str) else v for k, v in given.items()}
    )
    own = {"group.id": "g", "log_level": 0} if kind is Consumer else {"log_level": 0}
    with pytest.raises(BrokerError) as caught:
        clients.make(kind, "s", "127.0.0.1:1", configuration, defaults={}, own=own)
    said = str(caught.value)
    assert said.startswith(
        f"Kafka stream s, cannot use the config: librdkafka does not take {named} (_INVALID_ARG): {why}"
    )
    assert said.endswith("; its own message is withheld, because it may quote a secret")
    for quoted in ("hunter2", "swordfish", "error:", "routines", "Failed", str(certificates)):
        assert quoted not in said
    assert caught.value.__cause__ is None


def test_what_is_let_out_and_right_makes_a_client(certificates, monkeypatch):
    monkeypatch.setenv("HUNTER", "swordfish\n")
    put_in_force(Settings(secrets_allow=SecretsAllow.parse(f"HUNTER@127.0.0.1:1,{certificates}@127.0.0.1:1")))
    authority = (certificates / "a.pem").read_text()
    for given in (
        {"ssl.certificate.location": f"{certificates}/a.pem", "ssl.key.location": f"{certificates}/key.pem"},
        {"ssl.certificate.pem": (certificates / "b.pem").read_text(), "ssl.key.pem": f"file:{certificates}/other.pem"},
        {"ssl.keystore.location": f"{certificates}/store.p12", "ssl.keystore.password": "env:HUNTER"},
    ):
        config = {"security.protocol": "SSL", "ssl.key.password": "env:HUNTER", "ssl.ca.pem": authority, **given}
        clients.make(Producer, "s", "127.0.0.1:1", configuration_of("s", config), defaults={}, own={"log_level": 0})


def test_librdkafkas_own_words_are_told_where_there_is_nothing_to_hide():
    configuration = configuration_of("s", {"linger.ms": 100, "message.timeout.ms": 10})
    with pytest.raises(BrokerError) as caught:
        clients.make(Producer, "s", "127.0.0.1:1", configuration, defaults={}, own={})
    assert "`message.timeout.ms` must be greater than `linger.ms`" in str(caught.value)
    assert not caught.value.retryable


def test_what_a_client_says_that_is_no_kafka_error_is_withheld_as_well(monkeypatch):
    monkeypatch.setenv("HUNTER", "hunter2")
    put_in_force(Settings(secrets_allow=SecretsAllow.parse("HUNTER")))

    def kind(given):
        raise TypeError(f"{given} cannot be")

    with pytest.raises(BrokerError) as caught:
        clients.make(kind, "s", "h:1", configuration_of("s", {"sasl.password": "env:HUNTER"}), defaults={}, own={})
    assert "librdkafka does not take sasl.password (TypeError)" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("key", ["fetch.min.bytes", "security.protocol", "client.id", "client.rack", "retries"])
def test_no_reference_reaches_a_key_whose_errors_quote_it(key, tmp_path, monkeypatch):
    monkeypatch.setenv("HUNTER", "hunter2")
    (tmp_path / "s").write_text("hunter2")
    put_in_force(Settings(secrets_allow=SecretsAllow.parse(f"HUNTER,{tmp_path}")))
    for reference in ("env:HUNTER", f"file:{tmp_path}/s"):
        with pytest.raises(SettingError, match=f"{key} takes neither env: nor file:"):
            configuration_of("s", {key: reference})


def test_settings_tell_no_password_file(tmp_path: Path):
    (tmp_path / "password").write_text("hunter2")
    loaded = load({"SLUICE_LOOPBACK_PASSWORD_FILE": str(tmp_path / "password")}, {})
    assert "hunter2" not in repr(loaded)
    assert str(tmp_path) not in str(loaded.as_variables())
