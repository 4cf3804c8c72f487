"""Which scripts a server fetches, by its setting: what is refused is not asked for, not run, and shows no secret."""

from __future__ import annotations

import time
from pathlib import Path

from sluice.host.allow_list import DEFAULT
from tests.eventually import within
from tests.hosts import Host, ScriptServer
from tests.hosts.slow_resolver import python_whose_resolver_never_answers
from tests.integration.test_kit import SHOW, VALUES, OwnHost, Stream, refusal
from tests.kafka import KafkaBroker

CANNOT = "sluice.errors.ScriptError: Couldn't get the transform script from"
LACKS = "SLUICE_TRANSFORM_ALLOW does not allow it; it allows"
SETTINGS = "CALL streams.settings() YIELD name, value"


def test_a_server_fetches_what_its_list_allows_and_nothing_else(
    own_host: OwnHost, kafka: KafkaBroker, script_server: ScriptServer, tmp_path: Path
) -> None:
    folder = tmp_path / "transforms"
    folder.mkdir()
    allow = f"{script_server.url('/allowed/')},file://{folder}"
    host = own_host(env={"SLUICE_TRANSFORM_ALLOW": allow})
    assert {row["name"]: row["value"] for row in host.run(SETTINGS)}["SLUICE_TRANSFORM_ALLOW"] == allow
    stream = Stream(host.run, kafka, tmp_path, "guarded")

    outside = stream.script(VALUES)
    (folder / "link.py").symlink_to(outside)
    other = script_server.serve("/other/transform.py", VALUES)
    redirecting = script_server.redirect("/allowed/redirect.py", "/other/transform.py")
    for uri in (outside, f"file://{outside}", str(folder / "link.py"), f"{folder}/../{Path(outside).name}", other):
        assert refusal(stream.create, transform_uri=uri) == f"{CANNOT} {uri}: {LACKS} {allow}"
    reason = f"it redirects to http://127.0.0.1:{script_server.port}, which is refused: {LACKS} {allow}"
    assert refusal(stream.create, transform_uri=redirecting) == f"{CANNOT} {redirecting}: {reason}"
    assert script_server.count("/other/transform.py") == 0
    assert host.run(SHOW) == []

    for uri in (script_server.serve("/allowed/transform.py", VALUES), str(folder / "transform.py")):
        (folder / "transform.py").write_text(VALUES)
        stream.create(transform_uri=uri)
        stream.drop()


def test_a_password_in_a_uri_is_in_no_error_and_no_log(
    own_host: OwnHost, kafka: KafkaBroker, script_server: ScriptServer, tmp_path: Path
) -> None:
    host = own_host(env={"SLUICE_LOOPBACK_PASSWORD": "hunter3"})
    stream = Stream(host.run, kafka, tmp_path, "loud")
    uri = script_server.serve("/transform.py", VALUES).replace("//", "//me:hunter2@")
    said = refusal(stream.create, transform_uri=uri)
    assert "the URI must not contain a user and password" in said
    assert "hunter2" not in said + host.log_text()
    values = {row["name"]: row["value"] for row in host.run(SETTINGS)}
    assert values["SLUICE_LOOPBACK_PASSWORD"] == "***"
    assert "hunter3" not in host.log_text()


def test_a_resolver_that_does_not_answer_holds_nothing_up(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    python = python_whose_resolver_never_answers(tmp_path)
    allowed = {"SLUICE_TRANSFORM_ALLOW": "https://scripts.example.org/,file:///"}
    host = own_host(env={"SLUICE_PYTHON": str(python), "SLUICE_SCRIPT_TIMEOUT": "5", **allowed})
    stream = Stream(host.run, kafka, tmp_path, "unresolved")
    uri = "https://scripts.example.org/transform.py"
    began = time.monotonic()
    said = refusal(stream.create, transform_uri=uri)
    assert said == f"{CANNOT} {uri}: it did not come within 5 s (SLUICE_SCRIPT_TIMEOUT)"
    assert within(15, began)
    assert (tmp_path / "asked").read_text() == "scripts.example.org"
    assert host.run(SHOW) == []
    stream.create(VALUES)  # the same process fetches a file, and needs no resolver for that


def test_the_settings_in_force_are_told(host: Host) -> None:
    values = {row["name"]: row["value"] for row in host.run(SETTINGS)}
    assert values["SLUICE_LOOPBACK_PORT"] == str(host.port)
    assert values["SLUICE_LOOPBACK_TLS"] == "false"
    assert values["SLUICE_TRANSFORM_ALLOW"] == DEFAULT
