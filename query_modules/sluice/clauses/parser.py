"""
Text into a statement: the grammar of the stream clauses, by recursive descent.

A text is ours from its first words on; `_CLAUSES` lists them. Only then is it looked at further, and only then can it
be wrong: from there on it is a statement or a ClauseError.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from sluice.clauses.source import END, Source
from sluice.clauses.statements import (
    AlterStream,
    CreateStream,
    DropStream,
    Existing,
    ReloadTransform,
    SeekStream,
    ShowCreateStream,
    ShowStreams,
    StartAllStreams,
    StartStream,
    Statement,
    StopAllStreams,
    StopStream,
    TestStream,
)
from sluice.clauses.values import Config, Count, End, Relative, Target, Text, Timestamp
from sluice.cypher.lexer import BLANKS, Kind, name_end, skip

_MAYBE_OURS = re.compile(
    rf"[{BLANKS}]*(?:/[/*]|(?:CREATE|DROP|SHOW|START|STOP|TEST|ALTER|RELOAD|SEEK)"
    rf"(?:[{BLANKS}]*/[/*]|[{BLANKS}]+(?:STREAM|ALL|OR|CREATE|TRANSFORM)))",
    re.IGNORECASE | re.ASCII,
)
"Costs less than a microsecond, and lets only texts through that begin like a clause or have a comment there."

_BATCH_OPTIONS = {"INTERVAL": "BATCH_INTERVAL", "SIZE": "BATCH_SIZE"}
"An option's second word, where it is written in two -> the option in one word."

_TARGET = "EARLIEST, LATEST, TIMESTAMP, RELATIVE, {partition: offset} or a $parameter"

V = TypeVar("V")


def parse(text: str) -> Statement | None:
    """
    The stream clause that `text` is.

    Returns:
        None where the text is not a stream clause: it is to be left as it is.

    Raises:
        ClauseError: it begins like a stream clause and goes on like none.
    """
    found = _recognise(text)
    return None if found is None else found[0](Source(text, found[1]))


def is_clause(text: str) -> bool:
    """Whether `text` begins like a stream clause, right or wrong. Looks at its first words only."""
    return _recognise(text) is not None


def _recognise(text: str) -> tuple[Callable[[Source], Statement], int] | None:
    """How to parse the clause that `text` begins like, and from where on; None: it is no clause of ours."""
    if not _MAYBE_OURS.match(text):
        return None
    words: tuple[str, ...] = ()
    at = 0
    while words in _BEGINNINGS:
        word, at = _word(text, at)
        words += (word,)
    clause = _CLAUSES.get(words)
    if clause is _create_stream and text.startswith("=", skip(text, at)):
        return None  # CREATE stream = (a)-[:R]->(b): Cypher, with a path called stream
    return None if clause is None else (clause, at)


def _word(text: str, at: int) -> tuple[str, int]:
    """The next word in capitals, and where it ends. Empty where there is none, or one that no keyword can be."""
    start = skip(text, at)
    end = name_end(text, start)
    word = text[start:end]
    return (word.upper() if word.isascii() else ""), end


def _create_stream(source: Source) -> CreateStream:
    # A stream may be called `if`: only NOT after it makes it a keyword.
    if source.at_keywords("IF", "NOT"):
        source.keywords("IF", "NOT", "EXISTS")
        return _created(source, Existing.KEEP)
    return _created(source, Existing.REFUSE)


def _create_or_replace_stream(source: Source) -> CreateStream:
    if source.at_keywords("IF", "NOT"):
        raise source.error("a stream name", hint="OR REPLACE and IF NOT EXISTS exclude each other")
    return _created(source, Existing.REPLACE)


def _created(source: Source, existing: Existing) -> CreateStream:
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
            given[option] = source.count()
        else:
            source.end(" or ".join([*expected, END]))
            break
    interval, size = given.get("BATCH_INTERVAL"), given.get("BATCH_SIZE")
    return CreateStream(name, uri, topic, transform, interval, size, config, existing)


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


def _drop_stream(source: Source) -> DropStream:
    if_exists = source.at_keywords("IF", "EXISTS")
    if if_exists:
        source.keywords("IF", "EXISTS")
    name = source.name()
    source.end()
    return DropStream(name, if_exists)


def _alter_stream(source: Source) -> AlterStream:
    name = source.name()
    source.keywords("SET")
    batch: dict[str, Count] = {}
    texts: dict[str, Text] = {}
    config: Config | None = None
    while True:
        missing = [*_missing(batch), *(word for word in ("KAFKA", "TRANSFORM") if word not in texts)]
        expected = [*missing, *(() if config else ("CONFIG",))]
        if (option := _batch_option(source, batch)) is not None:
            batch[option] = source.count()
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
    return AlterStream(name, interval, size, texts.get("KAFKA"), texts.get("TRANSFORM"), config)


def _reload_transform(source: Source) -> ReloadTransform:
    source.keywords("OF", "STREAM")
    name = source.name()
    source.end()
    return ReloadTransform(name)


def _seek_stream(source: Source) -> SeekStream:
    name = source.name()
    source.keywords("TO")
    to = _target(source)
    dry_run = source.token.is_keyword("DRY")
    if dry_run:
        source.keywords("DRY", "RUN")
        source.end()
    else:
        source.end(f"DRY RUN or {END}")
    return SeekStream(name, to, dry_run)


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


def _show_streams(source: Source) -> ShowStreams:
    source.end()
    return ShowStreams()


def _show_create_stream(source: Source) -> ShowCreateStream:
    name = source.name()
    source.end()
    return ShowCreateStream(name)


def _start_stream(source: Source) -> StartStream:
    return StartStream(source.name(), _limit(source))


def _stop_stream(source: Source) -> StopStream:
    name = source.name()
    source.end()
    return StopStream(name)


def _start_all(source: Source) -> StartAllStreams:
    source.keywords("STREAMS")
    source.end()
    return StartAllStreams()


def _stop_all(source: Source) -> StopAllStreams:
    source.keywords("STREAMS")
    source.end()
    return StopAllStreams()


def _test_stream(source: Source) -> TestStream:
    return TestStream(source.name(), _limit(source))


def _limit(source: Source) -> Count | None:
    """`LIMIT n BATCHES` if it is there, up to the end."""
    if not source.token.is_keyword("LIMIT"):
        source.end(f"LIMIT or {END}")
        return None
    source.take()
    limit = source.count()
    source.keywords("BATCHES")
    source.end()
    return limit


_CLAUSES: dict[tuple[str, ...], Callable[[Source], Statement]] = {
    ("CREATE", "STREAM"): _create_stream,
    ("CREATE", "OR", "REPLACE", "STREAM"): _create_or_replace_stream,
    ("DROP", "STREAM"): _drop_stream,
    ("ALTER", "STREAM"): _alter_stream,
    ("RELOAD", "TRANSFORM"): _reload_transform,
    ("SEEK", "STREAM"): _seek_stream,
    ("SHOW", "STREAMS"): _show_streams,
    ("SHOW", "CREATE", "STREAM"): _show_create_stream,
    ("START", "STREAM"): _start_stream,
    ("START", "ALL"): _start_all,
    ("STOP", "STREAM"): _stop_stream,
    ("STOP", "ALL"): _stop_all,
    ("TEST", "STREAM"): _test_stream,
}
"The first words of a text that is ours -> what reads the rest."

_BEGINNINGS = {words[:length] for words in _CLAUSES for length in range(len(words))}
"What may become the first words of a text that is ours."
