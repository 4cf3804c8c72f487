"""From a built wheel to running streams, the way a user with a Memgraph of his own goes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.hosts import MemgraphHost, SandboxHost, ScriptServer, ServerHost
from tests.hosts.host import REPOSITORY, HostOptions
from tests.hosts.memgraph import embedded_python
from tests.integration.test_kit import EXAMPLE, SHOW
from tests.kafka import KafkaBroker

VERTEX = "CREATE (:Node {id: $id})"
EDGE = "MATCH (n:Node {id: $from_id}), (m:Node {id: $to_id}) CREATE (n)-[:Edge]->(m)"
EDGES = "MATCH (n:Node)-[:Edge]->(m:Node) RETURN n.id AS origin, m.id AS destination"

INSTALL_TIMEOUT = 300.0


class Installation:
    """An empty virtual environment that the wheel was installed into, with what the wheel asks for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.modules = folder / "query_modules"
        self.modules.mkdir()
        build = "import hatchling.build, sys; print(hatchling.build.build_wheel(sys.argv[1]))"
        built = self._run([sys.executable, "-c", build, folder], cwd=REPOSITORY)
        self.wheel = folder / built.stdout.split()[-1]
        venv.create(folder / "venv", with_pip=True)
        self.python = folder / "venv" / "bin" / "python"
        self._run([self.python, "-m", "pip", "install", "--quiet", self.wheel])

    def sluice(self, *arguments: str | Path) -> str:
        """Runs the command from another folder and with nothing on Python's path; gives what it prints."""
        return self._run([self.python.with_name("sluice"), *arguments]).stdout

    def _run(self, command: Sequence[str | Path], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        words = [str(word) for word in command]
        ran = subprocess.run(
            words,
            cwd=cwd or self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_TIMEOUT,
        )
        assert ran.returncode == 0, f"{words}: {ran.stdout}{ran.stderr}"
        return ran


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation(tmp_path_factory.mktemp("installation"))


class ElsewhereSandbox(SandboxHost):
    """The sandbox from another folder; the checkout on Python's path is for the sandbox alone."""

    def __init__(self, folder: Path, options: HostOptions) -> None:
        super().__init__(folder, options)
        self.folder = folder

    def environment(self) -> Mapping[str, str]:
        return {**super().environment(), "PYTHONPATH": str(REPOSITORY)}


class ElsewhereMemgraph(MemgraphHost):
    """Memgraph from another folder, with nothing on Python's path: packages are where `pip install --user` has them."""

    def __init__(self, folder: Path, binary: Path, python_path: Path | None, options: HostOptions) -> None:
        super().__init__(folder, binary, python_path, options)
        self.folder = folder
        packages = Path(super().environment()["PYTHONPATH"])
        version = embedded_python(binary) or f"{sys.version_info[0]}.{sys.version_info[1]}"
        site = folder / ".local" / "lib" / f"python{version}" / "site-packages"
        site.mkdir(parents=True)
        needed = ("confluent_kafka", "requests", "urllib3", "certifi", "charset_normalizer", "idna")
        for found in (found for name in needed for found in packages.glob(f"{name}*")):
            os.symlink(found, site / found.name)

    def environment(self) -> Mapping[str, str]:
        assert self.folder is not None
        return {**super().environment(), "PYTHONPATH": "", "HOME": str(self.folder)}


@contextmanager
def started_on(modules: Path, folder: Path, config: pytest.Config) -> Iterator[ServerHost]:
    """A host elsewhere whose modules' folder is a copy of `modules` and has nothing else."""
    options = HostOptions(query_modules=modules)
    host: ServerHost
    if config.getoption("--host") == "memgraph":
        binary, python_path = config.getoption("--memgraph-bin"), config.getoption("--memgraph-pythonpath")
        host = ElsewhereMemgraph(folder, binary.resolve(), python_path and python_path.resolve(), options)
    elif config.getoption("--host") == "sandbox":
        host = ElsewhereSandbox(folder, options)
    else:
        pytest.skip("needs a host of its own")
    try:
        host.start()
        yield host
        host.stop()
    finally:
        host.close()


def test_the_example_runs_on_what_the_wheel_installs(
    installation: Installation,
    kafka: KafkaBroker,
    script_server: ScriptServer,
    tmp_path: Path,
    pytestconfig: pytest.Config,
) -> None:
    said = installation.sluice("install", "--modules-dir", installation.modules, "--python", installation.python)
    assert "CALL mg.load_all();" in said
    transform = script_server.serve("/transform.py", EXAMPLE)
    topic = kafka.topics.create()
    with started_on(installation.modules, tmp_path / "host", pytestconfig) as host:
        installation.sluice("doctor", "--uri", host.uri, "--kafka", kafka.bootstrap, "--topic", topic)
        run = host.run
        run(
            "CALL streams.create('mystream', $uri, $topic, $transform)",
            uri=kafka.bootstrap,
            topic=topic,
            transform=transform,
        )
        kafka.topics.produce(topic, ["1", "1 2"])
        assert run("CALL streams.test('mystream') YIELD query, params") == [
            {"query": VERTEX, "params": {"id": "1"}},
            {"query": EDGE, "params": {"from_id": "1", "to_id": "2"}},
        ]
        run('CREATE (:Node {id: "2"})')
        run("CALL streams.start('mystream')")
        eventually(lambda: run(EDGES), equals=[{"origin": "1", "destination": "2"}])
        run("CALL streams.`stop`('mystream')")
        assert [row["status"] for row in run(SHOW)] == ["stopped"]
        run("CALL streams.drop('mystream')")


def test_a_running_server_takes_an_upgrade_and_a_removal(
    installation: Installation, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    install: list[str | Path] = ["install", "--python", installation.python, "--modules-dir"]
    with started_on(empty, tmp_path / "host", pytestconfig) as host:
        installation.sluice(*install, host.query_modules)
        host.run("CALL mg.load_all()")
        assert host.run(SHOW) == []
        shutil.rmtree(host.query_modules / "sluice" / "clauses")
        installation.sluice(*install, host.query_modules)
        host.run("CALL mg.load_all()")
        assert host.run(SHOW) == []
        installation.sluice("uninstall", "--modules-dir", host.query_modules)
        assert not [path for path in host.query_modules.rglob("*") if path.suffix != ".pyc" and path.is_file()]


def test_the_wheel_has_the_modules_and_the_transforms_and_nothing_of_the_tests(installation: Installation) -> None:
    listing = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", installation.wheel], capture_output=True, text=True, check=True
    ).stdout
    names = {line.split()[0] for line in listing.splitlines()[1:]}
    assert {"sluice/supervising/supervisor.py", "sluice_tools/cli.py"} <= names
    files = "sluice_tools/install/files/"
    assert {f"{files}streams.py", f"{files}examples/edges.py"} <= names
    assert {name.partition("/")[0] for name in names} == {
        "sluice",
        "sluice_tools",
        installation.wheel.name.split("-py3")[0] + ".dist-info",
    }
