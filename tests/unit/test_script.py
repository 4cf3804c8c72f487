"""
Scripts come over HTTP or from regular files that are allowed, and are bounded in size and time.

What is fetched, and from where, is tested without the process that does it; its deadline and the errors with it.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from sluice.errors import ScriptError, Stopped
from sluice.host.allow_list import AllowList
from sluice.host.settings import Settings
from sluice.host.signing import SigningKey
from sluice.scripting import fetching, script
from sluice.scripting.fetching import NotFetched
from sluice.scripting.pinning import pin
from tests.hosts.script_server import ScriptServer
from tests.hosts.slow_resolver import python_whose_resolver_never_answers
from tests.ports import free_port
from tests.unit.bolt.certificate import make_certificate

SOURCE = "def stream(batch):\n    return []  # é\n"
SETTINGS = Settings(script_timeout=20.0, script_max_bytes=1000)
ANY_TLS = AllowList.parse("https://")
CANNOT = "Couldn't get the transform script from"


def fetch(uri: str, settings: Settings = SETTINGS) -> str:
    """The script at `uri`, fetched here. Raises NotFetched."""
    return fetching.fetch(uri, str(settings.transform_allow), settings.script_max_bytes)


def refusal(uri: str, settings: Settings = SETTINGS) -> str:
    """Why the script at `uri` is not had, beside that it is not."""
    with pytest.raises(NotFetched) as caught:
        fetch(uri, settings)
    assert (caught.value.reason is None) != (caught.value.cause is None)
    return caught.value.reason or ""


def error(uri: str, settings: Settings = SETTINGS) -> ScriptError:
    """What fetching the script at `uri` raises in the database's process."""
    with pytest.raises(ScriptError) as caught:
        script.fetch(uri, settings)
    return caught.value


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my transform.py"
    path.write_text(SOURCE, encoding="utf-8")
    return path


def test_a_plain_path(file: Path):
    assert fetch(str(file)) == SOURCE
    transform = script.fetch(str(file), SETTINGS)
    assert (transform.uri, transform.source) == (str(file), SOURCE)
    assert transform.sha256 == hashlib.sha256(SOURCE.encode()).hexdigest()


@pytest.mark.parametrize("host", ["", "localhost"])
def test_a_file_uri(file: Path, host: str):
    assert fetch(f"file://{host}{str(file).replace(' ', '%20')}") == SOURCE


def test_http(script_server: ScriptServer):
    url = script_server.serve("/transform.py", SOURCE)
    assert fetch(url) == SOURCE
    transform = script.fetch(url, SETTINGS)
    assert (transform.uri, transform.source) == (url, SOURCE)
    assert transform.sha256 == hashlib.sha256(SOURCE.encode()).hexdigest()


def test_http_with_a_query_and_characters_that_no_uri_has(script_server: ScriptServer):
    script_server.serve("/my%20transf%C3%B6rm.py?of=a%26b&x=%22", SOURCE)
    assert fetch(script_server.url('/my transförm.py?of=a%26b&x="')) == SOURCE


def test_what_is_not_there_is_said_in_the_words_of_the_specification_and_no_more(
    script_server: ScriptServer, tmp_path: Path
):
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "folder.py").mkdir()
    script_server.serve("/forbidden.py", SOURCE, status=403)
    for uri in [
        script_server.url("/missing.py"),
        script_server.url("/forbidden.py"),
        f"http://127.0.0.1:{free_port()}/nobody.py",
        str(tmp_path / "none.py"),
        f"file://{tmp_path}/none.py",
        str(tmp_path / "folder.py"),
        str(tmp_path / "pipe.py"),
    ]:
        assert refusal(uri) == ""
    assert refusal("https://no-such-host.invalid/transform.py", Settings(transform_allow=ANY_TLS)) == ""


def test_the_error_has_the_words_of_the_specification_and_the_log_has_the_cause(script_server: ScriptServer):
    url = f"http://127.0.0.1:{free_port()}/transform.py"
    not_there = error(url)
    assert (str(not_there), str(not_there.__cause__)) == (f"{CANNOT} {url}", "Connection refused")
    url = script_server.url("/missing.py")
    not_there = error(url)
    assert (str(not_there), str(not_there.__cause__)) == (f"{CANNOT} {url}", "the server answers 404 Not Found")
    private = error("/etc/passwd")
    assert (
        str(private)
        == f"{CANNOT} /etc/passwd: the name of a script's file has to end with .py or .zip, and a folder's with /"
    )
    assert private.__cause__ is None


