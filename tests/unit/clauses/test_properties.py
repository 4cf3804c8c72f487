"""What holds for every clause, and for every text that is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sluice import clauses
from sluice.clauses import parse, to_text, translate
from sluice.cypher.lexer import Kind, Token, tokens
from sluice.errors import ClauseError

from .strategies import BLANK_CHARACTERS, COMMENTS, statements, statements_and_texts, texts_of

at_any_speed = settings(deadline=None)

gaps = st.lists(st.sampled_from([*BLANK_CHARACTERS, *COMMENTS]), min_size=1, max_size=3).map("".join)


@at_any_speed
@given(statements)
def test_print_then_parse_gives_the_statement(statement: clauses.Statement):
    assert parse(to_text(statement)) == statement


@at_any_speed
@given(statements_and_texts())
def test_every_way_to_write_a_clause_means_the_same(pair: tuple[clauses.Statement, str]):
    statement, text = pair
    parsed = parse(text)
    assert parsed == statement
    assert to_text(parsed) == to_text(statement)


@at_any_speed
@given(
    statements_and_texts(),
    st.dictionaries(st.sampled_from(["name", "name_2", "uri", "limit_batches", "x"]), st.integers()),
)
def test_a_translation_keeps_the_clients_parameters_and_names_all_of_its_own(pair, client: dict[str, int]):
    statement, text = pair
    # What the statement's own parameters hold has its own tests (test_binding).
    client = {name: value for name, value in client.items() if name not in parameters_of(statement)}
    translation = translate(text, client)
    assert translation is not None
    assert translation.parameters.items() >= client.items()
    used = {token.value for token in tokens_of(translation.query) if token.kind is Kind.PARAMETER}
    ours = set(translation.parameters) - set(client)
    assert not ours & parameters_of(statement)
    assert used == ours | parameters_of(statement)
    missing = {name: clauses.Parameter(name) for name in used - set(translation.parameters)}
    got = list(arguments_of(translation.query, {**translation.parameters, **missing}))
    assert got == meaning_of(statement, client)


@at_any_speed
@given(statements_and_texts(), st.sampled_from(clauses.Explanation), gaps, st.sampled_from([str.upper, str.lower]))
def test_a_clause_may_be_explained(pair, plan: clauses.Explanation, gap: str, case: Callable[[str], str]):
    statement, text = pair
    explained = case(plan.name) + gap + text
    assert parse(explained) == clauses.Explain(statement, plan)
    assert parse(to_text(clauses.Explain(statement, plan))) == clauses.Explain(statement, plan)
    call, plan_of_call = translate(text), translate(explained)
    assert call is not None
    assert plan_of_call is not None
    assert plan_of_call.query == f"{plan.name} {call.query}"
    assert plan_of_call.parameters == call.parameters


@at_any_speed
@given(statements_and_texts())
def test_a_translation_holds_nothing_but_its_own_words(pair: tuple[clauses.Statement, str]):
    statement, text = pair
    translation = translate(text, {})
    assert translation is not None
    found = list(tokens_of(translation.query))
    assert {token.kind for token in found} <= {Kind.NAME, Kind.QUOTED_NAME, Kind.PARAMETER, Kind.SYMBOL}
    words = {token.value for token in found if token.kind is Kind.NAME}
    procedures = ["create", "drop", "alter", "reload_transform", "seek", "show", "show_create"]
    procedures += ["start", "start_all", "stop_all", "test"]
    assert words <= {"CALL", "YIELD", "streams", *procedures, *translation.columns}
    quoted = {token.value for token in found if token.kind is Kind.QUOTED_NAME}
    assert quoted <= {"stop", *keys_of(statement)}


openings = st.sampled_from(
    [
        *(
            "MATCH (stream:STREAM)",
            "RETURN",
            "UNWIND $stream AS s",
            "MERGE (s)",
            "WITH 1 AS stream",
            "CALL streams.show()",
        ),
        *(
            "EXPLAIN RETURN",
            "profile MATCH",
            "EXPLAIN EXPLAIN",
            "EXPLAIN PROFILE",
            "CHECK STREAM",
            "CREATE KAFKA STREAM",
            "CREATE PULSAR STREAM",
            "USE DATABASE",
        ),
        *(
            "CREATE (stream)",
            "CREATE stream =",
            "create STREAM=",
            "CREATE stream\t/**/=",
            "CREATE streams =",
            "CREATE ()",
        ),
        *(
            "CREATE INDEX ON :STREAM",
            "DROP INDEX ON",
            "DROP TRIGGER",
            "SHOW STORAGE INFO",
            "SHOW INDEX INFO",
            "SHOW CONFIG",
        ),
        *(
            "START TRANSACTION",
            "STOP TTL",
            "DROP GRAPH",
            "ALTER USER",
            "ALTER TABLE",
            "CREATE OR REPLACE TRIGGER",
            "CREATE OR",
            "OR REPLACE STREAM",
            "SHOW CREATE INDEX",
            "SHOW CREATE STREAMS",
            "RELOAD STREAM",
            "SEEK STREAMS",
            "ALTER STREAMS",
            "SET",
            "REMOVE",
            "DELETE",
            "FOREACH",
            "LOAD CSV",
            "STREAM",
            "ALL",
        ),
        *(
            "'",
            '"',
            "`",
            ";",
            "(",
            "$CREATE STREAM",
            "`CREATE`",
            "CREATE `STREAM`",
            "CREATE_STREAM",
            "ſHOW STREAMS",
            "1",
        ),
    ]
)


@at_any_speed
@given(gaps | st.just(""), openings, gaps, st.text(max_size=20) | statements.flatmap(texts_of))
def test_no_other_cypher_is_touched(before: str, opening: str, gap: str, after: str):
    text = before + opening + gap + after
    assert parse(text) is None
    assert translate(text, {"name": 1}) is None


@at_any_speed
@given(statements.flatmap(texts_of), st.sampled_from(["'{}'", '"{}"', "/*{}*/", "/*{}", "`{}`", "//{}"]))
def test_a_clause_in_a_string_or_a_comment_is_none(text: str, wrapping: str):
    if wrapping == "//{}":
        text = text.replace("\r", " ").replace("\n", " ")
    if wrapping.startswith("/*"):
        text = text.replace("*/", "* /")
    assert parse(wrapping.format(text)) is None


def check_any(text: str) -> None:
    """Any text is a statement that survives being printed, or no clause, or an error inside the text."""
    statement = error = None
    try:
        statement = parse(text)
    except ClauseError as caught:
        error = caught
    if error is not None:
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        assert 1 <= error.column <= len(lines[error.line - 1]) + 1
        assert " ".join(f"expected {error.expected}, found {error.found}".split()) in str(error)
        assert str(error).isprintable()
    elif statement is not None:
        assert parse(to_text(statement)) == statement


@at_any_speed
@given(st.text(st.characters()))
@example("CREATE STREAM `\ud800`")
def test_random_text_raises_nothing_but_clause_error(text: str):
    check_any(text)


@at_any_speed
@given(
    st.sampled_from(
        [
            *("CREATE STREAM ", "DROP STREAM ", "START ALL ", "TEST STREAM s LIMIT ", "SHOW STREAMS "),
            *("CREATE OR REPLACE STREAM ", "ALTER STREAM s SET ", "ALTER STREAM s SET CONFIG {", "SEEK STREAM s TO "),
            *("SEEK STREAM s TO {", "RELOAD TRANSFORM ", "SHOW CREATE STREAM "),
        ]
    ),
    st.text(st.characters()) | st.text("'\"`$/*\\;=uU0xD8{}:,-+. \n", max_size=12),
)
def test_a_clause_that_goes_on_at_random_raises_nothing_but_clause_error(opening: str, text: str):
    check_any(opening + text)


@at_any_speed
@given(statements.flatmap(texts_of), st.data())
def test_a_clause_with_a_typing_error_raises_nothing_but_clause_error(text: str, data: st.DataObject):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 3)))
    check_any(text[:start] + data.draw(st.text(max_size=2) | st.sampled_from(list("'\"`$/;"))) + text[end:])


@at_any_speed
@given(st.text(st.characters()) | st.text("'\"`$/*\\;=.09exX \nu", max_size=20))
def test_lexemes_and_gaps_are_the_whole_text(text: str):
    try:
        found = tokens_of(text)
    except ClauseError:
        return
    at = 0
    for token in found:
        assert text[token.start :].startswith(token.text)
        assert token.start >= at
        at = token.start + len(token.text)


def tokens_of(text: str) -> list:
    found = []
    for token in tokens(text):
        if token.kind is Kind.END:
            break
        found.append(token)
    return found


def arguments_of(query: str, parameters: Mapping[str, Any]) -> Iterator[Any]:
    """What a CALL's arguments come to, for a server that has these parameters."""
    found = iter(tokens_of(query))
    while next(found).text != "(":
        pass

    def value(token: Token) -> Any:
        if token.kind is Kind.PARAMETER:
            return parameters[token.value]
        if token.text == "[":
            items = []
            while True:
                items.append(value(next(found)))
                if next(found).text == "]":
                    return items
        assert token.text == "{"
        entries = {}
        while True:
            key, colon, item, after = next(found), next(found), value(next(found)), next(found)
            assert (key.kind, colon.text) == (Kind.QUOTED_NAME, ":")
            entries[key.value] = item
            if after.text == "}":
                return entries
            assert after.text == ","

    for token in found:
        if token.text == ")":
            return
        if token.text != ",":
            yield value(token)


