"""What parameters may hold, and what is sent for them."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.bolt.values import Structure
from sluice.clauses import translate
from sluice.errors import SettingError

CREATE = "CREATE STREAM s AS LOAD DATA KAFKA 'u' WITH TOPIC 't' WITH TRANSFORM 'f' "


def ours(text: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters that the translation adds."""
    translation = translate(text, parameters)
    assert translation is not None
    assert {name: translation.parameters[name] for name in parameters} == parameters
    return {name: value for name, value in translation.parameters.items() if name not in parameters}


@pytest.mark.parametrize(
    ("text", "parameter", "sent"),
    [
        ("START STREAM s LIMIT $p BATCHES", 3.0, {"limit_batches": 3}),
        ("TEST STREAM s LIMIT $p BATCHES", -0.0, {"limit_batches": 0}),
        ("ALTER STREAM s SET BATCH_SIZE $p", 10.0, {"changes": {"batch_size": 10}}),
        ("ALTER STREAM s SET CONFIG $p", {"retries": 3.0}, {"changes": {"config": {"retries": 3}}}),
        ("ALTER STREAM s SET CONFIG {retries: $p}", 3.0, {"changes": {"config": {"retries": 3}}}),
        (
            "ALTER STREAM s SET CONFIG {transform: $p}",
            {"a": [1.0, {"b": 2.0}], "c": 0.5},
            {"changes": {"config": {"transform": {"a": [1, {"b": 2}], "c": 0.5}}}},
        ),
        ("SEEK STREAM s TO $p", 1.7e12, {"to": 1_700_000_000_000}),
        ("SEEK STREAM s TO $p", {"0": 5.0, "1": 6}, {"to": {"0": 5, "1": 6}}),
        ("SEEK STREAM s TO $p", {"relative": -5.0}, {"to": {"relative": -5}}),
        ("SEEK STREAM s TO TIMESTAMP $p", 1.7e12, {"to": {"timestamp": 1_700_000_000_000}}),
        ("SEEK STREAM s TO RELATIVE $p", -5.0, {"to": {"relative": -5}}),
        ("SEEK STREAM s TO {0: $p}", 5.0, {"to": {"0": 5}}),
    ],
)
def test_whole_floats_are_integers(text: str, parameter: Any, sent: dict[str, Any]) -> None:
    added = ours(text, {"p": parameter})
    assert added == {"name": "s", **sent}
    assert repr(added) == repr({"name": "s", **sent})  # 3 and 3.0 are equal


@pytest.mark.parametrize(
    ("text", "parameter"),
    [
        ("START STREAM s LIMIT $p BATCHES", 3),
        ("START STREAM $p", "s"),
        (CREATE + "WITH CONFIG $p", {"retries": 3, "queued.max.messages.kbytes": 1.5, "x": [1, {"y": 0.5}]}),
        (CREATE + "WITH CONFIG $p", None),
        ("ALTER STREAM s SET BATCH_SIZE $p", None),
        ("ALTER STREAM s SET CONFIG {retries: $p}", None),
        ("SEEK STREAM s TO $p", "earliest"),
        ("SEEK STREAM s TO $p", -1000),
        ("SEEK STREAM s TO $p", {"0": 5}),
        ("SEEK STREAM s TO TIMESTAMP $p", "2024-11-22T10:00:00Z"),
        ("SEEK STREAM s TO {0: $p}", 5),
    ],
)
def test_what_fits_stays_the_clients_parameter(text: str, parameter: Any) -> None:
    translation = translate(text, {"p": parameter})
    assert translation is not None
    assert "$`p`" in translation.query


@pytest.mark.parametrize(
    ("text", "parameter", "error"),
    [
        ("START STREAM s LIMIT $p BATCHES", None, "LIMIT must be an integer, got null"),
        ("TEST STREAM s LIMIT $p BATCHES", "x", "LIMIT must be an integer, got 'x'"),
        ("TEST STREAM s LIMIT $p BATCHES", True, "LIMIT must be an integer, got true"),
        ("TEST STREAM s LIMIT $p BATCHES", 1.5, "LIMIT must be an integer, got 1.5"),
        ("TEST STREAM s LIMIT $p BATCHES", float("inf"), "LIMIT must be an integer, got inf"),
        ("TEST STREAM s LIMIT $p BATCHES", 2.0**63, "LIMIT must be an integer, got 9.223372036854776e+18"),
        ("TEST STREAM s LIMIT $p BATCHES", -3, "LIMIT must be a positive integer, got -3"),
        (CREATE + "BATCH_SIZE $p", None, "BATCH_SIZE must be an integer, got null"),
        (CREATE + "BATCH_INTERVAL $p", "10s", "BATCH_INTERVAL must be an integer, got '10s'"),
        (CREATE + "WITH CONFIG $p", "secret", "CONFIG must be a map, got a string"),
        (CREATE.replace("'u'", "$p"), 5, "KAFKA must be a string, got 5"),
        (CREATE.replace("'t'", "$p"), ["t"], "TOPIC must be a string, got a list"),
        (CREATE.replace("'f'", "$p"), {}, "TRANSFORM must be a string, got a map"),
        ("STOP STREAM $p", 5, "the stream's name must be a string, got 5"),
        ("STOP STREAM $p", None, "the stream's name must be a string, got null"),
        ("SEEK STREAM s TO $p", 1.5, "the target of SEEK must be a string, an integer or a map, got 1.5"),
        ("SEEK STREAM s TO $p", None, "the target of SEEK must be a string, an integer or a map, got null"),
        ("SEEK STREAM s TO RELATIVE $p", "x", "RELATIVE must be an integer, got 'x'"),
        ("SEEK STREAM s TO {1: $p}", -5, "the offset of partition 1 must be a positive integer, got -5"),
        (
            "SEEK STREAM s TO TIMESTAMP $p",
            Structure(0x49, [1, 2, 3]),
            "TIMESTAMP must be ISO 8601 in a string, or milliseconds since 1970, got a value of another type",
        ),
    ],
)
def test_wrong_types_are_refused_in_the_clauses_words(text: str, parameter: Any, error: str) -> None:
    with pytest.raises(SettingError) as caught:
        translate(text, {"p": parameter})
    assert str(caught.value) == error


def test_a_parameter_that_is_missing_is_left_for_the_server_to_report() -> None:
    translation = translate("START STREAM $name LIMIT $n BATCHES", {})
    assert translation is not None
    assert (translation.query, translation.parameters) == ("CALL streams.start($`name`, $`n`)", {})
