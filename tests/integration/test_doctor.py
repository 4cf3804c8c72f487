"""`sluice doctor` against a host and a broker that something is wrong with: it names what, and its remedy helps."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

import sluice
from sluice_tools.cli import app
from sluice_tools.terminal import PASSWORD
from tests.eventually import eventually
from tests.hosts import Host, ScriptServer, ServerHost
from tests.integration.test_kit import EXAMPLE, OwnHost, Run, refusal
from tests.kafka import KafkaBroker
from tests.ports import free_port
from tests.unit.bolt.certificate import make_certificate

Check = dict[str, str]

FAILED = "CALL streams.info($name) YIELD failed"
STATUS = "CALL streams.info($name) YIELD status"
CREATE = "CALL streams.create($name, $uri, $topic, $transform)"


def doctor(*arguments: str, password: str = "") -> dict[str, Check]:
    """What the doctor says, by check; the last where one comes more than once."""
    environment = {PASSWORD: password, "COLUMNS": "80"}
    result = CliRunner().invoke(app, ["doctor", "--json", *arguments], env=environment)
    report = json.loads(result.stdout)
    assert result.exit_code == (0 if report["well"] else 1)
    assert report["well"] == all(check["verdict"] != "fix" for check in report["checks"])
    assert not password or password not in result.output
    return {check["check"]: check for check in report["checks"]}


def faults(checks: dict[str, Check]) -> list[str]:
    return [name for name, check in checks.items() if check["verdict"] == "fix"]


@contextmanager
def running_shim(*options: str) -> Iterator[int]:
    """The port of a shim."""
    command = [sys.executable, "-m", "sluice_tools.cli", "shim", "--listen", "127.0.0.1:0", *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        port = re.search(r"listening on 127\.0\.0\.1:(\d+)", line)
        assert port, line
        yield int(port[1])
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


@pytest.fixture
def new_stream(run: Run, kafka: KafkaBroker, stream_name: str, tmp_path: Path) -> Callable[[], str]:
    """Makes a stream of the shared host; gives its name."""

    def make() -> str:
        path = tmp_path / "edges.py"
        path.write_text(EXAMPLE)
        topic = kafka.topics.create()
        run(CREATE, name=stream_name, uri=kafka.bootstrap, topic=topic, transform=str(path))
        return stream_name

    return make


def test_a_chain_that_is_well(host: Host, kafka: KafkaBroker, new_stream: Callable[[], str], tmp_path: Path) -> None:
    name, transform = new_stream(), tmp_path / "edges.py"
    with running_shim("--upstream", f"127.0.0.1:{host.port}") as port:
        shim = ["--shim", f"bolt://127.0.0.1:{port}"]
        checks = doctor("--uri", host.uri, "--stream", name, "--transform", str(transform), *shim)
    probe = checks.pop("probe")
    assert probe["verdict"] == ("ok" if host.is_memgraph else "note"), probe["text"]
    assert checks.pop("sandbox")["text"].startswith("transforms may do what the server's user may: off;")
    assert {name: check["verdict"] for name, check in checks.items()} == dict.fromkeys(checks, "ok")
    assert set(checks) >= {
        "bolt",
        "module",
        "loopback",
        "clocks",
        "stream",
        "kafka",
        "topic",
        "transform",
        "scripts",
        "shim",
    }
    assert "signed with the key /" in checks["scripts"]["text"]
    assert sluice.__version__ in checks["module"]["text"]


def test_an_interpreter_that_does_not_work_is_named_by_create_and_by_the_doctor(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    broken, script = tmp_path / "python3", tmp_path / "edges.py"
    broken.write_text("#!/bin/sh\necho no such version >&2\nexit 127\n", encoding="utf-8")
    broken.chmod(0o755)
    script.write_text(EXAMPLE, encoding="utf-8")
    host = own_host(env={"SLUICE_PYTHON": str(broken)})
    text = f"{broken} ended with exit status 127, its last line: no such version"
    refused = refusal(
        host.run, CREATE, name="s", uri=kafka.bootstrap, topic=kafka.topics.create(), transform=str(script)
    )
    assert text in refused
    checks = doctor("--uri", host.uri)
    assert faults(checks) == ["interpreter"]
    assert text in checks["interpreter"]["text"]
    assert "SLUICE_PYTHON" in checks["interpreter"]["remedy"]


def test_wrong_port(host: Host) -> None:
    checks = doctor("--uri", f"bolt://127.0.0.1:{free_port()}")
    assert faults(checks) == ["bolt"]
    assert "Connection refused" in checks["bolt"]["text"]
    assert checks["module"]["verdict"] == "skipped"
    assert "--uri bolt://HOST:PORT" in checks["bolt"]["remedy"]
    assert faults(doctor("--uri", host.uri)) == []


def test_not_a_bolt_port(kafka: KafkaBroker) -> None:
    checks = doctor("--uri", f"bolt://{kafka.bootstrap}", "--timeout", "2")
    assert faults(checks) == ["bolt"]
    assert "does not speak Bolt" in checks["bolt"]["text"]


def test_tls_where_there_is_none(host: Host) -> None:
    checks = doctor("--uri", host.uri.replace("bolt://", "bolt+s://"))
    assert faults(checks) == ["bolt"]
    remedied = re.search(r"--uri (bolt://[\d.:]+)", checks["bolt"]["remedy"])
    assert remedied
    assert remedied[1] == host.uri
    assert faults(doctor("--uri", remedied[1])) == []


def test_no_tls_where_there_is_nothing_else(host: Host, tmp_path: Path) -> None:
    certificate = str(make_certificate(tmp_path))
    with running_shim("--upstream", f"127.0.0.1:{host.port}", "--tls-cert", certificate) as port:
        checks = doctor("--uri", f"bolt://127.0.0.1:{port}")
        assert faults(checks) == ["bolt"]
        remedied = re.search(r"--uri (\S+)", checks["bolt"]["remedy"])
        assert remedied

        untrusted = doctor("--uri", remedied[1])
        assert faults(untrusted) == ["bolt"]
        assert "is not trusted" in untrusted["bolt"]["text"]
        assert "--ca FILE" in untrusted["bolt"]["remedy"]
        taken = re.search(r"--uri (\S+)", untrusted["bolt"]["remedy"])
        assert taken
        assert faults(doctor("--uri", remedied[1], "--ca", certificate)) == []
        assert faults(doctor("--uri", taken[1])) == []


@pytest.mark.memgraph_only("the sandbox has no users")
def test_wrong_password(own_host: OwnHost, tmp_path: Path) -> None:
    host = own_host()
    host.run("CREATE USER ada IDENTIFIED BY 'right-s3cret'")
    nameless = doctor("--uri", host.uri)
    assert faults(nameless) == ["sign-in"]
    assert "--user NAME" in nameless["sign-in"]["remedy"]

    wrong = doctor("--uri", host.uri, "--user", "ada", password="wrong-s3cret")
    assert faults(wrong) == ["sign-in"]
    assert PASSWORD in wrong["sign-in"]["remedy"]

    right = doctor("--uri", host.uri, "--user", "ada", password="right-s3cret")
    assert right["sign-in"]["verdict"] == "ok"
    file = tmp_path / "password"
    file.write_text("right-s3cret\n")
    assert doctor("--uri", host.uri, "--user", "ada", "--password-file", str(file))["sign-in"]["verdict"] == "ok"


def _install(host: ServerHost) -> None:
    """The remedy, word for word."""
    command = ["install", "--modules-dir", str(host.query_modules), "--python", sys.executable]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    host.run("CALL mg.load_all()")


def test_module_missing(own_host: OwnHost, tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    host = own_host(query_modules=tmp_path / "modules")
    checks = doctor("--uri", host.uri)
    assert faults(checks) == ["module"]
    assert "no module streams" in checks["module"]["text"]
    assert "run sluice install" in checks["module"]["remedy"]
    _install(host)
    assert faults(doctor("--uri", host.uri)) == []


def test_version_mismatch(own_host: OwnHost) -> None:
    host = own_host(start=False)
    (host.query_modules / "sluice" / "__init__.py").write_text('__version__ = "0.0.1"\n')
    module = host.query_modules / "streams.py"
    module.write_text(module.read_text().replace("def start_all(", "def begin_all("))
    host.start()
    checks = doctor("--uri", host.uri)
    assert faults(checks) == ["module"]
    assert "0.0.1" in checks["module"]["text"]
    assert "memgraph-sluice==0.0.1" in checks["module"]["remedy"]
    _install(host)
    assert faults(doctor("--uri", host.uri)) == []


def test_wrong_setting_and_a_script_that_is_not_allowed(own_host: OwnHost, script_server: ScriptServer) -> None:
    environment = {"SLUICE_TEST_TIMEOUT": "never", "SLUICE_TRANSFORM_ALLOW": "https://"}
    host = own_host(env=environment)
    checks = doctor("--uri", host.uri)
    assert faults(checks) == ["procedures"]
    assert "SLUICE_TEST_TIMEOUT has an invalid value" in checks["procedures"]["text"]
    assert "set it right in the server's environment, and restart the server" in checks["procedures"]["remedy"]
    assert host.log_text().count("nothing runs: SLUICE_TEST_TIMEOUT has an invalid value") == 1
    environment["SLUICE_TEST_TIMEOUT"] = "10"
    host.restart()
    assert faults(doctor("--uri", host.uri)) == []

    uri = script_server.serve("/transform.py", EXAMPLE)
    checks = doctor("--uri", host.uri, "--transform", uri)
    assert faults(checks) == ["transform"]
    assert "SLUICE_TRANSFORM_ALLOW does not allow it; it allows https://" in checks["transform"]["text"]
    assert "have SLUICE_TRANSFORM_ALLOW allow this one in the server's environment" in checks["transform"]["remedy"]
    environment["SLUICE_TRANSFORM_ALLOW"] += f",{uri}"
    host.restart()
    assert faults(doctor("--uri", host.uri, "--transform", uri)) == []


def test_loopback_does_not_get_in(own_host: OwnHost, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"SLUICE_LOOPBACK_PORT": str(free_port())}
    host = own_host(env=environment)
    with monkeypatch.context() as hurried:
        hurried.setattr("sluice_tools.doctor.server.LOOPBACK_PATIENCE", 1.0)
        checks = doctor("--uri", host.uri)
    assert faults(checks) == ["loopback"]
    assert "SLUICE_LOOPBACK_HOST, _PORT and _TLS if it is not found by its flags" in checks["loopback"]["remedy"]
    environment["SLUICE_LOOPBACK_PORT"] = str(host.port)
    host.restart()
    assert faults(doctor("--uri", host.uri)) == []


def test_broker_away(own_kafka: Callable[[], KafkaBroker], host: Host) -> None:
    broker = own_kafka()
    topic = broker.topics.create()
    broker.kill()
    asked = ["--uri", host.uri, "--kafka", broker.bootstrap, "--topic", topic]
    checks = doctor(*asked)
    assert faults(checks) == ["kafka"]
    assert checks["topic"]["verdict"] == "skipped"
    assert "start Kafka" in checks["kafka"]["remedy"]
    broker.start()
    assert faults(doctor(*asked)) == []


def test_topic_missing(host: Host, kafka: KafkaBroker) -> None:
    topic = f"missing-{free_port()}"
    asked = ["--uri", host.uri, "--kafka", kafka.bootstrap, "--topic", topic]
    checks = doctor(*asked)
    assert faults(checks) == ["topic"]
    assert f"--create --topic {topic}" in checks["topic"]["remedy"]
    assert topic not in kafka.topics.names()
    kafka.topics.create(topic)
    assert faults(doctor(*asked)) == []


def test_not_a_kafka_port(host: Host, kafka: KafkaBroker) -> None:
    asked = ["--kafka", f"127.0.0.1:{host.port}", "--topic", "t", "--timeout", "2"]
    checks = doctor("--uri", host.uri, *asked)
    assert faults(checks) == ["kafka"]
    assert "does not answer as Kafka does" in checks["kafka"]["text"]
    assert "give the port of a Kafka listener" in checks["kafka"]["remedy"]
    topic = kafka.topics.create()
    assert faults(doctor("--uri", host.uri, "--kafka", kafka.bootstrap, "--topic", topic)) == []


def test_script_missing(host: Host, script_server: ScriptServer) -> None:
    asked = ["--uri", host.uri, "--transform", script_server.url("/transform.py")]
    checks = doctor(*asked)
    assert faults(checks) == ["transform"]
    assert "put the script where the URI says" in checks["transform"]["remedy"]
    script_server.serve("/transform.py", EXAMPLE)
    assert faults(doctor(*asked)) == []


def test_shim_away_and_no_shim(host: Host) -> None:
    away = doctor("--uri", host.uri, "--shim", f"bolt://127.0.0.1:{free_port()}")
    none = doctor("--uri", host.uri, "--shim", host.uri)
    for checks in (away, none):
        assert faults(checks) == ["shim"]
        assert "sluice shim --listen" in checks["shim"]["remedy"]
    with running_shim("--upstream", f"127.0.0.1:{host.port}") as port:
        assert faults(doctor("--uri", host.uri, "--shim", f"bolt://127.0.0.1:{port}")) == []


def test_shim_without_its_server(host: Host) -> None:
    with running_shim("--upstream", f"127.0.0.1:{free_port()}") as port:
        checks = doctor("--uri", host.uri, "--shim", f"bolt://127.0.0.1:{port}")
    assert faults(checks) == ["shim"]
    assert "start the shim with its address: --upstream HOST:PORT" in checks["shim"]["remedy"]
    with running_shim("--upstream", f"127.0.0.1:{host.port}") as port:
        assert faults(doctor("--uri", host.uri, "--shim", f"bolt://127.0.0.1:{port}")) == []


def test_no_such_stream(host: Host, new_stream: Callable[[], str]) -> None:
    name = new_stream()
    checks = doctor("--uri", host.uri, "--stream", f"{name}x")
    assert faults(checks) == ["stream"]
    assert name in checks["stream"]["remedy"]
    assert faults(doctor("--uri", host.uri, "--stream", name)) == []


def test_a_stream_that_ended(host: Host, run: Run, kafka: KafkaBroker, stream_name: str, tmp_path: Path) -> None:
    (tmp_path / "t.py").write_text("def stream(batch):\n    raise ValueError('unheard of')\n")
    topic = kafka.topics.create()
    run(CREATE, name=stream_name, uri=kafka.bootstrap, topic=topic, transform=str(tmp_path / "t.py"))
    kafka.topics.produce(topic, ["1"])
    run("CALL streams.start($name)", name=stream_name)
    asked = ["--uri", host.uri, "--stream", stream_name]
    eventually(lambda: run(STATUS, name=stream_name), equals=[{"status": "error"}], timeout=40)
    checks = doctor(*asked)
    assert faults(checks) == ["stream"]
    found = checks["stream"]
    assert "unheard of" in found["text"]
    assert f"put that right, then START STREAM {stream_name}" in found["remedy"]
    run("CALL streams.alter($name, {config: {on_error: 'skip'}})", name=stream_name)
    run("CALL streams.start($name)", name=stream_name)
    eventually(lambda: run(FAILED, name=stream_name), equals=[{"failed": 1}], timeout=40)
    assert faults(doctor(*asked)) == []
