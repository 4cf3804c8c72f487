"""What Cypher's lexemes are."""

from __future__ import annotations

import pytest

from sluice.cypher.lexer import Kind, Token, integer_value, skip, tokens
from sluice.errors import ClauseError

from .strategies import BLANK_CHARACTERS


def lex(text: str) -> list[Token]:
    found: list[Token] = []
    for token in tokens(text):
        if token.kind is Kind.END:
            return found
        found.append(token)
    raise AssertionError("tokens() ended without END")


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        pytest.param("stream", Kind.NAME, "stream", id="a word"),
        pytest.param("_x1", Kind.NAME, "_x1", id="a name may begin with an underscore"),
        pytest.param("a$b", Kind.NAME, "a$b", id="a currency sign may stand inside a name"),
        pytest.param("prix€", Kind.NAME, "prix€", id="any currency sign may"),
        pytest.param("été", Kind.NAME, "été", id="letters of all alphabets"),
        pytest.param("ำ1", Kind.NAME, "ำ1", id="a Thai letter that Python would not begin a name with"),
        pytest.param("x\u0301y", Kind.NAME, "x\u0301y", id="a combining mark belongs to the name"),
        pytest.param("a‿b", Kind.NAME, "a‿b", id="connector punctuation joins"),
        pytest.param("‿a", Kind.NAME, "‿a", id="connector punctuation begins a name"),
        pytest.param("`a b`", Kind.QUOTED_NAME, "a b", id="a name in backticks"),
        pytest.param("`a``b`", Kind.QUOTED_NAME, "a`b", id="a doubled backtick is one"),
        pytest.param("````", Kind.QUOTED_NAME, "`", id="nothing but a backtick"),
        pytest.param("``", Kind.QUOTED_NAME, "", id="an empty quoted name"),
        pytest.param("`a\n/*'\"`", Kind.QUOTED_NAME, "a\n/*'\"", id="anything may stand in backticks"),
        pytest.param("'it'", Kind.STRING, "it", id="single quotes"),
        pytest.param('"it\'s"', Kind.STRING, "it's", id="double quotes"),
        pytest.param("''", Kind.STRING, "", id="an empty string"),
        pytest.param("'a\nb'", Kind.STRING, "a\nb", id="a string over two lines"),
        pytest.param("'// /* `'", Kind.STRING, "// /* `", id="no comments in strings"),
        pytest.param(r"'\\ \' \"'", Kind.STRING, "\\ ' \"", id="escaped quotes and backslash"),
        pytest.param(r"'\b\f\n\r\t'", Kind.STRING, "\b\f\n\r\t", id="escaped control characters"),
        pytest.param(r"'\B\F\N\R\T'", Kind.STRING, "\b\f\n\r\t", id="their letters in capitals"),
        pytest.param(r"'\u00e9\u00E9'", Kind.STRING, "éé", id="four hex digits"),
        pytest.param(r"'\U0001F600'", Kind.STRING, "😀", id="eight hex digits"),
        pytest.param(r"'\uD83D\uDE00'", Kind.STRING, "😀", id="a surrogate pair is one character"),
        pytest.param(r"'\u00411'", Kind.STRING, "A1", id="a digit after four hex digits is a digit"),
        pytest.param("0", Kind.INTEGER, "0", id="zero"),
        pytest.param("100", Kind.INTEGER, "100", id="decimal"),
        pytest.param("010", Kind.INTEGER, "010", id="octal"),
        pytest.param("0x1fF", Kind.INTEGER, "0x1fF", id="hexadecimal"),
        pytest.param("0X1F", Kind.MALFORMED, "0X1F", id="a capital X is no hexadecimal"),
        pytest.param("09", Kind.MALFORMED, "09", id="nine is no octal digit"),
        pytest.param("10ms", Kind.MALFORMED, "10ms", id="a number runs into a name"),
        pytest.param("1e", Kind.MALFORMED, "1e", id="an exponent without digits"),
        pytest.param("1.5", Kind.FLOAT, "1.5", id="a fraction"),
        pytest.param(".5", Kind.FLOAT, ".5", id="a fraction without a whole"),
        pytest.param("1e5", Kind.FLOAT, "1e5", id="an exponent"),
        pytest.param("1.e-5", Kind.FLOAT, "1.e-5", id="a point and an exponent"),
        pytest.param("$x", Kind.PARAMETER, "x", id="a parameter"),
        pytest.param("$0", Kind.PARAMETER, "0", id="a numbered parameter"),
        pytest.param("$12", Kind.PARAMETER, "12", id="a numbered parameter of two digits"),
        pytest.param("$`a ``b`", Kind.PARAMETER, "a `b", id="a parameter in backticks"),
        pytest.param("$$x", Kind.MALFORMED, "$x", id="a parameter's name begins with no currency sign"),
        pytest.param("$01", Kind.MALFORMED, "01", id="a parameter's number has no zero in front"),
        pytest.param("$1a", Kind.MALFORMED, "1a", id="a parameter's number runs into a name"),
        pytest.param("$", Kind.SYMBOL, "$", id="a dollar alone"),
        pytest.param("<=", Kind.SYMBOL, "<=", id="punctuation of two characters"),
        pytest.param("=~", Kind.SYMBOL, "=~", id="the regular expression operator"),
        pytest.param("..", Kind.SYMBOL, "..", id="a range"),
        pytest.param("/", Kind.SYMBOL, "/", id="a slash that begins no comment"),
        pytest.param("#", Kind.SYMBOL, "#", id="a character that Cypher has no use for"),
        pytest.param("\x85", Kind.SYMBOL, "\x85", id="NEL is no whitespace in Cypher"),
        pytest.param("\ufeff", Kind.SYMBOL, "\ufeff", id="a byte order mark is no whitespace"),
    ],
)
def test_one_lexeme_is_one_token(text: str, kind: Kind, value: str):
    assert lex(f" {text} ") == [Token(kind, text, value, 1)]


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param("/**/ // x", [], id="comments only"),
        pytest.param("//", [], id="an empty comment at the end"),
        pytest.param("a/* ' */b", ["a", "b"], id="a comment parts words"),
        pytest.param("a/* */*/", ["a", "*", "/"], id="block comments do not nest"),
        pytest.param("a//x\rb//y\nc", ["a", "b", "c"], id="a line comment ends with the line"),
        pytest.param("a//x\u2028b", ["a"], id="a line separator ends no line comment"),
        pytest.param("'a'\"b\"`c`$d", ["'a'", '"b"', "`c`", "$d"], id="quotes need no blanks between"),
        pytest.param("1..3", ["1", "..", "3"], id="a range of integers"),
        pytest.param("n.a", ["n", ".", "a"], id="a property"),
        pytest.param("x<>1;", ["x", "<>", "1", ";"], id="an inequality"),
        pytest.param("-1", ["-", "1"], id="a sign is punctuation"),
    ],
)
def test_a_text_is_its_lexemes(text: str, texts: list[str]):
    assert [token.text for token in lex(text)] == texts