def meaning_of(statement: clauses.Statement, client: Mapping[str, Any]) -> list[Any]:
    """The arguments that a statement stands for; a parameter that is missing stands for itself."""

    def of(value: Any) -> Any:
        match value:
            case clauses.Parameter(name):
                return client.get(name, value)
            case clauses.Map(entries) | clauses.Offsets(entries) | clauses.OffsetsByTopic(entries):
                return {str(key): of(item) for key, item in entries}
            case clauses.Items(items):
                return [of(item) for item in items]
            case clauses.Timestamp(at):
                return {"timestamp": of(at)}
            case clauses.Relative(count):
                return {"relative": of(count)}
            case clauses.End() | clauses.Existing():
                return value.value
        return value

    values = [of(getattr(statement, name)) for name in getattr(statement, "__match_args__", ())]
    match statement:
        case clauses.CreateStream():
            values[-1] = None if statement.existing is clauses.Existing.REFUSE else values[-1]
            while values[-1] is None:
                values.pop()
            defaults = [None, None, None, None, 100, 10, None, None]
            return [default if value is None else value for value, default in zip(values, defaults, strict=False)]
        case clauses.AlterStream():
            keys = ["batch_interval", "batch_size", "uri", "transform", "config"]
            return [values[0], {key: value for key, value in zip(keys, values[1:], strict=True) if value is not None}]
        case clauses.DropStream() | clauses.SeekStream():
            return values if values[-1] else values[:-1]
    return [value for value in values if value is not None]


