"""What people and scripts write: clauses, queries, settings."""

from __future__ import annotations

from random import Random

from sluice.bolt.packstream import pack
from sluice.clauses import parse, recognise, to_text, translate
from sluice.errors import ClauseError, SettingError
from sluice.folding import Folder
from sluice.folding.merge_reader import MergeReader
from sluice.host import allow_list
from sluice.host import settings as host_settings
from sluice.host.allow_list import AllowList
from sluice.scripting.contract import refusal
from tests.fuzz.runner import Target

NAMES_OF_FILES = ("SLUICE_LOOPBACK_PASSWORD_FILE", "SLUICE_SIGNING_KEY_FILE")
"Settings whose values are opened, and therefore not made up here."

VARIABLES = [name for name in host_settings.Settings().as_variables() if name not in NAMES_OF_FILES]


def text_of(data: bytes) -> str:
    """As a text of Bolt: bytes that are not UTF-8 never get to a parser of texts."""
    return data.decode(errors="replace")


def clauses(data: bytes) -> None:
    """A clause becomes a CALL that can be sent, and is what its printed form is; what is none is not translated."""
    text = text_of(data)
    try:
        translation = translate(text, {"name": 1, "x": [None]})
    except ClauseError:
        assert recognise(text) is not None
        raise
    assert (translation is not None) == (recognise(text) is not None)
    if translation is not None:
        pack([translation.query, translation.parameters])
        statement = parse(text)
        assert statement is not None
        assert parse(to_text(statement)) == statement


def queries(data: bytes) -> None:
    """A transform's query text: it may go on or not, and folding reads it or leaves it alone."""
    text = text_of(data)
    reason = refusal(text)
    rng = Random(len(data))
    batch = [(text, {"id": number, "x": rng.choice((None, "a", [1], {"k": 2.5}))}) for number in range(8)]
    folder = Folder()
    for _ in range(3):
        folded = folder.fold([*batch, ("MERGE (n:N {id: $id}) SET n.x = $x", {"id": 1, "x": 2}), *batch])
        assert sorted(index for query in folded for index in query.indices) == list(range(17))
        list(folder.news())
    reader = MergeReader()
    reader.keys(batch)
    reader.news()
    assert isinstance(reason, str)


def settings(data: bytes) -> None:
    """`VARIABLE=value`: a setting that can be read is shown so that it is read again as the same."""
    name, _, value = text_of(data).partition("=")
    if name not in VARIABLES:
        return
    read = host_settings.load({name: value}, {})
    shown = read.as_variables()[name]
    if name != "SLUICE_LOOPBACK_PASSWORD" and shown:
        assert host_settings.load({name: shown}, {}).as_variables()[name] == shown


def uris(data: bytes) -> None:
    """Where a script is to be: allowed or not, never fetched here."""
    text = text_of(data)
    for allow in (allow_list.DEFAULT, "https://", "https://scripts.example.org/a/,file:///srv/t/"):
        reason = allow_list.refusal(text, AllowList.parse(allow))
        assert reason is None or reason
    allow_list.shown(text)


TARGETS = (
    Target("clauses", clauses, (ClauseError,)),
    Target("queries", queries),
    Target("settings", settings, (SettingError,)),
    Target("uris", uris),
)
