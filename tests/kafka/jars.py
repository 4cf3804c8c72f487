"""The jars of Apache Kafka, resolved by Maven into `.cache/kafka/`."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
POM = HERE / "pom.xml"
CACHE = HERE.parent.parent / ".cache" / "kafka"
MAVEN_TIMEOUT = 600.0  # seconds; 45 MB on a first run


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


def jars() -> list[Path]:
    """
    The jars of the broker that `pom.xml` pins, from the cache, or by Maven if they are not there yet.

    Raises:
        KafkaUnavailable: there is no mvn, or it failed; its output is in the message.
    """
    folder = CACHE / hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    if not folder.is_dir():
        _resolve(folder)
    return sorted(folder.glob("*.jar"))


def _resolve(folder: Path) -> None:
    """Fetch beside `folder` and rename, so that neither an interrupted run nor two at once leave half a set."""
    mvn = _on_path("mvn", "Maven (Debian: maven)")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        fetched = Path(scratch, "jars")
        command = [mvn, "--quiet", "--batch-mode", f"--file={POM}", "dependency:copy-dependencies"]
        result = subprocess.run(
            [*command, f"-DoutputDirectory={fetched}", "-DincludeScope=runtime"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=MAVEN_TIMEOUT,
            check=False,
        )
        if result.returncode != 0 or not any(fetched.glob("kafka_*.jar")):
            raise KafkaUnavailable(f"mvn could not resolve {POM}:\n{result.stdout[-4000:]}")
        try:
            fetched.rename(folder)
        except OSError:
            if not folder.is_dir():  # another run was quicker otherwise
                raise


def _on_path(program: str, what: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise KafkaUnavailable(f"the tests run a real Apache Kafka, which needs {what}: no {program} on the path")
    return found