@pytest.mark.parametrize("blank", BLANK_CHARACTERS, ids=lambda c: f"U+{ord(c):04X}")
def test_cyphers_whitespace_parts_words(blank: str):
    assert [token.text for token in lex(f"a{blank}b")] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "column", "found", "expected"),
    [
        pytest.param("a 'b", 3, "a string that does not end", "' after it", id="a string that does not end"),
        pytest.param("a \"b'", 3, "a string that does not end", '" after it', id="the other quote ends no string"),
        pytest.param("a 'b\\'", 3, "a string that does not end", "' after it", id="an escaped quote ends no string"),
        pytest.param("a `b``", 3, "a name that does not end", "` after it", id="a quoted name that does not end"),
        pytest.param("a $`b", 4, "a name that does not end", "` after it", id="a quoted parameter that does not end"),
        pytest.param("a /* b", 3, "a comment that does not end", "*/ after it", id="a comment that does not end"),
        pytest.param("/*/", 1, "a comment that does not end", "*/ after it", id="one star cannot open and close"),
        pytest.param(
            r"'a\x'", 3, r"\x", r"""one of \\ \' \" \b \f \n \r \t \uXXXX \UXXXXXXXX""", id="an escape there is not"
        ),
        pytest.param(
            r"'\u12'", 2, r"\u", r"""one of \\ \' \" \b \f \n \r \t \uXXXX \UXXXXXXXX""", id="too few hex digits"
        ),
        pytest.param(r"'\uD83D'", 2, r"\uD83D", "the code of a Unicode character", id="half a surrogate pair"),
        pytest.param(r"'\uDE00'", 2, r"\uDE00", "the code of a Unicode character", id="the other half"),
        pytest.param(r"'\U0000D83D'", 2, r"\U0000D83D", "the code of a Unicode character", id="half a pair, long"),
        pytest.param(r"'\U00110000'", 2, r"\U00110000", "the code of a Unicode character", id="beyond Unicode"),
    ],
)
def test_a_lexeme_that_is_none_is_an_error_at_its_place(text: str, column: int, found: str, expected: str):
    with pytest.raises(ClauseError) as caught:
        lex(text)
    error = caught.value
    assert (error.line, error.column, error.found, error.expected) == (1, column, found, expected)


