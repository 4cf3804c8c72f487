"""
A confined transform reads and imports what it needs, and nothing else; on a machine that has less, it is said what is
lacking. The attempts that have to fail are made for real, where the kernel can refuse them.
"""

from __future__ import annotations

import hashlib
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.errors import ScriptError, SettingError, TransformError
from sluice.host.settings import Settings, load
from sluice.host.signing import SigningKey
from sluice.host.transform_access import AllowedAccess, Sandbox, TransformAccess
from sluice.scripting import confinement, landlock, seccomp
from sluice.scripting.client import origin
from sluice.scripting.confinement import Machine, Unconfined, described, machine
from sluice.scripting.process import TransformProcess
from sluice.values.model import Transform
from sluice.values.record import Record, Records

HAS_IT_ALL = not machine().lacking

real = pytest.mark.skipif(not HAS_IT_ALL, reason=f"this machine has {machine()}")

SCRIPT = """
import os, resource, signal, socket, subprocess
from pathlib import Path

def attempt(text):
    try:
        return repr(eval(text, globals()))
    except (OSError, ZeroDivisionError) as error:
        return type(error).__name__

def stream(batch):
    return [("RETURN $what", {"what": attempt(text.decode())}) for text in batch]
"""

FAKE = """
from sluice.scripting import confinement
confinement.machine = lambda: confinement.Machine({landlock}, {seccomp})
"""
"What a process that believes in another machine runs first."


def settings(sandbox: str, access: str = "", **others: str) -> Settings:
    environment = {f"SLUICE_{name}": value for name, value in others.items()}
    given = {"SLUICE_TRANSFORM_SANDBOX": sandbox, "SLUICE_TRANSFORM_ACCESS": access, "SLUICE_SCRIPT_TIMEOUT": "60"}
    return load({**given, **environment}, {})


def transform(folder: Path, source: str = SCRIPT) -> Transform:
    return Transform(str(folder / "t.py"), source, hashlib.sha256(source.encode()).hexdigest())


def attempts(folder: Path, how: Settings, *texts: str) -> list[str]:
    """What becomes of expressions in a transform of that folder: a value, or the name of an exception."""
    batch = Records(Record(text.encode(), None, [], "t", 0, offset, 1) for offset, text in enumerate(texts))
    with TransformProcess(transform(folder), how) as process:
        return [row["what"] for _, row in process.rows(batch)]


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    folder = tmp_path / "scripts"
    (folder / "tables").mkdir(parents=True)
    (folder / "tables" / "codes.csv").write_text("1,one\n")
    return folder


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


REFUSED = {
    "a file of the machine": "open('/etc/hostname').read()",
    "a folder": "os.listdir('/')",
    "the server's environment": "open(f'/proc/{os.getppid()}/environ', 'rb').read()",
    "the server's memory": "open(f'/proc/{os.getppid()}/mem', 'rb')",
    "a new file": "open('OUTSIDE/new', 'w')",
    "a new file beside the script": "open('SCRIPTS/new', 'w')",
    "a file's mode": "os.chmod('OUTSIDE/secret', 0o600)",
    "a file's owner": "os.chown('OUTSIDE/secret', os.getuid(), -1)",
    "truncating": "os.truncate('OUTSIDE/secret', 6)",
    "what a program reads": "1 / (not subprocess.run(['cat', 'OUTSIDE/secret']).returncode)",
    "removing": "os.remove('OUTSIDE/removed')",
    "TCP": "socket.create_connection(('127.0.0.1', PORT))",
    "UDP": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "a socket of this machine": "socket.socket(socket.AF_UNIX)",
    "signalling the server": "os.kill(os.getppid(), 0)",
    "signalling by another way": "signal.pidfd_send_signal(os.pidfd_open(os.getppid()), 0)",
    "a process that would outlive it": "subprocess.Popen(['true'], start_new_session=True).wait()",
    "the server's limits": "resource.prlimit(os.getppid(), resource.RLIMIT_CPU)",
}

ALLOWED = {
    "open('SCRIPTS/tables/codes.csv').read()": "'1,one\\n'",
    "__import__('requests').__name__": "'requests'",
    "__import__('fastavro').__name__": "'fastavro'",
    "__import__('asyncio').run(__import__('asyncio').sleep(0))": "None",
    "__import__('zoneinfo').ZoneInfo('Europe/Paris').key": "'Europe/Paris'",
    "subprocess.run(['true']).returncode": "0",
    "open('/dev/null', 'w').write('x')": "1",
    "len(os.urandom(1))": "1",
    "os.cpu_count() > 0": "True",
    "os.kill(os.getpid(), 0)": "None",
    "(p := subprocess.Popen(['sleep', '60'])).terminate() or p.wait()": "-15",
}
"Expression -> its value, as a transform sees it."


