"""Where a server loads modules, and which Python it embeds."""

from __future__ import annotations

import enum
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sluice.errors import SettingError, one_line
from sluice.host.server_flags import server_flags

DEFAULT_MODULES = Path("/usr/lib/memgraph/query_modules")
DEFAULT_BINARY = Path("/usr/lib/memgraph/memgraph")

OLDEST_PYTHON = (3, 10)
OLDEST_CONFLUENT_KAFKA = (2, 4)
OLDEST_REQUESTS = (2, 31)
PACKAGES = ("confluent-kafka>=2.4", "requests>=2.31")
"What pyproject.toml asks for; a test compares them."


class Extra(str, enum.Enum):
    """What only some streams need, as pyproject.toml calls it."""

    MSK_IAM = "msk-iam"
    "Signing in to Amazon MSK."


EXTRAS = {Extra.MSK_IAM: ("aws-msk-iam-sasl-signer-python>=1.0.1", "confluent-kafka>=2.13")}
"Extra -> the packages that the server's Python needs for it; the same test compares them."

PROBE_TIMEOUT = 60.0
"Seconds that an interpreter has to say what it is and which packages it has."

# Runs in the server's Python, which may be any version, so it uses nothing newer than Python 3.5.
PROBE = """
import json, os, sys, sysconfig
found = {"version": list(sys.version_info[:2])}
managed = os.path.join(sysconfig.get_path("stdlib") or "", "EXTERNALLY-MANAGED")
found["managed"] = os.path.exists(managed) and sys.prefix == getattr(sys, "base_prefix", sys.prefix)
try:
    import pip
    found["pip"] = True
except Exception:
    pass
try:
    import confluent_kafka
    found["confluent_kafka"] = confluent_kafka.__version__
except Exception as error:
    found["trouble"] = "%s: %s" % (type(error).__name__, error)
try:
    import requests
    found["requests"] = requests.__version__
except Exception as error:
    found["requests_trouble"] = "%s: %s" % (type(error).__name__, error)
try:
    from importlib.metadata import version
    found["signer"] = version("aws-msk-iam-sasl-signer-python")
except Exception:
    pass
try:
    import sluice
    found["sluice"], found["sluice_file"] = sluice.__version__, sluice.__file__
except Exception:
    pass
print(json.dumps(found))
"""


@dataclass(frozen=True)
class ServerPython:
    """The server's Python, as seen by an interpreter of the same version with the same packages."""

    path: str
    version: tuple[int, int]
    confluent_kafka: str | None
    "None: it cannot be imported."
    trouble: str
    "Why it cannot; empty if it can."
    requests: str | None
    "As `confluent_kafka`, for the package with which transforms are fetched."
    requests_trouble: str
    signer: str | None
    "As `requests`, for the package of `Extra.MSK_IAM`."
    managed: bool
    "The system prevents pip from installing into it (PEP 668) by default."
    has_pip: bool
    sluice: str | None
    "The version of another package `sluice`, which would take precedence over the one in the modules' folder."
    sluice_file: str

    @property
    def pip(self) -> str:
        """The command that installs what is missing."""
        return self._pip(PACKAGES)

    def _pip(self, wanted: Iterable[str]) -> str:
        override = " --break-system-packages" if self.managed else ""
        first = "" if self.has_pip else "apt-get install python3-pip, or what brings pip on this system; then "
        packages = " ".join(f"'{package}'" for package in wanted)
        return f"{first}{self.path} -m pip install{override} {packages}"

    def has(self, extra: Extra) -> str:
        """Whether it has the packages of an extra, in a sentence, with the command if it has not."""
        found = {"aws-msk-iam-sasl-signer-python": self.signer, "confluent-kafka": self.confluent_kafka}
        lacking = []
        for package in EXTRAS[extra]:
            name, _, oldest = package.partition(">=")
            held = found[name]
            if held is None or numbers(held) < numbers(oldest):
                lacking.append(f"{package} ({'not there' if held is None else f'there is {held}'})")
        if not lacking:
            return f"For {extra.value} it has {' and '.join(f'{name} {held}' for name, held in found.items())}"
        return f"For {extra.value} it lacks {' and '.join(lacking)}. Install it: {self._pip(EXTRAS[extra])}"

    def refusal(self, version: str) -> str | None:
        """Why modules of `version` would not load in this Python, with the remedy; None if no reason is known."""
        if self.version < OLDEST_PYTHON:
            needed = ".".join(map(str, OLDEST_PYTHON))
            return f"the server's Python is {dotted(self.version)} ({self.path}), and Sluice needs {needed} or newer"
        for package, found, oldest, trouble in (
            ("confluent-kafka", self.confluent_kafka, OLDEST_CONFLUENT_KAFKA, self.trouble),
            ("requests", self.requests, OLDEST_REQUESTS, self.requests_trouble),
        ):
            if found is None:
                return (
                    f"{package} cannot be imported by the server's Python ({self.path}): {trouble}. "
                    f"Install it: {self.pip}"
                )
            if numbers(found) < oldest:
                return (
                    f"the server's Python ({self.path}) has {package} {found}, which is too old. Upgrade it: {self.pip}"
                )
        if self.sluice is not None and self.sluice != version:
            return (
                f"the server's Python has sluice {self.sluice} of its own ({self.sluice_file}), which would win over "
                f"{version}. Remove it: {self.path} -m pip uninstall memgraph-sluice"
            )
        return None


