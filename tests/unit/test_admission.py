"""Which pinned scripts may run is said by what is outside the graph, and for each that may not there is a way out."""

from __future__ import annotations

import ast
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

import sluice
from sluice.errors import ScriptError, SettingError
from sluice.host.allow_list import AllowList
from sluice.host.settings import Settings
from sluice.host.signing import FILE_NAME, SigningKey
from sluice.scripting import admission
from sluice.scripting.manual_message import records_given
from sluice.scripting.pinning import pin
from sluice.values.model import StreamSpec, Transform
from tests.hosts.script_server import ScriptServer

SOURCE = "def stream(batch):\n    return []\n"
EVIL = "import os\n\ndef stream(batch):\n    return []\n"
URI = "http://localhost/transform.py"
UNSIGNED = "the script in its node is not signed with this server's key"


def transform(source: str = SOURCE, uri: str = URI, signature: str = "") -> Transform:
    """A script as a node may have it: with its own hash."""
    return Transform(uri, source, hashlib.sha256(source.encode()).hexdigest(), signature)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a server whose data directory is the test's."""
    return Settings(signing_key_file=SigningKey(tmp_path / FILE_NAME, created_by_us=True))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "transform.py"
    path.write_text(SOURCE)
    return path


def test_what_was_signed_runs_wherever_its_web_server_is(settings: Settings):
    assert admission.refusal(admission.sign(transform(), settings), settings) is None


def test_edited_and_forged_nodes_do_not_run(settings: Settings):
    signed = admission.sign(transform(), settings)
    other = admission.sign(transform(EVIL + "#", "http://localhost/other.py"), settings)
    assert admission.refusal(replace(signed, source=EVIL), settings) == (
        "the script in its node is not the one with the SHA-256 beside it"
    )
    for forged in (
        transform(EVIL, signature=signed.signature),  # source and hash edited
        replace(signed, uri="http://localhost/another.py"),
        replace(signed, signature=other.signature),  # another stream's
        transform(EVIL, signature="0" * 64),
        transform(EVIL),
    ):
        assert admission.refusal(forged, settings) == UNSIGNED


def test_a_signature_goes_with_its_script_and_its_uri_and_not_with_a_stream(settings: Settings):
    signed = admission.sign(transform(), settings)
    copy = Transform(signed.uri, signed.source, signed.sha256, signed.signature)
    assert admission.refusal(copy, settings) is None


def test_a_list_that_was_narrowed_holds_for_what_was_pinned_before(settings: Settings):
    signed = admission.sign(transform(), settings)
    narrow = replace(settings, transform_allow=AllowList.parse("file:///srv/transforms/"))
    spec = StreamSpec("u", "people", "localhost:9092", "t", signed)
    with pytest.raises(SettingError) as caught:
        admission.check(spec, narrow)
    assert str(caught.value) == (
        f"Kafka stream people, the script in its node is from {URI}: SLUICE_TRANSFORM_ALLOW does not allow it; it "
        "allows file:///srv/transforms/; ALTER STREAM people SET TRANSFORM gives it one that is allowed"
    )


def test_an_error_says_on_which_stream_and_what_to_do(settings: Settings):
    admission.sign(transform(), settings)  # so that there is a key
    with pytest.raises(SettingError) as caught:
        admission.load(StreamSpec("u", "people", "localhost:9092", "t", transform(EVIL)), settings)
    assert str(caught.value) == (
        f"Kafka stream people, {UNSIGNED}; RELOAD TRANSFORM OF STREAM people takes what is at {URI} now"
    )


def test_a_file_vouches_for_the_script_that_it_holds_now(settings: Settings, file: Path):
    pinned = transform(uri=str(file))
    trouble = f" (the key {settings.signing_key_file}: No such file or directory)"
    assert admission.refusal(pinned, settings) is None
    assert admission.refusal(transform(EVIL, str(file)), settings) == (
        f"{UNSIGNED}{trouble}, and its file holds another one"
    )
    file.unlink()
    assert admission.refusal(pinned, settings) == (
        f"{UNSIGNED}{trouble}, and its file cannot be read: Couldn't get the transform script from {file}"
    )
    assert admission.refusal(admission.sign(pinned, settings), settings) is None