@real
def test_a_confined_transform_is_refused_what_another_may_do(scripts: Path, tmp_path: Path, port: int):
    for name in ("secret", "removed"):
        (tmp_path / name).write_text("s3cret")
    places = {"OUTSIDE": tmp_path, "SCRIPTS": scripts, "PORT": port}
    texts = [re.sub("|".join(places), lambda found: str(places[found[0]]), text) for text in REFUSED.values()]
    confined = dict(zip(REFUSED, attempts(scripts, settings("on"), *texts), strict=True))
    refused = dict.fromkeys(REFUSED, "PermissionError")
    assert confined == refused | {"what a program reads": "ZeroDivisionError"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["removed", "scripts", "secret"]
    free = dict(zip(REFUSED, attempts(scripts, settings("off"), *texts), strict=True))
    assert {name: done for name, done in free.items() if done.endswith("Error")} == {}


@real
@pytest.mark.parametrize("sandbox", ["auto", "on"])
def test_a_confined_transform_may_do_what_transforms_do(sandbox: str, scripts: Path):
    values = attempts(scripts, settings(sandbox), *(text.replace("SCRIPTS", str(scripts)) for text in ALLOWED))
    assert dict(zip(ALLOWED, values, strict=True)) == ALLOWED


@real
def test_what_was_refused_says_which_setting_would_allow_it(scripts: Path):
    raising = "def stream(batch):\n    return open('/etc/hostname')\n"
    loading = "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9')\n"
    said = "transforms are confined here (SLUICE_TRANSFORM_SANDBOX), and SLUICE_TRANSFORM_ACCESS says what they may use"
    with TransformProcess(transform(scripts, raising), settings("auto")) as process:
        with pytest.raises(TransformError, match=r"PermissionError: .* \(line 2\); ") as caught:
            process.rows(Records())
        assert str(caught.value).endswith(said)
    with pytest.raises(ScriptError) as refused:
        TransformProcess(transform(scripts, loading), settings("auto"))
    assert str(refused.value).endswith(said)
    with pytest.raises(ScriptError) as other:
        TransformProcess(transform(scripts, "raise PermissionError"), settings("off"))
    assert said not in str(other.value)


@real
def test_the_administrator_may_let_it_do_more(scripts: Path, tmp_path: Path, port: int):
    (tmp_path / "lookup").mkdir()
    (tmp_path / "lookup" / "a").write_text("x")
    reads, writes = f"open('{tmp_path}/lookup/a').read()", f"open('{tmp_path}/lookup/b', 'w').write('x')"
    connects = f"socket.create_connection(('127.0.0.1', {port})).close()"
    expected = {
        "": ["PermissionError", "PermissionError", "PermissionError"],
        "network": ["PermissionError", "PermissionError", "None"],
        f"network@file://{scripts}/": ["PermissionError", "PermissionError", "None"],
        "network@file:///srv/others/": ["PermissionError", "PermissionError", "PermissionError"],
        f"{tmp_path}/lookup": ["'x'", "PermissionError", "PermissionError"],
        f"{tmp_path}/lookup:rw, network": ["'x'", "1", "None"],
    }
    for access, outcome in expected.items():
        assert attempts(scripts, settings("on", access), reads, writes, connects) == outcome, access


@real
def test_without_signals_in_landlock_the_filter_keeps_them_from_others(scripts: Path):
    code = FAKE.format(landlock=5, seccomp=True) + (
        "import os, signal\n"
        "from sluice.host.transform_access import AllowedAccess, Sandbox\n"
        "confinement.confine(Sandbox.ON, AllowedAccess(), None)\n"
        "os.kill(os.getpid(), 0)\n"
        "refused = 0\n"
        "for target in (os.getppid(), -1, 0):\n"
        "    try:\n"
        "        os.kill(target, 0)\n"
        "    except PermissionError:\n"
        "        refused += 1\n"
        "import fcntl\n"
        "try:\n"
        "    fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid())\n"
        "except PermissionError:\n"
        "    refused += 1\n"
        "fcntl.fcntl(0, fcntl.F_GETFD)\n"
        "print(refused)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("4\n", "")


@pytest.mark.parametrize(
    ("found", "kept", "lacking"),
    [
        (Machine(7, True), "files, network, signals", ""),
        (Machine(3, True), "files, network, signals", ""),
        (Machine(2, True), "network, signals", "files"),
        (Machine(0, True), "network, signals", "files"),
        (Machine(7, False), "nothing", "files, network, signals"),
        (Machine(0, False), "nothing", "files, network, signals"),
    ],
)
def test_what_there_is_decides_what_transforms_are_kept_from(found: Machine, kept: str, lacking: str, monkeypatch):
    text = described(Sandbox.AUTO, AllowedAccess(), found)
    assert text == f"kept from {kept}{f', not from {lacking}' if lacking else ''}; this machine has {found}"
    assert described(Sandbox.OFF, AllowedAccess(), found) == f"off; this machine has {found}"
    if lacking:
        assert described(Sandbox.ON, AllowedAccess(), found).startswith("refused: SLUICE_TRANSFORM_SANDBOX is on, and")
        monkeypatch.setattr(confinement, "machine", lambda: found)
        with pytest.raises(Unconfined, match=f"cannot keep a transform from {lacking} "):
            confinement.confine(Sandbox.ON, AllowedAccess(), None)


def test_where_it_has_to_be_confined_and_cannot_be_nothing_of_it_runs(scripts: Path, monkeypatch, tmp_path: Path):
    child = tmp_path / "child.py"
    here = Path(confinement.__file__).parents[2]
    start = f"import sys\nsys.path.insert(0, {str(here)!r})\n{FAKE.format(landlock=2, seccomp=True)}"
    child.write_text(f"{start}from sluice.scripting import child\nchild.main()\n")
    monkeypatch.setattr("sluice.scripting.child_process.CHILD", child)
    ran = scripts / "ran"
    marks = transform(scripts, f"open({str(ran)!r}, 'w')\ndef stream(batch): return []\n")
    with pytest.raises(ScriptError) as caught:
        TransformProcess(marks, settings("on"))
    assert str(caught.value) == (
        f"bad transform {marks.uri}: SLUICE_TRANSFORM_SANDBOX is on, and this machine cannot keep a transform from "
        "files (Landlock ABI 2, seccomp); auto runs it with what there is"
    )
    assert not ran.exists()


def test_what_may_be_used_besides_is_told():
    access = TransformAccess.parse("network, /srv/a,/srv/b:rw").of(None)
    found = Machine(7, True)
    expected = f"kept from files, signals; may use network, /srv/a, /srv/b:rw; this machine has {found}"
    assert described(Sandbox.ON, access, found) == expected


@pytest.mark.parametrize("text", ["net", "srv/a", "network@", "network@scripts.example.org", "network@ftp://x/"])
def test_an_entry_that_means_nothing_is_refused(text: str):
    with pytest.raises(SettingError, match="SLUICE_TRANSFORM_ACCESS has an invalid value: expected"):
        settings("auto", text)


@pytest.mark.parametrize("text", ["yes", "true"])
def test_a_sandbox_is_off_auto_or_on(text: str):
    with pytest.raises(SettingError, match="SLUICE_TRANSFORM_SANDBOX .*: expected off, auto, on"):
        settings(text)


def test_the_settings_are_shown_as_they_are_written():
    variables = settings("AUTO", "network,/srv/a:rw@file:///srv/t/").as_variables()
    assert variables["SLUICE_TRANSFORM_SANDBOX"] == "auto"
    assert variables["SLUICE_TRANSFORM_ACCESS"] == "network,/srv/a:rw@file:///srv/t/"
    assert Settings().transform_sandbox is Sandbox.OFF


def test_access_that_is_for_a_uri_is_not_for_one_that_a_node_alone_says(tmp_path: Path):
    """With a list of hashes a script runs whatever URI its node has, so that gives it nothing."""
    key = tmp_path / "key"
    key.write_text("k" * 64)
    sums = settings("auto", TRANSFORM_SHA256=str(tmp_path / "SHA256SUMS"), SIGNING_KEY_FILE=str(key))
    forged = transform(tmp_path)
    signed = Transform(forged.uri, SCRIPT, forged.sha256, SigningKey(key).sign(forged.uri, forged.sha256))
    assert origin(forged, sums) is None
    assert origin(signed, sums) == forged.uri
    key.unlink()
    assert origin(signed, sums) is None
    assert origin(forged, settings("auto")) == forged.uri
    access = TransformAccess.parse("network@https://scripts.example.org/a/,/srv/all")
    assert access.of("https://scripts.example.org/a/x.py") == AllowedAccess(True, ("/srv/all",))
    assert access.of("https://scripts.example.org/b/x.py") == AllowedAccess(False, ("/srv/all",))
    assert access.of(None) == AllowedAccess(False, ("/srv/all",))


@real
def test_the_folder_of_a_uri_that_a_node_alone_says_is_not_read(scripts: Path):
    code = (
        "from sluice.scripting import confinement\n"
        "from sluice.host.transform_access import AllowedAccess, Sandbox\n"
        "confinement.confine(Sandbox.ON, AllowedAccess(), None)\n"
        f"open({str(scripts / 'tables' / 'codes.csv')!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert "PermissionError" in done.stderr


def test_a_script_in_the_root_does_not_have_everything_read():
    assert confinement._beside("/t.py") == ["/"]
    assert confinement._existing(["/", "/usr", "", "here", "/usr"]) == ["/usr"]


@pytest.mark.parametrize("architecture", seccomp.ARCHITECTURES)
def test_the_filter_refuses_what_it_should_and_nothing_else(architecture: str):
    column = list(seccomp.ARCHITECTURES).index(architecture)
    numbers = {name: number for name, found in seccomp.NUMBERS.items() if (number := found[column]) is not None}
    strict = seccomp.program(architecture, 77, network=False, signals=True)
    lenient = seccomp.program(architecture, 77, network=True, signals=False)
    this = seccomp.ARCHITECTURES[architecture]
    for name, number in numbers.items():
        by_argument = name in ("prlimit64", "kill", "tgkill", "fcntl", "ioctl")
        assert refuses(strict, this, number, 77, 1) == (not by_argument or name == "prlimit64"), name
        expected = name in seccomp.ALWAYS or name == "prlimit64"
        assert refuses(lenient, this, number, 77, seccomp.F_SETOWN) == expected, name
    for name, arguments, expected in (
        ("prlimit64", (0, 0), False),
        ("kill", (78, 9), True),
        ("kill", (0xFFFFFFFF, 9), True),
        ("kill", (0, 9), True),
        ("tgkill", (78, 78), True),
        ("fcntl", (0, seccomp.F_SETOWN), True),
        ("fcntl", (0, seccomp.F_SETOWN_EX), True),
        ("ioctl", (0, seccomp.SIOCSPGRP), True),
    ):
        assert refuses(strict, this, numbers[name], *arguments) == expected, name
    assert not refuses(strict, this, 9999, 0, 0)
    assert refuses(strict, this, seccomp.X32 + 1, 0, 0)
    assert refuses(lenient, this ^ 1, 9999, 0, 0)


def refuses(program: bytes, architecture: int, number: int, *arguments: int) -> bool:
    """Whether the filter refuses a system call, by the rules of the kernel's machine."""
    data = struct.pack("=IIQ", number, architecture, 0) + b"".join(struct.pack("=Q", item) for item in arguments)
    lines = list(struct.iter_unpack("=HBBI", program))
    at = accumulator = 0
    while True:
        code, if_true, if_false, value = lines[at]
        at += 1
        if code == seccomp.LOAD:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == seccomp.RETURN:
            assert value in (seccomp.REFUSE, seccomp.ALLOW)
            return bool(value == seccomp.REFUSE)
        else:
            holds = accumulator == value if code == seccomp.JUMP_IF_EQUAL else accumulator >= value
            at += if_true if holds else if_false


HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


@pytest.mark.parametrize("architecture", HEADERS)
def test_the_numbers_are_the_kernels(architecture: str):
    header = HEADERS[architecture]
    if not header.exists():
        pytest.skip(f"no {header} here")
    found = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)$", header.read_text(), re.MULTILINE)
    known = {name: int(number) for name, number in found}
    column = list(seccomp.ARCHITECTURES).index(architecture)
    ours = {name: numbers[column] for name, numbers in seccomp.NUMBERS.items()}
    assert {name: number for name, number in ours.items() if known.get(name, number) != number} == {}
    assert len(set(ours) & set(known)) > 20


def test_a_thread_that_was_there_before_is_told_and_so_is_a_kernel_that_refuses(monkeypatch, tmp_path: Path):
    done: list[str] = []

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(confinement, "machine", lambda: Machine(7, True))
    monkeypatch.setattr(landlock, "no_new_privileges", lambda: done.append("asked"))
    monkeypatch.setattr(landlock, "restrict", refuse)
    monkeypatch.setattr(confinement, "confined", False)
    (tmp_path / "1").touch()
    monkeypatch.setattr(confinement, "THREADS", str(tmp_path))
    for sandbox in (Sandbox.AUTO, Sandbox.ON):
        with pytest.raises(Unconfined, match="it cannot be confined .*, the kernel refuses: not permitted"):
            confinement.confine(sandbox, AllowedAccess(), None)
    assert done == ["asked", "asked"]
    (tmp_path / "2").touch()
    with pytest.raises(Unconfined, match="a package has started a thread"):
        confinement.confine(Sandbox.ON, AllowedAccess(), None)
    assert done == ["asked", "asked"]