def parameters_of(value: Any) -> set[str]:
    """The names of all parameters in a statement."""
    if isinstance(value, clauses.Parameter):
        return {value.name}
    if isinstance(value, tuple):
        return {name for item in value for name in parameters_of(item)}
    return {
        name for attribute in getattr(value, "__match_args__", ()) for name in parameters_of(getattr(value, attribute))
    }


def keys_in(item: clauses.Item) -> set[str]:
    if isinstance(item, clauses.Map):
        return {key for key, _ in item.entries} | {key for _, value in item.entries for key in keys_in(value)}
    return {key for value in item.items for key in keys_in(value)} if isinstance(item, clauses.Items) else set()


def keys_of(statement: clauses.Statement) -> set[str]:
    """The keys that a statement's maps may come to have."""
    match statement:
        case clauses.CreateStream(config=clauses.Map() as config):
            return keys_in(config)
        case clauses.AlterStream(config=clauses.Map() as config):
            return keys_in(config) | {"batch_interval", "batch_size", "uri", "transform", "config"}
        case clauses.AlterStream():
            return {"batch_interval", "batch_size", "uri", "transform", "config"}
        case clauses.SeekStream(to=clauses.Offsets(entries)):
            return {str(partition) for partition, _ in entries}
        case clauses.SeekStream(to=clauses.OffsetsByTopic(topics)):
            return {
                str(key) for topic, offsets in topics for key in (topic, *(number for number, _ in offsets.entries))
            }
        case clauses.SeekStream():
            return {"timestamp", "relative"}
    return set()