@pytest.mark.parametrize("path", ["/etc/passwd", "/dev/zero", "/proc/self/environ", "/nowhere/at/all"])
def test_private_files_are_refused_alike_whether_or_not_they_are_there(path: str):
    assert refusal(path) == "the name of a script's file has to end with .py or .zip, and a folder's with /"
    assert refusal(f"file://{path}") == "the name of a script's file has to end with .py or .zip, and a folder's with /"


def test_a_link_to_a_private_file_is_refused_and_nothing_of_it_is_shown(tmp_path: Path):
    (tmp_path / "password").write_text("hunter2")
    os.symlink(tmp_path / "password", tmp_path / "a.py")
    reason = refusal(str(tmp_path / "a.py"))
    assert reason == "it is a link to a file whose name does not end with .py or .zip"


def test_a_file_outside_the_allowed_folder_is_refused_without_being_opened(tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.py").write_text(SOURCE)
    settings = Settings(transform_allow=AllowList.parse(f"file://{tmp_path}/in"))
    assert fetch(str(tmp_path / "in" / "a.py"), settings) == SOURCE
    os.mkfifo(tmp_path / "b.py")
    os.symlink(tmp_path / "b.py", tmp_path / "in" / "b.py")
    for name in ("b.py", "in/b.py", "in/../b.py", "not_there.py"):
        assert refusal(str(tmp_path / name), settings).startswith(
            "SLUICE_TRANSFORM_ALLOW does not allow it; it allows "
        )


def test_a_link_that_is_put_there_at_the_last_moment_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("in/deep", "out"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.py").write_text(SOURCE)
    path, really_open = str(tmp_path / "in" / "deep" / "a.py"), os.open

    def open_after_the_swap(*arguments: object, **keywords: object) -> int:
        if str(arguments[0]) == path:
            (tmp_path / "in" / "deep").rename(tmp_path / "in" / "deeper")
            os.symlink(tmp_path / "out", tmp_path / "in" / "deep")
        return really_open(*arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", open_after_the_swap)
    settings = Settings(transform_allow=AllowList.parse(f"file://{tmp_path}/in"))
    assert refusal(path, settings).startswith("SLUICE_TRANSFORM_ALLOW does not allow it")


def test_a_server_that_is_not_allowed_is_not_asked(script_server: ScriptServer):
    url = script_server.serve("/transform.py", SOURCE)
    settings = Settings(transform_allow=AllowList.parse("https://"))
    assert refusal(url, settings) == "SLUICE_TRANSFORM_ALLOW does not allow it; it allows https://"
    assert script_server.count("/transform.py") == 0


def test_a_password_in_the_uri_is_refused_and_not_repeated(script_server: ScriptServer):
    url = script_server.serve("/transform.py", SOURCE).replace("//", "//me:hunter2@")
    shown = url.replace("me:hunter2", "***")
    reason = "the URI must not contain a user and password: SHOW STREAMS shows it to all users"
    assert str(error(url)) == f"{CANNOT} {shown}: {reason}"
    assert script_server.count("/transform.py") == 0


def test_a_redirect_is_followed_to_where_it_is_allowed(script_server: ScriptServer):
    script_server.serve("/new/transform.py", SOURCE)
    first = script_server.redirect("/old.py", "/older.py")
    script_server.redirect("/older.py", "new/transform.py")
    assert fetch(first) == SOURCE
    assert script.fetch(first, SETTINGS).uri == first


@pytest.fixture
def other_server() -> Iterator[ScriptServer]:
    server = ScriptServer()
    server.turn_on()
    yield server
    server.turn_off()


def test_a_redirect_off_the_list_is_refused_and_not_followed(script_server: ScriptServer, other_server: ScriptServer):
    target = other_server.serve("/transform.py", SOURCE)
    url = script_server.redirect("/transform.py", f"{target}?token=hunter2")
    settings = Settings(transform_allow=AllowList.parse(f"http://127.0.0.1:{script_server.port}"))
    origin = f"http://127.0.0.1:{other_server.port}"
    reason = f"it redirects to {origin}, which is refused: SLUICE_TRANSFORM_ALLOW does not allow it; it allows "
    assert refusal(url, settings) == f"{reason}{settings.transform_allow}"
    assert other_server.count("/transform.py") == 0


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("file:///etc/passwd", "it redirects to file://, which is refused: the name of a script's file"),
        ("file:///srv/a.py", "it redirects to file://, which is refused: it is no web server"),
        ("ftp://host/a.py", "it redirects to ftp://host, which is refused: ftp:// is not supported"),
        ("http://169.254.169.254/latest", "it redirects to http://169.254.169.254, which is refused: SLUICE_TRANSFORM"),
        (
            "http://me:hunter2@127.0.0.1/a.py",
            "it redirects to http://127.0.0.1, which is refused: the URI must not contain",
        ),
    ],
)
def test_a_redirect_to_what_is_no_allowed_web_server_is_refused(script_server: ScriptServer, target: str, reason: str):
    found = refusal(script_server.redirect("/transform.py", target))
    assert found.startswith(reason)
    assert "hunter2" not in found


def test_redirects_that_lead_nowhere_end(script_server: ScriptServer):
    url = script_server.redirect("/loop.py", "/loop.py")
    assert refusal(url) == ""
    assert script_server.count("/loop.py") == 6


def test_a_proxy_is_not_used(script_server: ScriptServer, other_server: ScriptServer, monkeypatch: pytest.MonkeyPatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{other_server.port}")
    assert fetch(script_server.serve("/transform.py", SOURCE)) == SOURCE


Serve = Callable[[socket.socket, threading.Event], None]


@contextmanager
def serving(serve: Serve, wrap: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[int]:
    """The port of a server that has one client, which `serve` answers until the event is set."""
    over = threading.Event()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:

        def accept() -> None:
            with suppress(OSError):
                client, _ = listener.accept()
                with closing(wrap.wrap_socket(client, server_side=True) if wrap else client) as connected:
                    serve(connected, over)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            with suppress(OSError):
                socket.create_connection((host, listener.getsockname()[1]), 1).close()
            thread.join()


def answer(body: bytes) -> Serve:
    def serve(client: socket.socket, _: threading.Event) -> None:
        client.recv(1 << 16)
        client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)

    return serve


def drip(beginning: bytes, asked: threading.Event) -> Serve:
    """Sends that once asked, then a byte every now and then, each well within any timeout of its own."""

    def serve(client: socket.socket, over: threading.Event) -> None:
        if client.recv(1 << 16):
            asked.set()
        client.sendall(beginning)
        while not over.wait(0.05):
            client.sendall(b"#")

    return serve


LATE = Settings(script_timeout=4.0, transform_allow=AllowList.parse("https://,http://,file:///"))
"Time enough to start a process and to connect, on a busy machine too."


def late(uri: str) -> str:
    """Why a script is not had of which nothing comes; asserts that the deadline was kept."""
    began = time.monotonic()
    text = str(error(uri, LATE))
    assert 3.9 < time.monotonic() - began < 8.0
    return text.removeprefix(f"{CANNOT} {uri}: ")


NOT_IN_TIME = "it did not come within 4 s (SLUICE_SCRIPT_TIMEOUT)"


@pytest.mark.parametrize(
    "beginning",
    [
        pytest.param(b"", id="before the status"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX-Header: ", id="in a header"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", id="in the script"),
    ],
)
def test_a_server_that_is_slow_on_purpose_is_not_waited_for(beginning: bytes):
    asked = threading.Event()
    with serving(drip(beginning, asked)) as port:
        assert late(f"http://127.0.0.1:{port}/slow.py") == NOT_IN_TIME
    assert asked.is_set()


def test_a_server_that_never_says_hello_in_tls_is_not_waited_for():
    def wait(_: socket.socket, over: threading.Event) -> None:
        over.wait(10)

    with serving(wait) as port:
        assert late(f"https://127.0.0.1:{port}/a.py") == NOT_IN_TIME


def test_a_resolver_that_does_not_answer_is_not_waited_for(tmp_path: Path):
    settings = dataclasses.replace(LATE, python=str(python_whose_resolver_never_answers(tmp_path)))
    began = time.monotonic()
    text = str(error("https://scripts.example.org/transform.py", settings))
    assert text == f"{CANNOT} https://scripts.example.org/transform.py: {NOT_IN_TIME}"
    assert 3.9 < time.monotonic() - began < 8.0
    assert (tmp_path / "asked").read_text() == "scripts.example.org"


def test_fetching_and_loading_have_one_deadline(script_server: ScriptServer, tmp_path: Path):
    url = script_server.serve("/slow.py", "import time\ntime.sleep(60)\n")
    script_server.delay("/slow.py", 3)
    began = time.monotonic()
    with pytest.raises(ScriptError) as caught:
        pin(url, Settings(script_timeout=9.0, signing_key_file=SigningKey(tmp_path / "key", created_by_us=True)))
    assert str(caught.value) == f"bad transform {url}: loading it did not end within 9 s"
    assert caught.value.retryable
    assert 8.9 < time.monotonic() - began < 11.5


def test_who_waits_for_a_script_can_be_asked_to_stop(tmp_path: Path):
    python = str(python_whose_resolver_never_answers(tmp_path))
    settings = dataclasses.replace(SETTINGS, python=python, transform_allow=ANY_TLS)
    with pytest.raises(Stopped):
        pin("https://scripts.example.org/transform.py", settings, (tmp_path / "asked").exists)


@pytest.mark.parametrize("trusted", [True, False])
def test_https_takes_certificates_that_the_machine_trusts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
):
    certificate = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serving(answer(SOURCE.encode()), context) as port:
        url = f"https://localhost:{port}/transform.py"
        if trusted:
            assert fetch(url) == SOURCE
        else:
            assert refusal(url) == ""


def test_a_redirect_from_tls_to_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script_server: ScriptServer
):
    certificate = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    target = script_server.serve("/transform.py", SOURCE)

    def redirect(client: socket.socket, _: threading.Event) -> None:
        client.recv(1 << 16)
        client.sendall(f"HTTP/1.1 302 Found\r\nLocation: {target}\r\n\r\n".encode())

    with serving(redirect, context) as port:
        reason = refusal(f"https://localhost:{port}/transform.py")
    assert reason == f"it redirects to http://127.0.0.1:{script_server.port}, from TLS to none"
    assert script_server.count("/transform.py") == 0


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="this machine has no IPv6")
def test_ipv6():
    with serving(answer(SOURCE.encode()), host="::1") as port:
        assert fetch(f"http://[::1]:{port}/transform.py") == SOURCE


