"""Ready transforms as scripts: what is pinned, what runs, and who may say so."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from sluice import __version__, ready
from sluice.errors import ScriptError, SettingError, TransformError
from sluice.host.allow_list import AllowList
from sluice.host.settings import Settings
from sluice.host.transform_access import TransformAccess
from sluice.scripting import admission, ready_scripts
from sluice.scripting.client import origin
from sluice.scripting.manual_message import records_given
from sluice.scripting.pinning import pin
from sluice.scripting.process import TransformProcess
from sluice.values.configuration import Configuration, configuration_of
from sluice.values.model import StreamSpec, Transform
from sluice.values.options import options_of
from sluice.values.record import FIELDS, Record, Records

SETTINGS = Settings(transform_timeout=20.0)
JSON = "sluice:json"
EVIL = "def stream(batch):\n    return [('MATCH (n) DETACH DELETE n', {})]\n"
UPSERT = ("MERGE (n:`Person` {`id`: $value.id}) SET n += $value", {"value": {"id": 1}})


def spec(transform: Transform, options: dict) -> StreamSpec:
    config = configuration_of("people", {"transform": options})
    return StreamSpec("u", "people", "localhost:9092", "t", transform, config=config)


def test_each_is_a_script_that_names_its_version_and_its_modules():
    assert sorted(ready.MODULES) == ["csv", "cud", "cypher", "debezium", "json", "patterns"]
    for name in ready.MODULES:
        script = ready_scripts.installed(f"sluice:{name}")
        assert f"sluice:{name}: a ready transform of Sluice {__version__}." in script.source
        assert script.sha256 == hashlib.sha256(script.source.encode()).hexdigest()
        assert script.signature == ""


def test_it_is_pinned_and_run_like_any_script_without_an_entry_in_the_list():
    nowhere = replace(SETTINGS, transform_allow=AllowList.parse("https://scripts.example.org/"))
    options = options_of({"label": "Person"})
    pinned = pin(JSON, nowhere, options=options)
    assert pinned == ready_scripts.installed(JSON)
    with TransformProcess(pinned, nowhere, config=Configuration(transform=options)) as process:
        assert process.rows(records_given(['{"id": 1}'])) == [UPSERT]


def test_wrong_options_are_refused_when_it_is_pinned():
    with pytest.raises(ScriptError) as caught:
        pin(JSON, SETTINGS)
    assert str(caught.value) == (
        "bad transform sluice:json: configure(options) refuses them: the option label is missing: a text, or a list of "
        "texts"
    )


def test_an_error_of_a_message_says_which_transform_and_why():
    options = options_of({"label": "Person"})
    with (
        TransformProcess(ready_scripts.installed(JSON), SETTINGS, config=Configuration(transform=options)) as process,
        pytest.raises(TransformError) as caught,
    ):
        process.rows(records_given(["{"]))
    assert str(caught.value) == (
        "transform sluice:json: stream_messages(batch) raised WrongMessage: its value is not JSON: Expecting property "
        "name enclosed in double quotes: line 1 column 2 (char 1)"
    )


@pytest.mark.parametrize("uri", ["sluice:jsom", "sluice:", "sluice:json/x", "sluice:../x.py"])
def test_others_do_not_exist(uri: str):
    with pytest.raises(ScriptError) as caught:
        pin(uri, SETTINGS)
    assert str(caught.value) == (
        f"Couldn't get the transform script from {uri}: there is no such ready transform; there are sluice:csv, "
        "sluice:cud, sluice:cypher, sluice:debezium, sluice:json, sluice:patterns"
    )


def test_whatever_a_node_says_the_packages_own_code_runs():
    forged = Transform(JSON, EVIL, hashlib.sha256(EVIL.encode()).hexdigest())
    assert admission.refusal(forged, SETTINGS) is None
    with admission.load(spec(forged, {"label": "Person"}), SETTINGS) as process:
        assert process.rows(records_given(['{"id": 1}'])) == [UPSERT]


def test_after_an_upgrade_the_stream_goes_on_with_the_new_one():
    installed = ready_scripts.installed(JSON)
    source = installed.source.replace(__version__, "0.0.9")
    pinned = Transform(JSON, source, hashlib.sha256(source.encode()).hexdigest())
    assert pinned.sha256 != installed.sha256
    assert ready_scripts.what_runs(pinned) == installed
    gone = replace(pinned, uri="sluice:gone")
    with pytest.raises(SettingError) as caught:
        admission.check(spec(gone, {}), SETTINGS)
    assert str(caught.value) == (
        "Kafka stream people, Couldn't get the transform script from sluice:gone: there is no such ready transform; "
        "there are sluice:csv, sluice:cud, sluice:cypher, sluice:debezium, sluice:json, sluice:patterns; ALTER STREAM "
        "people SET TRANSFORM gives it one that is allowed"
    )


def test_the_hash_changes_with_the_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    before = ready_scripts.installed(JSON).sha256
    for folder in ready_scripts.FOLDERS:
        shutil.copytree(Path(ready.__file__).parents[1] / folder, tmp_path / folder)
    monkeypatch.setattr(ready, "__file__", str(tmp_path / "ready" / "__init__.py"))
    assert ready_scripts.installed(JSON).sha256 == before
    for changed in ("ready/cypher.py", "decoding/avro.py"):
        with (tmp_path / changed).open("a") as file:
            file.write("# changed\n")
        assert ready_scripts.installed(JSON).sha256 != before
        before = ready_scripts.installed(JSON).sha256


def test_the_administrators_list_of_hashes_decides_about_them_too(tmp_path: Path):
    sums = tmp_path / "SHA256SUMS"
    sums.write_text(f"{'0' * 64}  other.py\n")
    listing = replace(SETTINGS, transform_sha256=str(sums))
    installed = ready_scripts.installed(JSON)
    lacks = f"SLUICE_TRANSFORM_SHA256, {sums}, does not have its script, whose SHA-256 is {installed.sha256}"
    with pytest.raises(ScriptError, match="does not have its script"):
        pin(JSON, listing, options=options_of({"label": "P"}))
    forged = Transform(JSON, EVIL, "0" * 64)
    assert admission.refusal(forged, listing) == lacks
    sums.write_text(f"{installed.sha256}  sluice:json\n")
    assert admission.refusal(forged, listing) is None


def test_confined_ones_get_what_is_given_to_all_or_to_them():
    access = TransformAccess.parse(
        "/srv/all,/srv/ours@sluice:,/srv/json@sluice:json,/srv/files@file:///,network@sluice:csv"
    )
    assert access.of(JSON).reads == ("/srv/all", "/srv/ours", "/srv/json")
    assert not access.of(JSON).network
    assert access.of("sluice:csv").network
    listing = replace(SETTINGS, transform_sha256="/nowhere/SHA256SUMS", transform_access=access)
    assert origin(Transform("sluice:csv", EVIL, ""), listing) == "sluice:csv"
    assert origin(Transform("/srv/x.py", EVIL, ""), listing) is None
    assert access.of("/srv/sluice:json/x.py").reads == ("/srv/all", "/srv/files")


class Asked(Records):
    """Messages that know which of their fields were asked for."""

    asked: tuple[str, ...] = ()

    def columns(self, fields):
        self.asked = tuple(fields)
        return super().columns(fields)


WHOLE = Record(b'{"id": 1}', b"k", [("h", b"1")], "people", 3, 7, 1000)


@pytest.mark.parametrize(
    ("query", "source", "fields", "parameters"),
    [
        ("MERGE (n:P {id: $value.id})", "messages", ("value",), {"value": {"id": 1}}),
        (
            "MERGE (n:P {id: $value.id, key: $key, at: $offset})",
            "messages",
            ("value", "key", "offset"),
            {"value": {"id": 1}, "key": "k", "offset": 7},
        ),
        ("MERGE (n:P {id: $value.id, at: $offset})", "dead_letters", FIELDS, {"value": {"id": 1}, "offset": 7}),
    ],
)
def test_the_server_hands_over_the_fields_that_are_used(query, source, fields, parameters):
    config = configuration_of("people", {"transform": {"query": query}, "source": source})
    with TransformProcess(ready_scripts.installed("sluice:cypher"), SETTINGS, config=config) as process:
        batch = Asked([WHOLE])
        assert process.rows(batch) == [(query, parameters)]
        assert batch.asked == fields


def test_scripts_get_all_fields():
    source = "def stream_messages(batch):\n    return [('RETURN $m', {'m': repr(tuple(batch[0]))})]\n"
    script = Transform("/t.py", source, hashlib.sha256(source.encode()).hexdigest())
    with TransformProcess(script, SETTINGS) as process:
        batch = Asked([WHOLE])
        assert process.rows(batch) == [("RETURN $m", {"m": repr(tuple(WHOLE))})]
        assert batch.asked == FIELDS
