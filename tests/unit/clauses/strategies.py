"""Clauses as people may type them: a statement, and one of the many texts that mean it."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from sluice import clauses
from sluice.clauses import Parameter
from sluice.cypher.lexer import name_end

BLANK_CHARACTERS = [
    *"\t\n\v\f\r\x1c\x1d\x1e\x1f \xa0\u1680\u180e\u2028\u2029\u202f\u205f\u3000",
    *map(chr, range(0x2000, 0x200B)),
]
COMMENTS = [
    "/**/",
    "/* START STREAM s; */",
    "/* two\nlines // */",
    "/* it's \" ` $x */",
    "// SHOW STREAMS\n",
    "// /* \r\n",
    "//\r",
]
KEYWORDS_AS_NAMES = [
    "all",
    "as",
    "batch",
    "batches",
    "create",
    "data",
    "drop",
    "dry",
    "earliest",
    "exists",
    "if",
    "kafka",
    "limit",
    "load",
    "not",
    "or",
    "set",
    "show",
    "start",
    "stop",
    "stream",
    "streams",
    "test",
    "timestamp",
    "to",
    "true",
    "with",
]

plain_names = st.one_of(
    st.sampled_from(KEYWORDS_AS_NAMES),
    st.sampled_from(["s", "_", "mystream", "a$b", "öl", "ſTREAM", "STREAM_1", "Ж", "名前", "x\u0301", "‿"]),
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_$]{0,10}", fullmatch=True),
)
names = st.one_of(plain_names, st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12))
strings = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
counts = st.one_of(st.integers(0, 100_000), st.sampled_from([0, 2**31, 2**53, 2**63 - 1]))
signed = st.builds(lambda sign, count: sign * count, st.sampled_from([1, -1]), counts)
parameters = st.builds(Parameter, st.one_of(names, st.integers(0, 999).map(str)))
keys = st.one_of(st.sampled_from(["on_error", "fetch.min.bytes", "sasl.password"]), names)
scalars = st.one_of(strings, signed, st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none())


def value_or_parameter(values: st.SearchStrategy) -> st.SearchStrategy:
    return st.one_of(values, values, parameters)


items = st.recursive(
    value_or_parameter(scalars),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda found: clauses.Items(tuple(found))),
        st.dictionaries(keys, inner, max_size=3).map(clauses.Map.of),
    ),
    max_leaves=6,
)
maps = st.dictionaries(keys, items, max_size=4).map(clauses.Map.of)
configs = st.one_of(maps, maps, parameters)
offsets = st.dictionaries(counts, value_or_parameter(counts), min_size=1, max_size=3).map(
    lambda entries: clauses.Offsets(tuple(entries.items()))
)
topics = keys.filter(lambda key: not (key.isascii() and key.isdecimal()))
targets = st.one_of(
    st.sampled_from(clauses.End),
    st.builds(clauses.Timestamp, value_or_parameter(st.one_of(strings, counts))),
    st.builds(clauses.Relative, value_or_parameter(signed)),
    offsets,
    st.dictionaries(topics, offsets, min_size=1, max_size=3).map(
        lambda entries: clauses.OffsetsByTopic(tuple(entries.items()))
    ),
    parameters,
)


@st.composite
def alterations(draw: st.DrawFn) -> clauses.AlterStream:
    changes = {
        "batch_interval_ms": value_or_parameter(counts),
        "batch_size": value_or_parameter(counts),
        "uri": value_or_parameter(strings),
        "transform": value_or_parameter(strings),
        "config": configs,
    }
    chosen = draw(st.sets(st.sampled_from(sorted(changes)), min_size=1))
    return clauses.AlterStream(draw(value_or_parameter(names)), **{key: draw(changes[key]) for key in sorted(chosen)})


statements = st.one_of(
    st.builds(
        clauses.CreateStream,
        name=value_or_parameter(names),
        uri=value_or_parameter(strings),
        topic=value_or_parameter(strings),
        transform=value_or_parameter(strings),
        batch_interval_ms=st.none() | value_or_parameter(counts),
        batch_size=st.none() | value_or_parameter(counts),
        config=st.none() | configs,
        existing=st.sampled_from(clauses.Existing),
    ),
    st.builds(clauses.DropStream, value_or_parameter(names), st.booleans()),
    alterations(),
    st.builds(clauses.ReloadTransform, value_or_parameter(names)),
    st.builds(clauses.SeekStream, value_or_parameter(names), targets, st.booleans()),
    st.just(clauses.ShowStreams()),
    st.builds(clauses.ShowCreateStream, value_or_parameter(names)),
    st.builds(clauses.StartStream, value_or_parameter(names), st.none() | value_or_parameter(counts)),
    st.builds(clauses.StopStream, value_or_parameter(names)),
    st.just(clauses.StartAllStreams()),
    st.just(clauses.StopAllStreams()),
    st.builds(clauses.TestStream, value_or_parameter(names), st.none() | value_or_parameter(counts)),
)


@st.composite
def texts_of(draw: st.DrawFn, statement: clauses.Statement) -> str:
    """Any text that means `statement`."""
    lexemes = draw(_lexemes(statement))
    if draw(st.booleans()):
        lexemes.append(";")
    text = draw(_gaps(0))
    for before, lexeme in zip(["", *lexemes], lexemes, strict=False):
        sticks = before and _ends_like_a_name(before) and _begins_like_a_name(lexeme)
        # Two backticks in a row would be one backtick inside a name.
        sticks = sticks or (before.endswith("`") and lexeme.startswith("`"))
        text += draw(_gaps(1 if sticks else 0)) + lexeme
    return text + draw(_gaps(0))


@st.composite
def statements_and_texts(draw: st.DrawFn) -> tuple[clauses.Statement, str]:
    statement = draw(statements)
    return statement, draw(texts_of(statement))


def _gaps(at_least: int) -> st.SearchStrategy[str]:
    gap = st.sampled_from(BLANK_CHARACTERS) | st.just(" ") | st.sampled_from(COMMENTS)
    return st.lists(gap, min_size=at_least, max_size=3).map("".join)


def _begins_like_a_name(lexeme: str) -> bool:
    return lexeme[0] == "$" or lexeme[0].isdecimal() or name_end(lexeme, 0) > 0


def _ends_like_a_name(lexeme: str) -> bool:
    return lexeme[-1] not in "'\"`;{}[]:,+-"


class Keyword(str):
    """A lexeme that may be written in any case."""


def _words(text: str) -> list[str]:
    return [Keyword(word) for word in text.split()]


@st.composite
def _lexemes(draw: st.DrawFn, statement: clauses.Statement) -> list[str]:
    lexemes: list[str] = []
    match statement:
        case clauses.CreateStream():
            lexemes += draw(_creation(statement))
        case clauses.AlterStream():
            lexemes += draw(_alteration(statement))
        case clauses.SeekStream(name, to, dry_run):
            lexemes += [*_words("SEEK STREAM"), draw(_name(name)), Keyword("TO"), *draw(_target(to))]
            lexemes += _words("DRY RUN") if dry_run else []
        case clauses.DropStream(name, if_exists):
            lexemes += [*_words("DROP STREAM IF EXISTS" if if_exists else "DROP STREAM"), draw(_name(name))]
        case clauses.ReloadTransform(name):
            lexemes += [*_words("RELOAD TRANSFORM OF STREAM"), draw(_name(name))]
        case clauses.ShowCreateStream(name):
            lexemes += [*_words("SHOW CREATE STREAM"), draw(_name(name))]
        case clauses.StopStream(name):
            lexemes += [*_words("STOP STREAM"), draw(_name(name))]
        case clauses.StartStream(name, limit) | clauses.TestStream(name, limit):
            verb = "START" if isinstance(statement, clauses.StartStream) else "TEST"
            lexemes += [*_words(f"{verb} STREAM"), draw(_name(name))]
            if limit is not None:
                lexemes += [Keyword("LIMIT"), draw(_count(limit)), Keyword("BATCHES")]
        case clauses.ShowStreams():
            lexemes += _words("SHOW STREAMS")
        case clauses.StartAllStreams():
            lexemes += _words("START ALL STREAMS")
        case clauses.StopAllStreams():
            lexemes += _words("STOP ALL STREAMS")
    return [draw(_any_case(lexeme)) if isinstance(lexeme, Keyword) else lexeme for lexeme in lexemes]


_HEADS = {
    clauses.Existing.REFUSE: "CREATE STREAM",
    clauses.Existing.KEEP: "CREATE STREAM IF NOT EXISTS",
    clauses.Existing.REPLACE: "CREATE OR REPLACE STREAM",
}


@st.composite
def _creation(draw: st.DrawFn, statement: clauses.CreateStream) -> list[str]:
    lexemes = [*_words(_HEADS[statement.existing]), draw(_name(statement.name)), *_words("AS LOAD DATA KAFKA")]
    lexemes.append(draw(_string(statement.uri)))
    # The config may stand before WITH TOPIC, before WITH TRANSFORM, and anywhere after.
    config = [] if statement.config is None else [*_words("WITH CONFIG"), *draw(_map(statement.config))]
    options = [
        _batch_option("INTERVAL", statement.batch_interval_ms),
        _batch_option("SIZE", statement.batch_size),
        st.just([]),
    ]
    place = draw(st.integers(0, 4))
    lexemes += [*(config if place == 0 else []), *_words("WITH TOPIC"), draw(_string(statement.topic))]
    lexemes += [*(config if place == 1 else []), *_words("WITH TRANSFORM"), draw(_string(statement.transform))]
    for index, option in enumerate(draw(st.permutations(options))):
        lexemes += [*(config if place == 2 + index else []), *draw(option)]
    return lexemes


@st.composite
def _alteration(draw: st.DrawFn, statement: clauses.AlterStream) -> list[str]:
    changes = [
        draw(_batch_option("INTERVAL", statement.batch_interval_ms)),
        draw(_batch_option("SIZE", statement.batch_size)),
        [] if statement.uri is None else [Keyword("KAFKA"), draw(_string(statement.uri))],
        [] if statement.transform is None else [Keyword("TRANSFORM"), draw(_string(statement.transform))],
        [] if statement.config is None else [Keyword("CONFIG"), *draw(_map(statement.config))],
    ]
    lexemes = [*_words("ALTER STREAM"), draw(_name(statement.name)), Keyword("SET")]
    first, *others = draw(st.permutations([change for change in changes if change]))
    lexemes += first
    for change in others:
        lexemes += [",", *change]
    return lexemes


@st.composite
def _batch_option(draw: st.DrawFn, word: str, value: clauses.Count | None) -> list[str]:
    if value is None:
        return []
    return [*_words(draw(st.sampled_from([f"BATCH {word}", f"BATCH_{word}"]))), draw(_count(value))]


@st.composite
def _target(draw: st.DrawFn, target: clauses.Target) -> list[str]:
    match target:
        case clauses.Timestamp(at):
            return [Keyword("TIMESTAMP"), draw(_string(at) if isinstance(at, str) else _count(at))]
        case clauses.Relative(count):
            return [Keyword("RELATIVE"), *draw(_signed(count, "+"))]
        case clauses.Offsets(entries):
            lexemes = []
            for partition, offset in entries:
                quotes = draw(st.sampled_from(["", "'", '"', "`"]))
                key = f"{quotes}{partition}{quotes}" if quotes else draw(_count(partition))
                lexemes += [",", key, ":", draw(_count(offset))]
            return ["{", *lexemes[1:], "}"]
        case clauses.OffsetsByTopic(topics):
            lexemes = []
            for topic, each in topics:
                lexemes += [",", draw(_name(topic) | _string(topic)), ":", *draw(_target(each))]
            return ["{", *lexemes[1:], "}"]
        case clauses.Parameter():
            return [draw(_parameter(target))]
        case _:
            return [Keyword(target.name)]


@st.composite
def _map(draw: st.DrawFn, config: clauses.Config) -> list[str]:
    if isinstance(config, Parameter):
        return [draw(_parameter(config))]
    lexemes = []
    for key, value in config.entries:
        lexemes += [",", draw(_name(key) | _string(key)), ":", *draw(_item(value))]
    return ["{", *lexemes[1:], "}"]


@st.composite
def _item(draw: st.DrawFn, value: clauses.Item) -> list[str]:
    if isinstance(value, clauses.Map):
        return draw(_map(value))
    if not isinstance(value, clauses.Items):
        return draw(_scalar(value))
    lexemes = []
    for item in value.items:
        lexemes += [",", *draw(_item(item))]
    return ["[", *lexemes[1:], "]"]


@st.composite
def _scalar(draw: st.DrawFn, value: clauses.Scalar | Parameter) -> list[str]:
    if isinstance(value, str | Parameter):
        return [draw(_string(value))]
    if value is None or isinstance(value, bool):
        return _words(str(value) if isinstance(value, bool) else "null")
    if isinstance(value, float):
        digits = repr(abs(value)).replace("e+", "e")
        minus = ["-"] if math.copysign(1, value) < 0 else []
        return [*minus, draw(st.sampled_from([digits, digits.replace("e", "E")]))]
    return draw(_signed(value))


@st.composite
def _signed(draw: st.DrawFn, value: clauses.Signed, plus: str = "") -> list[str]:
    if isinstance(value, Parameter):
        return [draw(_parameter(value))]
    sign = "-" if value < 0 else draw(st.sampled_from(["", plus]))
    return [*([sign] if sign else []), draw(_count(abs(value)))]


def _any_case(word: str) -> st.SearchStrategy[str]:
    return st.lists(st.booleans(), min_size=len(word), max_size=len(word)).map(
        lambda ups: "".join(c.upper() if up else c.lower() for c, up in zip(word, ups, strict=True))
    )


def _name(value: clauses.Text) -> st.SearchStrategy[str]:
    if isinstance(value, Parameter):
        return _parameter(value)
    quoted = "`" + value.replace("`", "``") + "`"
    may_be_plain = name_end(value, 0) == len(value)
    return st.sampled_from([value, quoted] if may_be_plain else [quoted])


def _parameter(value: Parameter) -> st.SearchStrategy[str]:
    quoted = "$`" + value.name.replace("`", "``") + "`"
    is_number = value.name.isascii() and value.name.isdigit() and (value.name == "0" or value.name[0] != "0")
    may_be_plain = is_number or name_end(value.name, 0) == len(value.name)
    return st.sampled_from(["$" + value.name, quoted] if may_be_plain else [quoted])


def _count(value: clauses.Count) -> st.SearchStrategy[str]:
    if isinstance(value, Parameter):
        return _parameter(value)
    return st.sampled_from([str(value), f"0{value:o}" if value else "0", f"0x{value:x}", f"0x{value:X}"])


@st.composite
def _string(draw: st.DrawFn, value: clauses.Text) -> str:
    if isinstance(value, Parameter):
        return draw(_parameter(value))
    quote = draw(st.sampled_from("'\""))
    return quote + "".join(draw(st.sampled_from(_spellings(c, quote))) for c in value) + quote


def _spellings(character: str, quote: str) -> list[str]:
    letters = {"\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t", "\\": "\\", "'": "'", '"': '"'}
    code = ord(character)
    spellings = [f"\\U{code:08x}"]
    if code < 0x10000:
        spellings.append(f"\\u{code:04X}")
    else:
        spellings.append(f"\\u{0xD800 + (code - 0x10000 >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}")
    if character in letters:
        spellings += ["\\" + letters[character], "\\" + letters[character].upper()]
    if character not in (quote, "\\"):
        spellings += [character] * 3
    return spellings
