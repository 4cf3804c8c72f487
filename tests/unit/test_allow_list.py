"""What the allow-list lets in is what its prefixes say, however the URI is dressed up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import SettingError
from sluice.host.allow_list import DEFAULT, AllowList, locate, shown
from sluice.scripting.script import refusal

LIST = "https://scripts.example.org/kafka/,http://localhost:*,http://[::1]:8000,https://any.example.org"


@pytest.mark.parametrize(
    "uri",
    [
        "http://localhost/transform.py",
        "http://localhost:8080/transform.py",
        "http://127.0.0.1:1/a",
        "http://[::1]:1/a",
        "http://[0:0:0:0:0:0:0:1]/a",
        "HTTP://LocalHost/a.py",
        "https://localhost:8443/a.py?version=1#top",
        "/srv/transform.py",
        "relative/transform.py",
        "file:///srv/my%20transform.py",
    ],
)
def test_without_a_setting_this_machine_is_allowed(uri: str):
    assert refusal(uri, AllowList.parse(DEFAULT)) is None


@pytest.mark.parametrize(
    "uri",
    [
        "http://scripts.example.org/a.py",
        "https://scripts.example.org/a.py",
        "http://10.0.0.1/a.py",
        "http://169.254.169.254/latest/meta-data",
        "http://0.0.0.0/a.py",
        "http://2130706433/a.py",
        "http://0x7f.1/a.py",
        "http://[::ffff:127.0.0.1]/a.py",
        "http://localhost.example.org/a.py",
        "http://127.0.0.1.example.org/a.py",
        "http://ⓛocalhost/a.py",
    ],
)
def test_without_a_setting_every_other_server_is_refused(uri: str):
    assert refusal(uri, AllowList.parse(DEFAULT)) is not None


@pytest.mark.parametrize(
    ("uri", "allowed"),
    [
        ("https://scripts.example.org/kafka/a.py", True),
        ("https://SCRIPTS.example.org.:443/kafka/a.py", True),
        ("https://scripts.example.org/kafka", True),
        ("https://scripts.example.org/kafka/%61.py", True),
        ("https://scripts.example.org/%6bafka/a.py", True),
        ("https://scripts.example.org/kafkaesque/a.py", False),
        ("https://scripts.example.org/Kafka/a.py", False),
        ("https://scripts.example.org//kafka/a.py", False),
        ("https://scripts.example.org:8443/kafka/a.py", False),
        ("http://scripts.example.org/kafka/a.py", False),
        ("https://scripts.example.org.evil.example/kafka/a.py", False),
        ("https://evil.example/https://scripts.example.org/kafka/a.py", False),
        ("http://localhost:9/a", True),
        ("http://[::1]:8000/a", True),
        ("http://[::1]/a", False),
        ("https://any.example.org/a/b/c", True),
        ("/srv/a.py", False),
        ("file:///srv/a.py", False),
    ],
)
def test_prefixes_are_compared_part_by_part(uri: str, allowed: bool):
    assert (refusal(uri, AllowList.parse(LIST)) is None) == allowed


@pytest.mark.parametrize(
    "path",
    ["../a.py", "./a.py", "%2e%2e/a.py", ".%2E/a.py", "%252e%252e/a.py", "..%2fa.py", "a%2f..%2fb.py"],
)
def test_a_path_that_goes_up_is_refused_whatever_it_leads_to(path: str):
    reason = refusal(f"https://scripts.example.org/kafka/{path}", AllowList.parse(LIST))
    assert reason is not None
    assert "its path contains ., .. or an encoded slash" in reason


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("ftp://host/a.py", "ftp:// is not supported"),
        ("file://host/a.py", "file:// takes no host"),
        ("https:///a.py", "names no host"),
        ("https://me:hunter2@host/a.py", "the URI must not contain a user and password"),
        ("https://hunter2@host/a.py", "the URI must not contain a user and password"),
        ("http://localhost\\@evil.example/a.py", "the URI must not contain a user and password"),
        ("https://host:hunter2/a.py", "it is not a URI of the form https://host:port/path"),
        ("https://host:99999/a.py", "it is not a URI of the form"),
        ("http://[/a.py", "it is not a URI of the form"),
        ("/srv/\0.py", "null"),
    ],
)
def test_what_no_list_could_allow_is_refused_with_its_reason_and_no_secret(uri: str, reason: str):
    everything = AllowList.parse("http://,https://,file:///")
    found = refusal(uri, everything)
    assert found is not None
    assert reason in found
    assert "hunter2" not in found


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://me:hunter2@host:1/a.py", "https://***@host:1/a.py"),
        ("https://me:hun/ter2@host/a.py", "https://***@host/a.py"),
        ("https://hunter2@host/a@b.py", "https://***@b.py"),
        ("https://host:1/a@b.py", "https://host:1/a@b.py"),
        ("https://[::1]:1/a@b.py", "https://[::1]:1/a@b.py"),
        ("/srv/a@b.py", "/srv/a@b.py"),
    ],
)
def test_a_uri_is_shown_without_what_may_be_a_password(uri: str, expected: str):
    assert shown(uri) == expected


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Transforms that are allowed, beside some that are not, with links from the one to the other."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    for name in ("in/a.py", "in/deep/b.py", "out/c.py", "out/key.pem"):
        (tmp_path / name).write_text("")
    os.symlink(tmp_path / "out" / "c.py", tmp_path / "in" / "leads_out.py")
    os.symlink(tmp_path / "out", tmp_path / "in" / "elsewhere")
    os.symlink(tmp_path / "in" / "a.py", tmp_path / "in" / "stays.py")
    os.symlink(tmp_path / "in", tmp_path / "by_link")
    os.symlink(tmp_path / "out" / "key.pem", tmp_path / "in" / "key.py")
    os.symlink("/proc/self/environ", tmp_path / "in" / "environ.py")
    return tmp_path


@pytest.mark.parametrize("written", ["in", "in/", "by_link"])
@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("in/a.py", True),
        ("in/deep/b.py", True),
        ("in/deep/../a.py", True),
        ("in/stays.py", True),
        ("by_link/a.py", True),
        ("in/not_there.py", True),
        ("out/c.py", False),
        ("in/../out/c.py", False),
        ("in/%2e%2e/out/c.py", False),
        ("in/leads_out.py", False),
        ("in/elsewhere/c.py", False),
        ("in/key.py", False),
        ("in/environ.py", False),
        ("inside/a.py", False),
        ("IN/a.py", False),
    ],
)
def test_a_file_is_allowed_by_where_it_really_is(folder: Path, written: str, name: str, allowed: bool):
    allow = AllowList.parse(f"file://{folder}/{written}")
    assert (refusal(f"file://{folder}/{name}", allow) is None) == allowed
    if "%" not in name:
        assert (refusal(f"{folder}/{name}", allow) is None) == allowed


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "/etc/shadow", "/proc/self/environ", "/dev/zero", "/etc", "", "/home/me/.ssh/id_rsa", "/srv/.pyc"],
)
def test_no_list_allows_a_file_that_is_not_named_as_a_script(path: str):
    reason = refusal(path, AllowList.parse("file:///"))
    assert reason == "the name of a script's file has to end with .py or .zip, and a folder's with /"


def test_a_link_to_what_is_not_named_as_a_script_is_refused_with_its_reason(folder: Path):
    assert "is a link to a file" in (refusal(f"{folder}/in/key.py", AllowList.parse("file:///")) or "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("localhost", "expected prefixes that begin with"),
        ("ftp://host", "expected prefixes that begin with"),
        ("/srv", "expected prefixes that begin with"),
        ("https://a,*", "expected prefixes that begin with"),
        ("file://srv", "file:// takes no host"),
        ("https://host:port", "not a URI of the form"),
        ("https://me:hunter2@host/", "user and password"),
        ("https://host/a/../b", "its path contains ., .. or an encoded slash"),
        ("https:///a", "names no host"),
    ],
)
def test_a_list_that_says_nothing_clear_is_refused(text: str, reason: str):
    with pytest.raises(ValueError, match=reason) as caught:
        AllowList.parse(text)
    assert "hunter2" not in str(caught.value)


def test_a_list_is_shown_as_it_was_written():
    assert str(AllowList.parse(f" {LIST.replace(',', ' , ')},")) == LIST


HOSTS = st.sampled_from(["localhost", "localhost.", "LOCALHOST", "evil.example", "127.0.0.1", "[::1]", "localhost%00"])
PARTS = st.sampled_from(
    [
        "kafka",
        "..",
        "%2e%2e",
        "%252e.",
        ".",
        "a.py",
        "",
        "%2f",
        "%5c",
        "\\",
        "@",
        ":",
        "?",
        "#",
        ";",
        "KAFKA",
        "kafka%20",
    ]
)


@given(st.lists(HOSTS, min_size=1, max_size=2), st.lists(PARTS, max_size=6))
def test_whatever_is_allowed_is_there_where_the_list_says(hosts: list[str], parts: list[str]):
    uri = f"http://{'@'.join(hosts)}/{'/'.join(parts)}"
    if refusal(uri, AllowList.parse("http://localhost/kafka")) is not None:
        return
    location = locate(uri)
    assert (location.host, location.port, location.path[0]) == ("localhost", 80, "kafka")
    assert ".." not in location.path
    assert "@" not in uri.split("/")[2]


def test_locate_gives_no_secret_away():
    with pytest.raises(SettingError) as caught:
        locate("https://me:hunter2@host/a.py")
    assert "hunter2" not in str(caught.value)
