"""
The contract of a transform: `stream(batch)` takes a list of bytes and returns a list of (query, parameters). A script
may have `stream_messages(batch)` in its place, which takes a list of `record.Record`.

    stream          : [bytes]  -> [(str, {str : type})]
    stream_messages : [Record] -> [(str, {str : type})]
    type            : none | bool | int | float | str | list | dict, and what `conversion` makes such of

Runs in the transform's own process. Whatever breaks the contract is an error that names the item.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from sluice.bolt.packstream import Value, pack
from sluice.cypher.lexer import Kind, Token, tokens
from sluice.errors import ClauseError, LocalProtocolError, ScriptError, TransformError, one_line
from sluice.values.record import FIELDS, VALUE, Columns, OfColumns, records_of
from sluice.values.same_query import SameQuery

_text, _parameters = itemgetter(0), itemgetter(1)

Query = tuple[str, dict[str, Value]]
"A query's text and its parameters."

STREAM = "stream"
STREAM_MESSAGES = "stream_messages"

CONFIGURE = "configure"
"The function of a script that takes its options, a dict, before it gets any batch."


class Entry(NamedTuple):
    """The function of a script that is the transform."""

    name: str
    "STREAM or STREAM_MESSAGES."
    function: Callable[[list[Any]], Any]

    @property
    def shown(self) -> str:
        """As errors call it."""
        return f"{self.name}(batch)"

    @property
    def fields(self) -> tuple[str, ...]:
        """What of messages it wants."""
        if self.name == STREAM:
            return (VALUE,)
        return self.function.fields if isinstance(self.function, OfColumns) else FIELDS

    def of(self, columns: Columns) -> Any:
        """What the function gives for a batch."""
        if self.name == STREAM:
            return self.function(columns[VALUE])
        if isinstance(self.function, OfColumns):
            return self.function.function(columns)
        return self.function(records_of(columns))


TRANSACTION_CONTROL = frozenset({"BEGIN", "COMMIT", "ROLLBACK"})
"Queries that would end the batch's transaction in its middle: Memgraph takes them as text, too."

COMMITS_ITSELF = (("PERIODIC", "COMMIT"), ("}", "IN", "TRANSACTIONS"))
"""
Parts of queries that Memgraph 3 commits in their middle, inside an explicit transaction as well: the batch's checkpoint
would be in the graph before all of the batch is.

