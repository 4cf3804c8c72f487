"""The options of a transform: checked with the config, and handed to the script once, before its first batch."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from sluice.clauses import parse, to_text
from sluice.errors import ScriptError, SettingError
from sluice.host.settings import Settings
from sluice.procedures import define
from sluice.procedures.look import statement_of
from sluice.scripting.process import TransformProcess
from sluice.values.configuration import DEFAULT, Configuration, configuration_of, decode, decode_changed
from sluice.values.model import StreamSpec
from sluice.values.options import MAX_BYTES, MAX_NESTING, options_of
from tests.unit.test_transform_process import batch, transform

SETTINGS = Settings(script_timeout=60.0, transform_timeout=30.0)

GIVEN = {"label": "Person", "keys": ["id", 2, {"a": None}], "strict": True, "rate": 0.5}

CONFIGURED = """
calls = []

def configure(options):
    calls.append(options)

def stream(batch):
    return [("RETURN $calls", {"calls": calls}) for _ in batch]
"""

PICKY = """
OPTIONS = {"label": str, "limit": int}

def configure(options):
    for name, value in options.items():
        if name not in OPTIONS:
            raise ValueError(f"there is no option {name}; there are {', '.join(OPTIONS)}")
        if not isinstance(value, OPTIONS[name]):
            raise TypeError(f"{name} must be {OPTIONS[name].__name__}, got {value!r}")

def stream(batch):
    return []
"""


def calls_of(source: str, given: dict[str, Any] | None) -> list[Any]:
    """What a script that was loaded once has been configured with by its second batch."""
    with TransformProcess(transform(source), SETTINGS, config=Configuration(transform=options_of(given))) as process:
        process.rows(batch(b"1"))
        calls: list[Any] = process.rows(batch(b"2"))[0][1]["calls"]
        return calls


def refusal_of(source: str, given: dict[str, Any] | None) -> str:
    with (
        pytest.raises(ScriptError) as caught,
        TransformProcess(transform(source), SETTINGS, config=Configuration(transform=options_of(given))),
    ):
        pass
    return str(caught.value)


def test_a_script_gets_its_options_once_before_its_first_batch():
    assert calls_of(CONFIGURED, GIVEN) == [GIVEN]


def test_a_script_without_options_is_configured_with_an_empty_map():
    assert calls_of(CONFIGURED, None) == [{}]


@pytest.mark.parametrize(
    ("source", "given", "message"),
    [
        pytest.param(
            "def stream(batch): return []",
            {"b": 1, "a": 2},
            "it takes no options: it defines no function configure(options), and was given a, b",
            id="no configure",
        ),
        pytest.param(
            "configure = 7\ndef stream(batch): return []", {}, "its configure is not callable", id="no function"
        ),
        pytest.param(
            PICKY,
            {"lable": "x"},
            "configure(options) refuses them: there is no option lable; there are label, limit (line 7)",
            id="unknown",
        ),
        pytest.param(
            PICKY, {"limit": "x"}, "configure(options) refuses them: limit must be int, got 'x' (line 9)", id="type"
        ),
        pytest.param(
            "def configure(options): options['a']\ndef stream(batch): return []",
            {},
            "configure(options) raised KeyError: 'a' (line 1)",
            id="a fault",
        ),
        pytest.param(
            "def configure(options):\n    raise ValueError('a\\nb')\ndef stream(batch): return []",
            {},
            "configure(options) refuses them: a b (line 2)",
            id="one line",
        ),
        pytest.param(
            "def configure(options): raise SystemExit\ndef stream(batch): return []",
            {},
            "configure(options) raised SystemExit (line 1)",
            id="an exit",
        ),
    ],
)
def test_a_script_refuses_its_options_in_one_line(source: str, given: dict[str, Any], message: str):
    assert refusal_of(source, given) == f"bad transform /srv/t.py: {message}"


def test_options_are_a_part_of_the_config():
    configuration = configuration_of("s", {"on_error": "skip", "transform": GIVEN})
    assert configuration.as_map() == {"on_error": "skip", "transform": GIVEN}
    assert decode("s", configuration.encode()) == configuration
    assert configuration_of("s", {"transform": {}}) == configuration_of("s", {"transform": None}) == DEFAULT


def test_a_change_of_options_replaces_them_as_a_whole():
    held = configuration_of("s", {"on_error": "skip", "transform": GIVEN}).encode()
    assert decode_changed("s", held, {"transform": {"a": 1}}).as_map() == {"on_error": "skip", "transform": {"a": 1}}
    assert decode_changed("s", held, {"transform": None}).as_map() == {"on_error": "skip"}
    assert decode_changed("s", held, {"on_error": None}).as_map() == {"transform": GIVEN}


def deep(levels: int) -> Any:
    return {"a": deep(levels - 1)} if levels else 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param("secret", "transform must be a map of options for the script, got a text", id="a text"),
        pytest.param(7, "transform must be a map of options for the script, got a number", id="a number"),
        pytest.param({"": 1}, "transform has a key that is empty, or no text", id="an empty key"),
        pytest.param({"a": [1, b"x"]}, "transform.a[1] is a value of type bytes: options are texts", id="bytes"),
        pytest.param({"a": datetime.date.min}, "transform.a is a value of type date: options are texts", id="a date"),
        pytest.param({"a": float("nan")}, "transform.a must be a finite number of 64 bits", id="not a number"),
        pytest.param({"a": 2**63}, "transform.a must be a finite number of 64 bits", id="a huge number"),
        pytest.param({"a": "\ud800"}, "transform.a has half a surrogate pair", id="half a character"),
        pytest.param(deep(MAX_NESTING + 1), "options may be nested 16 levels deep", id="deep"),
        pytest.param({"a": "x" * MAX_BYTES}, f"bytes of options as JSON; {MAX_BYTES} is the maximum", id="large"),
    ],
)
def test_what_no_option_can_be_is_refused(given: Any, message: str):
    with pytest.raises(SettingError) as caught:
        configuration_of("people", {"transform": given})
    assert str(caught.value).startswith("Kafka stream people, config: transform")
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_deepest_options_can_be_written_as_a_clause():
    config = configuration_of("s", {"transform": {**deep(MAX_NESTING), "text": "it's", "list": [[], {}]}})
    statement = statement_of(StreamSpec("u", "s", "h:1", "t", transform(""), config=config))
    assert parse(to_text(statement)) == statement
    assert 'text: "it\'s"' in to_text(statement)


def test_an_altered_stream_keeps_its_options_for_another_script():
    held = configuration_of("s", {"transform": GIVEN}).encode()
    spec = StreamSpec("u", "s", "h:1", "t", transform(""))
    assert define._altered(spec, held, {"transform": "/u.py"}).config == Configuration(transform=options_of(GIVEN))
