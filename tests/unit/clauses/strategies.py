"""Clauses as people may type them: a statement, and one of the many texts that mean it."""

from __future__ import annotations

from hypothesis import strategies as st

from sluice import clauses
from sluice.clauses import Parameter
from sluice.clauses.lexer import name_end

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
    "kafka",
    "limit",
    "load",
    "show",
    "start",
    "stop",
    "stream",
    "streams",
    "test",
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
parameters = st.builds(Parameter, st.one_of(names, st.integers(0, 999).map(str)))


def value_or_parameter(values: st.SearchStrategy) -> st.SearchStrategy:
    return st.one_of(values, values, parameters)


statements = st.one_of(
    st.builds(
        clauses.CreateStream,
        name=value_or_parameter(names),
        uri=value_or_parameter(strings),
        topic=value_or_parameter(strings),
        transform=value_or_parameter(strings),
        batch_interval_ms=st.none() | value_or_parameter(counts),
        batch_size=st.none() | value_or_parameter(counts),
    ),
    st.builds(clauses.DropStream, value_or_parameter(names)),
    st.just(clauses.ShowStreams()),
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
    return lexeme[-1] not in "'\"`;"


@st.composite
def _lexemes(draw: st.DrawFn, statement: clauses.Statement) -> list[str]:
    lexemes: list[str] = []
    match statement:
        case clauses.CreateStream(name, uri, topic, transform, interval, size):
            lexemes += ["CREATE", "STREAM", draw(_name(name)), "AS", "LOAD", "DATA", "KAFKA", draw(_string(uri))]
            lexemes += ["WITH", "TOPIC", draw(_string(topic)), "WITH", "TRANSFORM", draw(_string(transform))]
            options = [("INTERVAL", interval), ("SIZE", size)]
            for word, value in draw(st.permutations(options)):
                if value is not None:
                    lexemes += draw(st.sampled_from([["BATCH", word], [f"BATCH_{word}"]]))
                    lexemes.append(draw(_count(value)))
        case clauses.DropStream(name):
            lexemes += ["DROP", "STREAM", draw(_name(name))]
        case clauses.StopStream(name):
            lexemes += ["STOP", "STREAM", draw(_name(name))]
        case clauses.StartStream(name, limit) | clauses.TestStream(name, limit):
            verb = "START" if isinstance(statement, clauses.StartStream) else "TEST"
            lexemes += [verb, "STREAM", draw(_name(name))]
            if limit is not None:
                lexemes += ["LIMIT", draw(_count(limit)), "BATCHES"]
        case clauses.ShowStreams():
            lexemes += ["SHOW", "STREAMS"]
        case clauses.StartAllStreams():
            lexemes += ["START", "ALL", "STREAMS"]
        case clauses.StopAllStreams():
            lexemes += ["STOP", "ALL", "STREAMS"]
    return [draw(_any_case(lexeme)) if lexeme in _KEYWORDS else lexeme for lexeme in lexemes]


_KEYWORDS = {
    *[
        "CREATE",
        "STREAM",
        "AS",
        "LOAD",
        "DATA",
        "KAFKA",
        "WITH",
        "TOPIC",
        "TRANSFORM",
        "BATCH",
        "INTERVAL",
        "SIZE",
        "BATCH_INTERVAL",
        "BATCH_SIZE",
    ],
    *["DROP", "STOP", "START", "TEST", "SHOW", "ALL", "STREAMS", "LIMIT", "BATCHES"],
}


def _any_case(word: str) -> st.SearchStrategy[str]:
    return st.lists(st.booleans(), min_size=len(word), max_size=len(word)).map(
        lambda ups: "".join(c.upper() if up else c.lower() for c, up in zip(word, ups, strict=True))
    )


def _name(value: clauses.Text) -> st.SearchStrategy[str]:
    if isinstance(value, Parameter):
        return _parameter(value)
    quoted = "`" + value.replace("`", "``") + "`"
    # A name that is spelled like a keyword in capitals keeps its case: `_lexemes` changes only its own keywords.
    may_be_plain = name_end(value, 0) == len(value) and value not in _KEYWORDS
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
