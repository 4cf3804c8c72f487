"""
A table of inputs that are wrong, generated: what a user or an administrator may mistype. Holds no test.

Each row is a statement with parameters; `stream` is a stream that is there, stopped, and `new` is none yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

CREATE = "CALL streams.create($name, $uri, $topic, $transform, $interval, $size, $config)"


@dataclass(frozen=True)
class Place:
    """What right inputs are made of."""

    stream: str
    "A stream that is there and does not run."
    new: str
    "A name that is free."
    uri: str
    topic: str
    transform: str
    folder: str
    "Where scripts may be."


@dataclass(frozen=True)
class BadInput:
    """A statement that has to fail."""

    kind: str
    statement: str
    parameters: dict[str, Any] = field(default_factory=dict)


TEXTS: list[Any] = ["", " ", "\t", "a\nb", "a\rb", "a\x1bb", "a\u2028b", "a\u200bb", "\ud7ff\u0085"]
"""
No name, address or path has these: empty, or not printable. A NUL is not among them: Memgraph cuts a text there before
a procedure sees it.
"""

NOT_TEXT: list[Any] = [1, 1.5, True, [], ["a"], {}, {"a": 1}, None]

COUNTS: list[Any] = [0, -1, 2**31, -(2**31), 2**62, 1.5, True, "1", "x", [], {}]

LIMITS: list[Any] = [0, -1, 2**31, 1.5, "1", [], True]

NO_MAP: list[Any] = ["text", 1, 1.5, True, []]

NO_CHOICE: list[Any] = ["no such choice", -1, 1.5, [], {"a": 1}, "\n"]

OWN = ["dead_letter_topic", "fold", "isolate", "park_limit", "on_error", "on_gap", "source", "start"]

NUMBERS = ["fetch.min.bytes", "fetch.wait.max.ms", "socket.timeout.ms", "metadata.max.age.ms", "session.timeout.ms"]

SECRETS = ["sasl.password", "ssl.key.password"]

UNKNOWN = ["made.up.property", "no.such.thing", "Fetch.Min.Bytes", "fetch_min_bytes", "on-error", "ON_ERROR", "", " "]


def bad_inputs(place: Place) -> Iterator[BadInput]:
    """All of them."""
    yield from _creates(place)
    yield from _configs(place)
    yield from _verbs(place)
    yield from _seeks(place)
    yield from _scripts(place)
    yield from _messages(place)


def _create(place: Place, kind: str, **wrong: Any) -> BadInput:
    right = {
        "name": place.new, "uri": place.uri, "topic": place.topic, "transform": place.transform,
        "interval": 100, "size": 10, "config": None,
    }  # fmt: skip
    return BadInput(kind, CREATE, {**right, **wrong})


def _creates(place: Place) -> Iterator[BadInput]:
    for argument in ("name", "uri", "topic", "transform"):
        for value in [*TEXTS, *NOT_TEXT]:
            yield _create(place, f"create {argument}", **{argument: value})
    for argument in ("interval", "size"):
        for value in COUNTS:
            yield _create(place, f"create {argument}", **{argument: value})
    yield _create(place, "create name", name=place.stream)
    for uri in ("user:secret@127.0.0.1:9092", "kafka://127.0.0.1:9092", "http://127.0.0.1:9092", "127.0.0.1:notaport"):
        yield _create(place, "create uri", uri=uri)
    for topic in ("no/such", "a b", "a:b", "t" * 250, "missing-topic", "..", "a,b"):
        yield _create(place, "create topic", topic=topic)


def _configs(place: Place) -> Iterator[BadInput]:
    def config(key: str, value: Any) -> BadInput:
        return _create(place, f"config {key!r}", config={key: value})

    for value in NO_MAP:
        yield _create(place, "config", config=value)
    for key in UNKNOWN:
        for value in ("x", 1, True):
            yield config(key, value)
    for key in OWN:
        for value in NO_CHOICE:
            if (key, value) not in (("dead_letter_topic", "no such choice"), ("start", -1)):
                yield config(key, value)
    yield config("on_error", "dead_letter")
    yield _create(place, "config", config={"on_error": "dead_letter", "dead_letter_topic": place.topic})
    yield _create(place, "config", config={"on_error": "dead_letter", "dead_letter_topic": "missing-letters"})
    for key in NUMBERS:
        for value in ("x", "", -5, 2**62, "1.5", [1], "env:HOME", "file:/etc/hostname"):
            yield config(key, value)
    for key in SECRETS:
        for value in (
            "plain", "env:", "env:NO_SUCH_VARIABLE", "env:HOME", "file:", "file:relative", "file:/etc/hostname",
            "file:/proc/self/environ", "file:/no/such/file", 7, True,
        ):  # fmt: skip
            yield config(key, value)
    for key, value in (
        ("security.protocol", "TLS"), ("security.protocol", 1), ("sasl.mechanism", "GSSAPI"), ("sasl.mechanism", "NO"),
        ("group.id", "mine"), ("bootstrap.servers", "other:9092"), ("isolation.level", "dirty"),
        ("enable.auto.commit", True), ("auto.offset.reset", "latest"), ("client.id", ""),
        ("ssl.ca.location", "relative"),
    ):  # fmt: skip
        yield config(key, value)


def _verbs(place: Place) -> Iterator[BadInput]:
    for verb, rest in (
        ("start", ""), ("`stop`", ""), ("drop", ""), ("test", "YIELD query"), ("info", "YIELD name"),
        ("errors", "YIELD action"), ("batches", "YIELD time"), ("parked", "YIELD offset"), ("retry", "YIELD messages"),
        ("show_create", "YIELD statement"), ("test_report", "YIELD query"), ("reload_transform", "YIELD *"),
    ):  # fmt: skip
        for name in ("nowhere", "", "Nowhere\n", place.stream.upper()):
            yield BadInput(f"{verb} of none", f"CALL streams.{verb}($name) {rest}", {"name": name})
        for wrong in NOT_TEXT[:-1]:
            yield BadInput(f"{verb} of no text", f"CALL streams.{verb}($name) {rest}", {"name": wrong})
    for verb, rest in (
        ("test", "YIELD query"),
        ("errors", "YIELD action"),
        ("batches", "YIELD time"),
        ("parked", "YIELD offset"),
    ):
        for limit in LIMITS:
            yield BadInput(
                f"{verb} limit", f"CALL streams.{verb}($name, $limit) {rest}", {"name": place.stream, "limit": limit}
            )
    for limit in LIMITS:
        yield BadInput("start limit", "CALL streams.start($name, $limit)", {"name": place.stream, "limit": limit})
    for partition, offset in ((0, 99), (99, 0), (-1, 0), (0, -1), ("0", 0), (0, "0"), (1.5, 1)):
        yield BadInput(
            "retry of none",
            "CALL streams.retry($name, null, $partition, $offset) YIELD messages",
            {"name": place.stream, "partition": partition, "offset": offset},
        )
    for changes in (
        {"no_such_key": 1}, {"name": "other"}, {"topic": "other"}, {"batch_size": 0}, {"batch_size": "x"},
        {"batch_interval": -1}, {"batch_interval": 1.5}, {"uri": ""}, {"uri": 5}, {"transform": ""}, {"transform": 5},
        {"config": "x"}, {"config": {"made.up": 1}}, {"config": {"start": "latest"}}, {}, 5, "x",
    ):  # fmt: skip
        yield BadInput("alter", "CALL streams.alter($name, $changes)", {"name": place.stream, "changes": changes})
    for statement in (
        "CALL streams.create('a', 'b')", "CALL streams.start()", "CALL streams.no_such_procedure()",
        "CALL streams.show() YIELD no_such_column RETURN no_such_column", "CALL streams.start('a', 1, 2)",
        "CALL streams.seek('nowhere') YIELD *", "CALL streams.settings(1) YIELD name",
        "CALL streams.info(1, 2) YIELD name",
    ):  # fmt: skip
        yield BadInput("arguments", statement)


def _seeks(place: Place) -> Iterator[BadInput]:
    targets: tuple[Any, ...] = (
        "earlier", "", "2026-13-01", "2026-02-30T00:00:00", "yesterday", "0:1", "{}", "\n", 1.5, True, [], {},
        {"no_such": 1}, {"relative": "x"}, {"relative": 1.5}, {"timestamp": "x"}, {"timestamp": -5},
        {"offsets": {}}, {"offsets": {"x": 1}}, {"offsets": {"0": -7}}, {"offsets": {"0": "x"}}, {"offsets": {"99": 1}},
        {"offsets": [1]}, {"relative": 1, "timestamp": 1}, {"relative": 1e300},
    )  # fmt: skip
    for target in targets:
        yield BadInput(
            f"seek {target!r}", "CALL streams.seek($name, $target) YIELD *", {"name": place.stream, "target": target}
        )


def _scripts(place: Place) -> Iterator[BadInput]:
    uris = (
        "ftp://there/a.py", "gopher://there/a.py", "file://there/a.py", "http://there.example/a.py",
        "https://there.example/a.py", "/etc/passwd", "file:///proc/self/environ", "/dev/zero", "relative.py", "a.py",
        f"{place.folder}/missing.py", f"{place.folder}", f"{place.folder}/../escaped.py", "data:text/plain,a.py",
        "http://", "http://127.0.0.1:1/a.py", "http://[::1/a.py", "file://", "file:", "://", "http://127.0.0.1:notaport/a.py",
        "s3://bucket/a.py", "C:\\a.py", "~/a.py", "$HOME/a.py",
    )  # fmt: skip
    for uri in uris:
        yield _create(place, f"transform {uri}", transform=uri)
        yield BadInput(f"try_transform {uri}", "CALL streams.try_transform($uri, ['1']) YIELD query", {"uri": uri})
        yield BadInput(
            f"alter to {uri}",
            "CALL streams.alter($name, {transform: $uri})",
            {"name": place.stream, "uri": uri},
        )


def _messages(place: Place) -> Iterator[BadInput]:
    wrong: tuple[Any, ...] = (
        None, "1", 1, {}, True, [1], [1.5], [True], [["1"]], [{"no_such": 1}], [{"value": 1}], [{"headers": 1}],
        [{"value": "a", "partition": "x"}], [{"value": "a", "offset": 1.5}], [{"value": "a", "timestamp": "x"}],
        [{"key": []}], [{"topic": 5}], ["base64:###"], [{"value": "base64:#"}],
    )  # fmt: skip
    for messages in wrong:
        yield BadInput(
            f"messages {messages!r}",
            "CALL streams.try_transform($uri, $messages) YIELD query",
            {"uri": place.transform, "messages": messages},
        )
