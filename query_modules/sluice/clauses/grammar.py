"""The grammar of the stream clauses, by recursive descent: what may follow each clause's first words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sluice.clauses import statements
from sluice.clauses.source import END, Source
from sluice.clauses.values import Config, Count, End, Relative, Target, Text, Timestamp
from sluice.cypher.lexer import Kind

_BATCH_OPTIONS = {"INTERVAL": "BATCH_INTERVAL", "SIZE": "BATCH_SIZE"}
"An option's second word, where it is written in two -> the option in one word."

_TARGET = "EARLIEST, LATEST, TIMESTAMP, RELATIVE, {partition: offset}, {topic: {partition: offset}} or a $parameter"

V = TypeVar("V")


def create_stream(source: Source) -> statements.CreateStream:
    # A stream may be called `if`: only NOT after it makes it a keyword.
    if source.at_keywords("IF", "NOT"):
        source.keywords("IF", "NOT", "EXISTS")
        return _created(source, statements.Existing.KEEP)
    return _created(source, statements.Existing.REFUSE)


def _create_or_replace_stream(source: Source) -> statements.CreateStream:
    if source.at_keywords("IF", "NOT"):
        raise source.error("a stream name", hint="OR REPLACE and IF NOT EXISTS exclude each other")
    return _created(source, statements.Existing.REPLACE)


def _created(source: Source, existing: statements.Existing) -> statements.CreateStream:
    name = source.name()
    source.keywords("AS", "LOAD", "DATA", "KAFKA")
    uri = source.string()
    config = _with(source, "TOPIC", None)
    topic = source.string()
    config = _with(source, "TRANSFORM", config)
    transform = source.string()
    given: dict[str, Count] = {}
    while True:
        expected = [*(() if config else ("WITH CONFIG",)), *_missing(given)]
        if config is None and source.token.is_keyword("WITH"):
            source.keywords("WITH", "CONFIG")
            config = source.map()
        elif (option := _batch_option(source, given)) is not None:
            given[option] = source.count(of=option)
        else:
            source.end(" or ".join([*expected, END]))
            break
    interval, size = given.get("BATCH_INTERVAL"), given.get("BATCH_SIZE")
    return statements.CreateStream(name, uri, topic, transform, interval, size, config, existing)


def _with(source: Source, word: str, config: Config | None) -> Config | None:
    """`WITH word`; what CONFIG before it says, which may stand there as well."""
    source.keywords("WITH")
    if config is None and source.token.is_keyword("CONFIG"):
        source.take()
        config = source.map()
        source.keywords("WITH")
    source.keywords(word)
    return config


def _missing(given: dict[str, V]) -> list[str]:
    """The batch options that were not given yet."""
    return [option for option in _BATCH_OPTIONS.values() if option not in given]


def _batch_option(source: Source, given: dict[str, V]) -> str | None:
    """BATCH_INTERVAL or BATCH_SIZE, in one word or two, if it comes next and was not given yet."""
    missing = {word: option for word, option in _BATCH_OPTIONS.items() if option not in given}
    option = next((option for option in missing.values() if source.token.is_keyword(option)), None)
    if option is None and missing and source.token.is_keyword("BATCH"):
        source.take()
        option = next((missing[word] for word in missing if source.token.is_keyword(word)), None)
        if option is None:
            raise source.error(" or ".join(missing))
    if option is not None:
        source.take()
    return option


def _drop_stream(source: Source) -> statements.DropStream:
    if_exists = source.at_keywords("IF", "EXISTS")
    if if_exists:
        source.keywords("IF", "EXISTS")
    name = source.name()
    source.end()
    return statements.DropStream(name, if_exists)


def _alter_stream(source: Source) -> statements.AlterStream:
    name = source.name()
    source.keywords("SET")
    batch: dict[str, Count] = {}
    texts: dict[str, Text] = {}
    config: Config | None = None
    while True:
        missing = [*_missing(batch), *(word for word in ("KAFKA", "TRANSFORM") if word not in texts)]
        expected = [*missing, *(() if config else ("CONFIG",))]
        if (option := _batch_option(source, batch)) is not None:
            batch[option] = source.count(of=option)
        elif config is None and source.token.is_keyword("CONFIG"):
            source.take()
            config = source.map()
        elif word := next((word for word in missing if source.token.is_keyword(word)), None):
            source.take()
            texts[word] = source.string()
        else:
            kept = source.token.is_keyword("TOPIC")
            hint = "a stream keeps its topic; CREATE OR REPLACE STREAM makes another stream" if kept else ""
            raise source.error(" or ".join(expected) or END, hint=hint)
        if source.token.text != ",":
            source.end(f", or {END}")
            break
        source.take()
    interval, size = batch.get("BATCH_INTERVAL"), batch.get("BATCH_SIZE")
    return statements.AlterStream(name, interval, size, texts.get("KAFKA"), texts.get("TRANSFORM"), config)


def _seek_stream(source: Source) -> statements.SeekStream:
    name = source.name()
    source.keywords("TO")
    to = _target(source)
    dry_run = source.token.is_keyword("DRY")
    if dry_run:
        source.keywords("DRY", "RUN")
        source.end()
    else:
        source.end(f"DRY RUN or {END}")
    return statements.SeekStream(name, to, dry_run)


def _target(source: Source) -> Target:
    for end in End:
        if source.token.is_keyword(end.name):
            source.take()
            return end
    if source.token.is_keyword("TIMESTAMP"):
        source.take()
        if source.token.kind is Kind.STRING:
            return Timestamp(source.string())
        return Timestamp(source.count("ISO 8601 in quotes, milliseconds since 1970 or a $parameter"))
    if source.token.is_keyword("RELATIVE"):
        source.take()
        return Relative(source.signed())
    if source.token.kind is Kind.PARAMETER:
        return source.parameter(_TARGET)
    return source.offsets(_TARGET)


def _limit(source: Source) -> Count | None:
    """`LIMIT n BATCHES` if it is there, up to the end."""
    if not source.token.is_keyword("LIMIT"):
        source.end(f"LIMIT or {END}")
        return None
    source.take()
    limit = source.count(of="LIMIT")
    source.keywords("BATCHES")
    source.end()
    return limit


def _only(kind: Callable[[], statements.Command], *words: str) -> Callable[[Source], statements.Command]:
    """Reads `words` and nothing else."""

    def read(source: Source) -> statements.Command:
        source.keywords(*words)
        source.end()
        return kind()

    return read


def _named(kind: Callable[[Text], statements.Command], *words: str) -> Callable[[Source], statements.Command]:
    """Reads `words`, a stream's name and nothing else."""

    def read(source: Source) -> statements.Command:
        source.keywords(*words)
        name = source.name()
        source.end()
        return kind(name)

    return read


CLAUSES: dict[tuple[str, ...], Callable[[Source], statements.Command]] = {
    ("CREATE", "STREAM"): create_stream,
    ("CREATE", "OR", "REPLACE", "STREAM"): _create_or_replace_stream,
    ("DROP", "STREAM"): _drop_stream,
    ("ALTER", "STREAM"): _alter_stream,
    ("RELOAD", "TRANSFORM"): _named(statements.ReloadTransform, "OF", "STREAM"),
    ("SEEK", "STREAM"): _seek_stream,
    ("SHOW", "STREAMS"): _only(statements.ShowStreams),
    ("SHOW", "CREATE", "STREAM"): _named(statements.ShowCreateStream),
    ("START", "STREAM"): lambda source: statements.StartStream(source.name(), _limit(source)),
    ("START", "ALL"): _only(statements.StartAllStreams, "STREAMS"),
    ("STOP", "STREAM"): _named(statements.StopStream),
    ("STOP", "ALL"): _only(statements.StopAllStreams, "STREAMS"),
    ("TEST", "STREAM"): lambda source: statements.TestStream(source.name(), _limit(source)),
}
"The first words of a text that is ours -> what reads the rest."