def test_an_answer_without_end_is_cut_off():
    def serve(client: socket.socket, over: threading.Event) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not over.is_set():
            client.sendall(b"#" * 65536)

    with serving(serve) as port:
        assert refusal(f"http://127.0.0.1:{port}/endless.py") == "it is larger than 1000 bytes"


def test_a_compressed_answer_counts_as_what_it_becomes():
    body = gzip.compress(b"#" * 5_000_000)

    def serve(client: socket.socket, _: threading.Event) -> None:
        assert b"accept-encoding: identity" in client.recv(1 << 16).lower()
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n" + body)

    assert len(body) < 6000
    with serving(serve) as port:
        assert refusal(f"http://127.0.0.1:{port}/bomb.py") == "it is larger than 1000 bytes"


@pytest.mark.parametrize("name", ["localhost\\.example.org", "127.0.0.1\t", "①27.0.0.1", "127。0。0。1"])
def test_a_host_that_can_be_read_in_two_ways_is_not_asked(script_server: ScriptServer, name: str):
    script_server.serve("/a.py", SOURCE)
    assert refusal(f"http://{name}:{script_server.port}/a.py") != SOURCE
    assert script_server.count("/a.py") == 0


def test_passwords_of_files_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password hunter2\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    received = []

    def serve(client: socket.socket, _: threading.Event) -> None:
        received.append(client.recv(1 << 16))
        client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + SOURCE.encode())

    with serving(serve) as port:
        assert fetch(f"http://127.0.0.1:{port}/a.py") == SOURCE
    assert b"authorization" not in received[0].lower()


@pytest.mark.parametrize("content", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200, b""])
def test_what_does_not_speak_http_has_no_script(content: bytes):
    def serve(client: socket.socket, _: threading.Event) -> None:
        client.recv(1 << 16)
        client.sendall(content)

    with serving(serve) as port:
        assert refusal(f"http://127.0.0.1:{port}/a.py") == ""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"#" * 1001, "it is larger than 1000 bytes", id="too large"),
        pytest.param(b"\xff\xfe", "it is not UTF-8 text (byte 0)", id="not text"),
    ],
)
def test_a_script_that_cannot_be_one(tmp_path: Path, content: bytes, reason: str):
    path = tmp_path / "t.py"
    path.write_bytes(content)
    assert refusal(str(path)) == reason


def test_a_long_allow_list_is_no_more_of_an_error_than_fits(tmp_path: Path):
    allow = ",".join(f"https://{number}.example.org/é" for number in range(1000))
    settings = dataclasses.replace(SETTINGS, transform_allow=AllowList.parse(allow))
    text = str(error("http://localhost/t.py", settings))
    assert text.startswith(
        f"{CANNOT} http://localhost/t.py: SLUICE_TRANSFORM_ALLOW does not allow it; it allows https://0."
    )
