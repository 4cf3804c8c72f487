"""
Jars that Maven resolves into `.cache/`: those of Apache Kafka, and of others. A folder as its storage tool formats it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
POM = HERE / "pom.xml"
CACHES = HERE.parent.parent / ".cache"
CACHE = CACHES / "kafka"
MAVEN_TIMEOUT = 600.0  # seconds; 45 MB on a first run
OUTPUT_TAIL = 4000  # characters of a program's output that an error shows

FORMAT_SETTINGS = """
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:9093
listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093
log.dirs={data}
"""
"What the storage tool wants to know besides the folder; nothing listens there."


class KafkaUnavailable(Exception):
    """There can be no real broker here: java, mvn or the jars are missing, or the broker does not start."""


def java() -> str:
    """
    The `java` to run the broker with: of `JAVA_HOME` if that is set, else the first on the path.

    Raises:
        KafkaUnavailable: there is none.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else None
    return found or _on_path("java", "a Java runtime, 17 or newer (Debian: default-jre-headless)")


def jars(pom: Path = POM) -> list[Path]:
    """
    The jars that a `pom.xml` pins, from the cache, or by Maven if they are not there yet; by default the broker's.

    Raises:
        KafkaUnavailable: there is no mvn, or it failed; its output is in the message.
    """
    folder = CACHES / pom.parent.name / hashlib.sha256(pom.read_bytes()).hexdigest()[:12]
    if not folder.is_dir():
        _resolve(pom, folder)
    return sorted(folder.glob("*.jar"))


def formatted() -> Path:
    """
    A data folder as the release's own storage tool formats it, with the release's default features; for copying. All
    brokers may have the same but for `meta.properties`, so the tool's JVM runs once.

    Raises:
        KafkaUnavailable: the tool failed; its output is in the message.
    """
    folder = CACHE / f"{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}-formatted"
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            settings, data = Path(scratch, "server.properties"), Path(scratch, "data")
            settings.write_text(FORMAT_SETTINGS.format(data=data), encoding="utf-8")
            command = [java(), "-cp", os.pathsep.join(map(str, jars())), "kafka.tools.StorageTool"]
            _run([*command, "format", "--cluster-id", "AAAAAAAAAAAAAAAAAAAAAQ", "--config", str(settings)])
            (data / "meta.properties").unlink()
            _move(data, folder)
    return folder


def class_archive() -> Path:
    """
    Where the file is, or would be, that `classes.make` makes for this Java and these jars.

    Raises:
        KafkaUnavailable: there is no java.
    """
    where = f"{Path(java()).resolve()} {CACHE}".encode()
    return CACHE / f"{hashlib.sha256(POM.read_bytes() + where).hexdigest()[:12]}.jsa"


def _resolve(pom: Path, folder: Path) -> None:
    """Fetch beside `folder` and rename, so that neither an interrupted run nor two at once leave half a set."""
    mvn = _on_path("mvn", "Maven (Debian: maven)")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        fetched = Path(scratch, "jars")
        command = [mvn, "--quiet", "--batch-mode", f"--file={pom}", "dependency:copy-dependencies"]
        output = _run([*command, f"-DoutputDirectory={fetched}", "-DincludeScope=runtime"])
        if not any(fetched.glob("*.jar")):
            raise KafkaUnavailable(f"mvn could not resolve {pom}:\n{output[-OUTPUT_TAIL:]}")
        _move(fetched, folder)


def _run(command: list[str]) -> str:
    """What the program printed. Raises KafkaUnavailable if it failed."""
    result = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=MAVEN_TIMEOUT,
        check=False,
    )
    if result.returncode != 0:
        raise KafkaUnavailable(f"{command[0]} failed:\n{result.stdout[-OUTPUT_TAIL:]}")
    return result.stdout


def _move(made: Path, folder: Path) -> None:
    try:
        made.rename(folder)
    except OSError:
        if not folder.is_dir():  # another run was quicker otherwise
            raise


def _on_path(program: str, what: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise KafkaUnavailable(f"the tests run a real Apache Kafka, which needs {what}: no {program} on the path")
    return found