@pytest.mark.parametrize(
    ("text", "at", "end"),
    [
        pytest.param("  x", 0, 2, id="blanks"),
        pytest.param("/* */ // y\n x", 0, 12, id="comments"),
        pytest.param("x", 0, 0, id="nothing to skip"),
        pytest.param(" /* x", 0, 1, id="a comment that does not end is not skipped"),
        pytest.param("x //y", 1, 5, id="up to the end"),
    ],
)
def test_skip_goes_to_the_next_lexeme(text: str, at: int, end: int):
    assert skip(text, at) == end


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("0", 0, id="zero"),
        pytest.param("00", 0, id="octal zero"),
        pytest.param("010", 8, id="octal"),
        pytest.param("0x1F", 31, id="hexadecimal"),
        pytest.param("9223372036854775807", 2**63 - 1, id="the greatest"),
        pytest.param("9223372036854775808", None, id="one more"),
        pytest.param("0x7fffffffffffffff", 2**63 - 1, id="the greatest, hexadecimal"),
        pytest.param("0777777777777777777777", 2**63 - 1, id="the greatest, octal"),
        pytest.param("0x" + "0" * 9999 + "1", 1, id="zeros without end"),
        pytest.param("9" * 9999, None, id="more digits than Python would read"),
    ],
)
def test_an_integer_means(text: str, value: int | None):
    assert integer_value(text) == value


def test_tokens_are_made_one_at_a_time():
    source = tokens("a 'unfinished")
    assert next(source).text == "a"


def test_end_comes_for_ever():
    source = tokens("a")
    assert [next(source).kind for _ in range(4)] == [Kind.NAME, Kind.END, Kind.END, Kind.END]


@pytest.mark.parametrize(
    ("text", "is_keyword"),
    [
        pytest.param("STREAM", True, id="in capitals"),
        pytest.param("sTrEaM", True, id="in any case"),
        pytest.param("ſTREAM", False, id="a long s is no S"),
        pytest.param("`STREAM`", False, id="not in backticks"),
        pytest.param("'STREAM'", False, id="not in quotes"),
        pytest.param("STREAM_", False, id="not as part of a name"),
    ],
)
def test_keywords_are_ascii_in_any_case(text: str, is_keyword: bool):
    assert lex(text)[0].is_keyword("STREAM") is is_keyword


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("LOAD", "LOAD", id="as it is written"),
        pytest.param("'a\nb\x1b'", r"'a\nb\x1b'", id="control characters escaped"),
        pytest.param("'" + "x" * 99 + "'", "'" + "x" * 36 + "...", id="cut to 40 characters"),
        pytest.param("", "the end of the text", id="the end"),
    ],
)
def test_a_token_is_shown_short_and_on_one_line(text: str, shown: str):
    assert str(next(tokens(text))) == shown
