"""
Cypher text into tokens, one at a time, so that what follows an error or a foreign statement is never looked at.

Source: `CypherLexer.g4` of Memgraph v2.14.1; v3.9.0 has the same rules. Stricter on purpose: a number that runs into a
name (`10BATCH_SIZE`) is one wrong token here, two right ones there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from sluice.errors import ClauseError

BLANKS = "\t\n\v\f\r\x1c-\x1f \xa0\u1680\u180e\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"Cypher's whitespace, as the inside of a character class. Neither Python's `\\s` nor `str.isspace` is the same set."

_SKIP_BLANKS = re.compile(f"[{BLANKS}]*")
_LINE_END = re.compile(r"[\r\n]")
_ASCII_PART = re.compile(r"[A-Za-z0-9_$]*")
_NUMBER = re.compile(r"[0-9]+\.[eE]-?[0-9]+|(?:[0-9]*\.[0-9]+|[0-9]+)(?:[eE]-?[0-9]+)?")
_INTEGER = re.compile(r"0|[1-9][0-9]*|0[0-7]+|0x[0-9A-Fa-f]+")
_DECIMAL = re.compile(r"0|[1-9][0-9]*")
_SYMBOL = re.compile(r"\.\.|<=|>=|<>|!=|=~|\+=|.", re.DOTALL)
_STRING_STOP = {quote: re.compile(rf"[{quote}\\]") for quote in "'\""}
_ESCAPE = re.compile(r"\\(?:(?P<letter>[\\'\"BbFfNnRrTt])|u(?P<short>[0-9A-Fa-f]{4})|U(?P<long>[0-9A-Fa-f]{8}))")
_LOW_SURROGATE = re.compile(r"\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})")
_ESCAPED = {"\\": "\\", "'": "'", '"': '"', "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_NAME_STARTS = {"Lu", "Ll", "Lt", "Lm", "Lo", "Nl", "Pc"}
_NAME_PARTS = _NAME_STARTS | {"Mn", "Mc", "Nd", "Sc"}


class Kind(Enum):
    """What a token is."""

    NAME = "a name or a keyword"
    QUOTED_NAME = "a name in backticks"
    STRING = "a string"
    INTEGER = "an integer"
    FLOAT = "a number with a fraction or an exponent"
    PARAMETER = "a parameter"
    SYMBOL = "punctuation, or a character that Cypher has no use for"
    MALFORMED = "a number or a parameter that runs into other letters"
    END = "the end of the text"


@dataclass(frozen=True, slots=True)
class Token:
    """One lexeme."""

    kind: Kind
    text: str
    "As it is written."
    value: str
    "A name, a string or a parameter's name without quotes and escapes; anything else as it is written."
    start: int
    "Where it begins in the text, counted from 0."

    def is_keyword(self, word: str) -> bool:
        """Whether this is the keyword `word`, which is given in capitals. Keywords are ASCII, `ſTREAM` is a name."""
        return self.kind is Kind.NAME and self.text.isascii() and self.text.upper() == word

    def __str__(self) -> str:
        """The token as an error shows it: short, one line, nothing that a terminal would obey."""
        if self.kind is Kind.END:
            return "the end of the text"
        return shown(self.text)


def shown(text: str, limit: int = 40) -> str:
    """`text` cut to `limit` characters, control characters escaped."""
    cut = text if len(text) <= limit else text[: limit - 3] + "..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)


def syntax_error(text: str, at: int, *, found: str, expected: str, hint: str = "") -> ClauseError:
    """
    The error that says what is wrong at offset `at` of `text`.

    Lines and columns count from 1, columns in characters; a line ends with `\\n`, `\\r\\n` or `\\r`.
    """
    before = text[:at].replace("\r\n", "\n").replace("\r", "\n")
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    message = f"Syntax error at line {line}, column {column}: expected {expected}, found {found}"
    return ClauseError(
        f"{message} ({hint})" if hint else message, line=line, column=column, found=found, expected=expected
    )


def skip(text: str, at: int) -> int:
    """Where whitespace and comments that begin at `at` end. A block comment that is never closed is not skipped."""
    while True:
        blanks = _SKIP_BLANKS.match(text, at)
        at = blanks.end() if blanks else at
        if text.startswith("//", at):
            line_end = _LINE_END.search(text, at)
            at = line_end.start() if line_end else len(text)
        elif text.startswith("/*", at):
            close = text.find("*/", at + 2)
            if close < 0:
                return at
            at = close + 2
        else:
            return at


def name_end(text: str, at: int) -> int:
    """Where the unquoted name or keyword that begins at `at` ends; `at` itself where none begins."""
    return _part_end(text, at) if at < len(text) and _starts_name(text[at]) else at


def is_decimal(text: str) -> bool:
    """Whether `$` and `text` is a parameter: its name may be a number, without zeros in front."""
    return _DECIMAL.fullmatch(text) is not None


def integer_value(text: str) -> int | None:
    """What an INTEGER token means (`0x1F` and `010` are 31 and 8); None beyond 64 bits."""
    base = 16 if text.startswith("0x") else 8 if text.startswith("0") else 10
    digits = text.removeprefix("0x").lstrip("0") or "0"
    if len(digits) > 22:  # more than 64 bits in any base, and `int` refuses thousands of digits
        return None
    value = int(digits, base)
    return value if value < 2**63 else None


def tokens(text: str, start: int = 0) -> Iterator[Token]:
    """
    The tokens of `text` from `start` on. The last one is END, for ever. Raises ClauseError: a string, a quoted name or
    a comment does not end, or a string has an escape that Cypher has not.
    """
    at = skip(text, start)
    while at < len(text):
        token = _token(text, at)
        yield token
        at = skip(text, at + len(token.text))
    while True:
        yield Token(Kind.END, "", "", len(text))


def _token(text: str, at: int) -> Token:
    first = text[at]
    if first in "'\"":
        return _string(text, at)
    if first == "`":
        return _quoted_name(text, at)
    if first == "$":
        return _parameter(text, at)
    if text.startswith("/*", at):
        raise syntax_error(text, at, found="a comment that does not end", expected="*/ after it")
    end = name_end(text, at)
    if end > at:
        return _plain(Kind.NAME, text, at, end)
    number = _NUMBER.match(text, at)
    if number:
        return _number(text, at, number.end())
    symbol = _SYMBOL.match(text, at)
    return _plain(Kind.SYMBOL, text, at, symbol.end() if symbol else at + 1)


def _plain(kind: Kind, text: str, start: int, end: int) -> Token:
    return Token(kind, text[start:end], text[start:end], start)


def _number(text: str, at: int, number_end: int) -> Token:
    end = _part_end(text, number_end)
    if _INTEGER.fullmatch(text, at, end):
        return _plain(Kind.INTEGER, text, at, end)
    is_float = end == number_end and not text[at:end].isdigit()
    return _plain(Kind.FLOAT if is_float else Kind.MALFORMED, text, at, end)


def _parameter(text: str, at: int) -> Token:
    after = at + 1
    if text.startswith("`", after):
        quoted = _quoted_name(text, after)
        return Token(Kind.PARAMETER, "$" + quoted.text, quoted.value, at)
    end = _part_end(text, after)
    if end == after:
        return _plain(Kind.SYMBOL, text, at, after)
    name = text[after:end]
    is_name = _starts_name(name[0]) or is_decimal(name)
    return Token(Kind.PARAMETER if is_name else Kind.MALFORMED, text[at:end], name, at)


def _quoted_name(text: str, at: int) -> Token:
    end = at
    while text.startswith("`", end):  # a doubled backtick closes one quoted piece and opens the next
        end = text.find("`", end + 1) + 1
        if end == 0:
            raise syntax_error(text, at, found="a name that does not end", expected="` after it")
    return Token(Kind.QUOTED_NAME, text[at:end], text[at + 1 : end - 1].replace("``", "`"), at)


def _string(text: str, start: int) -> Token:
    stop = _STRING_STOP[text[start]]
    pieces = []
    at = start + 1
    while found := stop.search(text, at):
        pieces.append(text[at : found.start()])
        if found[0] != "\\":
            return Token(Kind.STRING, text[start : found.end()], "".join(pieces), start)
        piece, at = _unescape(text, found.start())
        pieces.append(piece)
    raise syntax_error(text, start, found="a string that does not end", expected=f"{text[start]} after it")


def _unescape(text: str, at: int) -> tuple[str, int]:
    """The character that the escape at `at` stands for, and where the escape ends."""
    escape = _ESCAPE.match(text, at)
    if escape is None:
        expected = r"""one of \\ \' \" \b \f \n \r \t \uXXXX \UXXXXXXXX"""
        raise syntax_error(text, at, found=shown(text[at : at + 2]), expected=expected)
    if escape["letter"]:
        return _ESCAPED[escape["letter"].lower()], escape.end()
    code, end = int(escape["short"] or escape["long"], 16), escape.end()
    low = _LOW_SURROGATE.match(text, end) if escape["short"] and 0xD800 <= code < 0xDC00 else None
    if low:
        code, end = 0x10000 + ((code & 0x3FF) << 10 | int(low[1], 16) & 0x3FF), low.end()
    if 0xD800 <= code < 0xE000 or code > 0x10FFFF:
        raise syntax_error(text, at, found=escape[0], expected="the code of a Unicode character")
    return chr(code), end


def _part_end(text: str, at: int) -> int:
    """Where the letters, digits, currency signs and marks that may stand inside a name end."""
    while True:
        ascii_part = _ASCII_PART.match(text, at)
        at = ascii_part.end() if ascii_part else at
        if at == len(text) or text[at].isascii() or not _continues_name(text[at]):
            return at
        at += 1


def _starts_name(character: str) -> bool:
    """ID_Start or connector punctuation (`_`, `‿`). Python's XID_Start lacks some Thai and Lao letters."""
    return character.isidentifier() or unicodedata.category(character) in _NAME_STARTS


def _continues_name(character: str) -> bool:
    """ID_Continue or a currency sign: `a$b` is one name."""
    return ("_" + character).isidentifier() or unicodedata.category(character) in _NAME_PARTS