Source: `MemgraphCypher.g4` (periodicCommit, periodicSubquery) and `InMemoryAccessor::PeriodicCommit` of v3.11.0.
"""

NEEDS_EVERYTHING = ("CALL", "SCHEMA", ".", "ASSERT")
"""
A procedure that makes indexes, which is not safe in a transaction up to Memgraph 2.14.1, and refused in one by v3.
"""

SUSPECT = re.compile("PERIODIC|TRANSACTIONS|SCHEMA", re.IGNORECASE)
"In every query that has one of those parts, and hardly in any other: only these are looked at to their end."

ONE_TRANSACTION = "a batch is one transaction, which only the stream itself begins and ends"

QUOTED_IN_ERRORS = 120
"Characters of a wrong item that an error repeats."


def entry_of(namespace: Mapping[str, Any]) -> Entry:
    """
    The transform among the names that a script defines.

    Raises:
        ScriptError: there is none, or more than one.
    """
    found = [name for name in (STREAM, STREAM_MESSAGES) if namespace.get(name) is not None]
    if len(found) > 1:
        raise ScriptError(f"it defines both {STREAM}(batch) and {STREAM_MESSAGES}(batch): a transform has one of them")
    if not found:
        raise ScriptError(f"it defines no function {STREAM}(batch) or {STREAM_MESSAGES}(batch)")
    entry = Entry(found[0], namespace[found[0]])
    if not callable(entry.function):
        raise ScriptError(f"its {entry.name} is not callable")
    return entry


def queries_of(entry: Entry, columns: Columns) -> Sequence[Query]:
    """
    What the transform makes of a batch, checked but for the values of the parameters (`check_values`).

    Raises:
        TransformError: the result is not what the contract says. What the function itself raises passes through.
    """
    result = entry.of(columns)
    if isinstance(result, SameQuery):  # of a ready transform
        if reason := refusal(result.text):
            raise TransformError(f"the query {reason}")
        return result
    if not isinstance(result, list):
        raise TransformError(f"{entry.shown} must return a list of (query, parameters), got {_shown(result)}")
    if not _is_plain(result):
        for index, item in enumerate(result):
            _check(entry, index, item)
    return result


def _is_plain(result: list[Any]) -> bool:
    """Whether a look at all items together shows already that they are what the contract says, as is nearly always."""
    if not set(map(type, result)) <= {tuple} or not set(map(len, result)) <= {2}:
        return False
    try:
        texts = set(map(_text, result))
    except TypeError:  # what cannot be hashed is no text
        return False
    if not set(map(type, texts)) <= {str} or not set(map(type, map(_parameters, result))) <= {dict}:
        return False
    return not any(map(refusal, texts))


def _check(entry: Entry, index: int, item: Any) -> None:
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise TransformError(
            f"item {index} of what {entry.shown} returned must be (query, parameters), got {_shown(item)}"
        )
    query, parameters = item
    if not isinstance(query, str):
        raise TransformError(f"the query of item {index} must be a str, got {_shown(query)}")
    if not isinstance(parameters, dict):
        raise TransformError(f"the parameters of item {index} must be a dict, got {_shown(parameters)}")
    reason = refusal(query)
    if reason:
        raise TransformError(f"the query of item {index} {reason}")


def check_values(index: int, parameters: dict[str, Value]) -> None:
    """Raises TransformError, naming the place, if a value of item `index` is of no type that a query can take."""
    try:
        pack(parameters)
    except LocalProtocolError as error:
        raise value_error(index, error) from error


def value_error(index: int, error: LocalProtocolError) -> TransformError:
    """The error of item `index` whose parameters could not be packed."""
    return TransformError(f"the parameters of item {index} contain a value that a query cannot take: {error}")


@functools.lru_cache(maxsize=1024)
def refusal(query: str) -> str:
    """What is wrong with a query's text whatever the server is; empty if nothing."""
    try:
        first = next(token for token in tokens(query) if token.text != ";")
        if first.kind is Kind.END:
            return "is empty"
        word = first.text.upper()
        if word in TRANSACTION_CONTROL:
            return f"is {word}: {ONE_TRANSACTION}"
        return _refusal_within(query) if SUSPECT.search(query) else ""
    except ClauseError:
        return ""  # not even tokens: the server says what is wrong


def _refusal_within(query: str) -> str:
    words = []
    for token in tokens(query):
        words.append(_word(token))
        for part in COMMITS_ITSELF:
            if _ends_with(words, part):
                return f"commits in its middle ({' '.join(part).lstrip('} ')}): {ONE_TRANSACTION}"
        if _ends_with(words, NEEDS_EVERYTHING):
            return "calls schema.assert, which has to be called outside of any transaction: do so before START"
        if token.kind is Kind.END:
            return ""
    return ""


def _word(token: Token) -> str:
    """What a token is compared as; a string or a parameter is none of our words, whatever it holds."""
    if token.kind in (Kind.NAME, Kind.QUOTED_NAME):
        return token.value.upper()
    return token.text if token.kind is Kind.SYMBOL else ""


def _ends_with(words: Sequence[str], part: Sequence[str]) -> bool:
    return tuple(words[-len(part) :]) == tuple(part)


def _shown(value: object) -> str:
    try:
        text = one_line(repr(value), QUOTED_IN_ERRORS)
    except Exception:  # a value's own __repr__ is the user's code
        text = "a value that cannot be shown"
    return f"{type(value).__name__} {text}"
