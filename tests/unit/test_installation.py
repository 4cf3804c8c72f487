"""Whose streams a server runs: those that it started, and those that it was a replica for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sluice.host.installation import FILE, Installation


def test_the_id_outlives_the_process_and_is_no_other_servers(tmp_path: Path) -> None:
    here = Installation(tmp_path / FILE)
    other = Installation(tmp_path / "other.json")
    assert Installation(tmp_path / FILE).id == here.id != other.id
    assert here.owns(here.id)
    assert not here.owns(other.id)


@pytest.mark.parametrize("mark", [None, ""], ids=["an older version's", "one that had no data directory"])
def test_a_stream_that_does_not_say_who_started_it_runs(tmp_path: Path, mark: str | None) -> None:
    assert Installation(tmp_path / FILE).owns(mark)


def test_a_promoted_replica_takes_over_what_it_holds_for_good(tmp_path: Path) -> None:
    replica = Installation(tmp_path / FILE)
    replica.note_main(["stranger"])
    assert not replica.owns("stranger")
    replica.note_replica()
    assert replica.owns("main")
    again = Installation(tmp_path / FILE)
    again.note_main(["main", None])
    assert again.owns("main")
    assert Installation(tmp_path / FILE).owns("main")
    again.note_main(["late"])
    assert not again.owns("late")


def test_without_a_data_directory_every_stream_is_taken_for_ours() -> None:
    nowhere = Installation(None)
    nowhere.note_replica()
    nowhere.note_main(["other"])
    assert (nowhere.id, nowhere.owns("other")) == ("", True)


def test_a_file_that_cannot_be_written_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nowhere = Installation(tmp_path / "no folder" / FILE)
    nowhere.note_replica()
    assert (nowhere.id, nowhere.owns("other")) == ("", True)
    assert caplog.text.count("cannot write") == 1


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"id": "a"}', "nothing"])
def test_a_file_that_says_nothing_is_written_again(tmp_path: Path, content: str) -> None:
    file = tmp_path / FILE
    file.write_text(content)
    here = Installation(file)
    assert json.loads(file.read_text())["id"] == here.id != ""