def numbers(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with: (1, 2) for 1.2rc1."""
    release = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(number) for number in release[0].split(".")) if release else ()


def dotted(version: tuple[int, ...]) -> str:
    """The reverse of `numbers`."""
    return ".".join(map(str, version))


def modules_directory(given: Path | None) -> Path:
    """
    The folder to put modules into: the one given, else the first that the server's configuration names, else that of
    Memgraph's packages. Raises SettingError: it is not a folder, or not a suitable one.
    """
    configured = [folder for folder in server_flags().get("query-modules-directory", "").split(",") if folder.strip()]
    folder = given or (Path(configured[0].strip()) if configured else DEFAULT_MODULES)
    if not folder.is_dir():
        raise SettingError(
            f"{folder} is no folder. Is Memgraph on this machine? Say where its server loads query modules "
            "(its --query-modules-directory): --modules-dir DIR"
        )
    return folder.resolve()


def find_interpreter(given: Path | None, binary: Path | None, modules: Path) -> ServerPython | None:
    """
    An interpreter that matches the server's embedded Python; None if there is no server on this machine.

    Args:
        given: the interpreter, if it is known.
        binary: the server's program; None: searched for next to the modules and where packages install it.

    Raises:
        SettingError: the interpreter is missing or does not run.
    """
    if given is not None:
        return probe(os.path.abspath(shutil.which(given) or given))
    version = linked_python(binary or _binary(modules))
    if version is None:
        return None
    name = f"python{dotted(version)}"
    # The server does not see the virtual environment in which this command runs.
    own = [f"{sys.base_prefix}/bin/{name}"] if sys.version_info[:2] == version else []
    for candidate in (f"/usr/bin/{name}", *own, shutil.which(name) or ""):
        if candidate and os.access(candidate, os.X_OK):
            return probe(candidate)
    raise SettingError(f"the server embeds Python {dotted(version)}, and no {name} is here to ask: --python PATH")


def linked_python(binary: Path | None) -> tuple[int, int] | None:
    """The version of the libpython that the server's program is linked to; None if unknown."""
    if binary is None:
        return None
    try:
        linked = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=False).stdout
    except OSError:
        return None
    # Since 3.13 programs ask for libpython3.so, which is a link to the version that was chosen when it was installed.
    for name, path in re.findall(r"(libpython3\S*) => (/\S+)", linked):
        found = re.search(r"libpython3\.(\d+)", name) or re.search(r"libpython3\.(\d+)", os.path.realpath(path))
        if found:
            return 3, int(found[1])
    return None


def probe(interpreter: str) -> ServerPython:
    """
    Queries an interpreter for what the server would find in it. Raises SettingError: the interpreter does not run.
    """
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "VIRTUAL_ENV")}
    try:
        ran = subprocess.run(
            [interpreter, "-c", PROBE],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=environment,
            timeout=PROBE_TIMEOUT,
        )
        found = json.loads(ran.stdout)
    except subprocess.TimeoutExpired:
        raise SettingError(f"{interpreter} does not end within {PROBE_TIMEOUT:g} s") from None
    except OSError as error:
        raise SettingError(f"{interpreter} cannot be run: {error.strerror}") from error
    except ValueError:
        raise SettingError(f"{interpreter} is no Python: {one_line(ran.stderr, 200)}") from None
    major, minor = found["version"]
    return ServerPython(
        path=interpreter,
        version=(major, minor),
        confluent_kafka=found.get("confluent_kafka"),
        trouble=one_line(found.get("trouble", ""), 200),
        requests=found.get("requests"),
        requests_trouble=one_line(found.get("requests_trouble", ""), 200),
        signer=found.get("signer"),
        managed=found["managed"],
        has_pip=found.get("pip", False),
        sluice=found.get("sluice"),
        sluice_file=found.get("sluice_file", ""),
    )


def _binary(modules: Path) -> Path | None:
    candidates = [modules.parent / "memgraph", DEFAULT_BINARY, Path(shutil.which("memgraph") or "/nowhere")]
    return next((path for path in candidates if path.is_file()), None)
