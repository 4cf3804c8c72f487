"""What holds for every clause, and for every text that is none."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sluice import clauses
from sluice.clauses import parse, to_text, translate
from sluice.clauses.lexer import Kind, tokens
from sluice.errors import ClauseError

from .strategies import BLANK_CHARACTERS, COMMENTS, statements, statements_and_texts, texts_of

at_any_speed = settings(deadline=None)


@at_any_speed
@given(statements)
def test_print_then_parse_gives_the_statement(statement: clauses.Statement):
    assert parse(to_text(statement)) == statement


@at_any_speed
@given(statements_and_texts())
def test_every_way_to_write_a_clause_means_the_same(pair: tuple[clauses.Statement, str]):
    statement, text = pair
    assert parse(text) == statement
    assert to_text(parse(text)) == to_text(statement)


@at_any_speed
@given(
    statements_and_texts(),
    st.dictionaries(st.sampled_from(["name", "name_2", "uri", "limit_batches", "x"]), st.integers()),
)
def test_a_translation_keeps_the_clients_parameters_and_names_all_of_its_own(pair, client: dict[str, int]):
    statement, text = pair
    translation = translate(text, client)
    assert translation is not None
    assert translation.parameters.items() >= client.items()
    used = [token.value for token in tokens_of(translation.query) if token.kind is Kind.PARAMETER]
    ours = set(translation.parameters) - set(client)
    assert ours <= set(used)
    by_client = {value.name for value in values_of(statement) if isinstance(value, clauses.Parameter)}
    assert set(used) == ours | by_client
    assert not ours & by_client
    expected = [client.get(v.name) if isinstance(v, clauses.Parameter) else v for v in values_of(statement)]
    got = [translation.parameters.get(name) for name in used]
    if isinstance(statement, clauses.CreateStream) and statement.batch_interval_ms is None and len(used) > 4:
        expected.insert(4, 100)
    assert got == expected


@at_any_speed
@given(statements_and_texts())
def test_a_translation_holds_nothing_but_its_own_words(pair: tuple[clauses.Statement, str]):
    _, text = pair
    translation = translate(text, {})
    assert translation is not None
    kinds = {token.kind for token in tokens_of(translation.query)}
    assert kinds <= {Kind.NAME, Kind.QUOTED_NAME, Kind.PARAMETER, Kind.SYMBOL}
    words = {token.value for token in tokens_of(translation.query) if token.kind in (Kind.NAME, Kind.QUOTED_NAME)}
    procedures = ["create", "drop", "show", "start", "stop", "start_all", "stop_all", "test"]
    columns = ["name", "uri", "topic", "transform", "status", "query", "params"]
    assert words <= {"CALL", "YIELD", "streams", *procedures, *columns}


gaps = st.lists(st.sampled_from([*BLANK_CHARACTERS, *COMMENTS]), min_size=1, max_size=3).map("".join)
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
            "EXPLAIN",
            "PROFILE",
            "explain",
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
@given(statements.flatmap(texts_of), st.sampled_from(["'{}'", '"{}"', "/*{}*/", "/*{}", "`{}`", "EXPLAIN {}", "//{}"]))
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
    st.sampled_from(["CREATE STREAM ", "DROP STREAM ", "START ALL ", "TEST STREAM s LIMIT ", "SHOW STREAMS "]),
    st.text(st.characters()) | st.text("'\"`$/*\\;=uU0xD8 \n", max_size=12),
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


def values_of(statement: clauses.Statement) -> list:
    """The values that are given, in the procedure's order."""
    values = (getattr(statement, name) for name in statement.__match_args__)
    return [value for value in values if value is not None]