def test_the_administrators_list_is_all_that_counts_where_there_is_one(settings: Settings, file: Path, tmp_path: Path):
    sums = tmp_path / "SHA256SUMS"
    listing = replace(settings, transform_sha256=str(sums))
    anywhere = transform(uri="https://anywhere.example.org/t.py")
    sums.write_text(f"{anywhere.sha256}  t.py\n")
    assert admission.refusal(anywhere, listing) is None
    signed = admission.sign(transform(EVIL, str(file)), listing)
    lacks = f"SLUICE_TRANSFORM_SHA256, {sums}, does not have its script, whose SHA-256 is {signed.sha256}"
    assert admission.refusal(signed, listing) == lacks
    # Read again when it was changed, in every form that sha256sum writes.
    sums.write_text(f"\n{anywhere.sha256}  t.py\n\\{signed.sha256.upper()} *a\\\\b.py\n")
    assert admission.refusal(signed, listing) is None
    with_mark = hashlib.sha256(b"\xef\xbb\xbf" + SOURCE.encode()).hexdigest()
    sums.write_text(f"{with_mark}  t.py\n")
    assert admission.refusal(anywhere, listing) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        ("not a hash\n", "line 1 is not a line of sha256sum's"),
        ("ab" * 32 + "\n", "line 1 is not a line of sha256sum's"),
        ("a" * (1 << 20) + "\n", "it is larger than 1048576 bytes"),
    ],
    ids=["none", "no hash", "no name", "large"],
)
def test_a_list_that_cannot_be_read_lets_nothing_run(
    settings: Settings, tmp_path: Path, content: str | None, reason: str
):
    sums = tmp_path / "SHA256SUMS"
    if content is not None:
        sums.write_text(content)
    listing = replace(settings, transform_sha256=str(sums))
    found = admission.refusal(admission.sign(transform(), listing), listing)
    assert found == f"the list of scripts that may run, SLUICE_TRANSFORM_SHA256, cannot be read: {sums}: {reason}"


def test_what_is_pinned_is_signed(settings: Settings, script_server: ScriptServer):
    pinned = pin(script_server.serve("/transform.py", SOURCE), settings)
    assert settings.signing_key_file.verify(pinned.signature, pinned.uri, pinned.sha256)


def test_what_the_list_lacks_is_not_pinned_and_so_not_tried_either(
    settings: Settings, script_server: ScriptServer, tmp_path: Path
):
    ran = tmp_path / "ran"
    source = f"open({str(ran)!r}, 'w')\n{SOURCE}"
    uri = script_server.serve("/transform.py", source)
    sums = tmp_path / "SHA256SUMS"
    sums.write_text("")
    listing = replace(settings, transform_sha256=str(sums))
    with pytest.raises(ScriptError) as caught:
        pin(uri, listing)
    assert str(caught.value).startswith(
        f"Couldn't get the transform script from {uri}: SLUICE_TRANSFORM_SHA256, {sums}, does not have its script"
    )
    assert not ran.exists()
    sums.write_text(f"{hashlib.sha256(source.encode()).hexdigest()}  transform.py\n")
    pin(uri, listing)
    assert ran.exists()


def test_where_no_key_can_be_made_files_run_and_others_say_why(tmp_path: Path, file: Path, script_server: ScriptServer):
    nowhere = tmp_path / "nowhere" / FILE_NAME
    settings = Settings(signing_key_file=SigningKey(nowhere, created_by_us=True))
    assert pin(str(file), settings).signature == ""
    uri = script_server.serve("/transform.py", SOURCE)
    with pytest.raises(ScriptError) as caught:
        pin(uri, settings)
    assert str(caught.value) == (
        f"Couldn't get the transform script from {uri}: it cannot be signed: the key {nowhere}: No such file or "
        "directory; set SLUICE_SIGNING_KEY_FILE, or give the script as a file"
    )


def test_a_script_that_runs_has_what_the_servers_user_has_and_so_the_key(settings: Settings, file: Path):
    settings.signing_key_file.sign("", "")
    path = str(settings.signing_key_file)
    file.write_text(f"def stream(batch):\n    return [('RETURN $key', {{'key': open({path!r}).read()}})]\n")
    with admission.load(
        StreamSpec("u", "people", "localhost:9092", "t", pin(str(file), settings)), settings
    ) as transform_process:
        ((_, parameters),) = transform_process.rows(records_given(["1"]))
    assert parameters["key"] == settings.signing_key_file.path.read_text()


def test_no_other_part_starts_a_process_for_a_stored_script():
    """`pin` and `try_transform` have just fetched theirs; `script` fetches, and loads nothing."""
    folder = Path(sluice.__file__).parent
    starting = {
        str(path.relative_to(folder))
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("TransformProcess", "Client")
    }
    scripting = {f"scripting/{name}.py" for name in ("admission", "pinning", "script", "process")}
    assert starting == scripting | {"procedures/trial.py"}
