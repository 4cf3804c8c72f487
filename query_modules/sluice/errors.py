"""
Everything this package raises on purpose.

SluiceError
  UserError                    the request is wrong; the text says what and where
    ClauseError                ... the clause cannot be parsed (has `line`, `column`, `found`, `expected`)
    SettingError               ... a setting or an argument has a value that it cannot have   retryable where marked
    StreamNotFound             ... there is no stream of that name
    StreamExists               ... the name is taken
    StreamRunning              ... the stream has to be stopped first
    TopicNotFound              ... the broker has no such topic
    NothingToRead              ... the topic holds no message that a test could show
    NoReport                   ... no executed test was asked for, or it is not done yet
    SchemaError                ... the metadata nodes are of another version of Sluice          retryable where marked
  ScriptError                  the transform script cannot be fetched or loaded               retryable where marked
  TransformError               the transform raised, broke its contract or did not end (a data error)
    HeadersUnreadable          ... or cannot be given a message, whose headers Kafka's client cannot read
    ServiceUnavailable         ... or waits for something else; no fault of the messages     retryable
  MessageRefused               a single message that cannot be applied: what its stream stopped for
  BrokerError                  Kafka said no, or nothing                                      retryable where marked
    BrokerUnreachable          ... no broker answers                                          retryable
    OffsetGone                 ... it has nothing at a stream's position any more             retryable
    GapFound                   ... and the stream's policy is to stop at that
  GraphError                   the database side
    QueryRefused               FAILURE from the server; nothing of the batch took effect (has `code`)
      TransientFailure         ... and it may work if tried again                             retryable
    ConnectionLost             the connection went, or could not be made, outside COMMIT      retryable
    CommitUnknown              it went while COMMIT was unanswered: the batch may or may not be in
    FenceLost                  the checkpoint is no longer where this worker left it
    ConflictError              another transaction changes the same streams                   retryable
      CallAborted              ... or the query that called was to end                        retryable
  ProtocolError                a rule of Bolt was broken
    LocalProtocolError         ... by us: a bug, or a value that Bolt cannot carry
    RemoteProtocolError        ... by the peer

and Stopped, which is not an error: the owner wanted to stop while something took its time. In Memgraph an exception
reaches the client as a traceback whose last line is the class's full name and the text, so each text is one line.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Passing(NamedTuple):
    """A refusal that passes: it says nothing against the query."""

    code: str
    "CLIENT or TRANSIENT: what the server's code calls it."
    text: str
    "A regular expression that finds it in the server's text."
    versions: str
    "Of Memgraph, in whose source or answers the text was seen."
    meaning: str


CLIENT, TRANSIENT = "ClientError", "TransientError"

PASSING = (
    Passing(CLIENT, "forbidden on the (replica|main)", "2.14.1, 3.x", "the instance's role has changed, or changes"),
    Passing(CLIENT, "SYNC replica|Replication Exception", "2.14.1, 3.x", "committed here, not confirmed elsewhere"),
    Passing(CLIENT, "serialization error", "2.14.1, 3.x", "a conflict that is met at COMMIT, or by a procedure (3.x)"),
    Passing(CLIENT, "cannot be serialized", "2.14.1, 3.x", "a conflict that a procedure meets"),
    Passing(CLIENT, "Error in serialization!$", "2.14.1, 3.x", "a conflict that a procedure written in C++ meets"),
    Passing(CLIENT, "persist[ae]nce error", "2.14.1, 3.x", "the disk"),
    Passing(CLIENT, "storage mode has changed", "2.14.1, 3.x", "the storage mode, in the middle of a transaction"),
    Passing(CLIENT, "not authorized to execute", "2.14.1, 3.x", "a grant"),
    Passing(TRANSIENT, "conflicting transactions", "2.14.1, 3.x", "a conflict"),
    Passing(TRANSIENT, "asked to abort|requested to stop", "2.14.1, 3.x", "TERMINATE TRANSACTIONS, a shutdown"),
    Passing(TRANSIENT, "Memory limit exceeded", "2.14.1, 3.x", "the server's memory"),
    Passing(
        TRANSIENT,
        "access to the storage",
        "3.x (2.14.1 waits instead)",
        "CREATE INDEX and its like beside open transactions: shared, read-only or unique access",
    ),
    Passing(TRANSIENT, "system queries", "3.x", "a query about users or databases is run"),
)
"""
All refusals that are known to pass. The server gives a transient error's code to everything that is no
`QueryException`, hence also to what is wrong with a query and stays so (`date('yesterday')`, a CSV file that is not
there, a trigger that refuses); and a client's to some that pass.

Source: `Interpreter::Commit` in `interpreter.cpp`, `exceptions.hpp`, `ExceptionToErrorMessage` in `handlers.hpp`, and
`src/storage/v2/storage.hpp`, of Memgraph v2.14.1, v3.11.0 and of August 2026.
"""


def _any_of(code: str) -> re.Pattern[str]:
    return re.compile("|".join(item.text for item in PASSING if item.code == code), re.IGNORECASE)


INFRASTRUCTURE, PASSES = _any_of(CLIENT), _any_of(TRANSIENT)

UNIQUE = re.compile("unique constraint violation", re.IGNORECASE)
"Of a COMMIT: wrong for good, or another transaction has created the vertex meanwhile, and MERGE will find it."


def one_line(text: object, limit: int = 500) -> str:
    """`text` as one line of at most `limit` characters: runs of blanks become one, what is not printable escapes."""
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(str(text).split()))
    return line if len(line) <= limit else line[: limit - 3] + "..."


class SluiceError(Exception):
    """Base of all errors of this package. Its text is one line."""

    retryable = False
    "Whether doing the same thing again, unchanged, may work."

    def __init__(self, message: object, *, retryable: bool | None = None) -> None:
        super().__init__(one_line(message))
        if retryable is not None:
            self.retryable = retryable


class UserError(SluiceError):
    """The request is wrong; nothing was changed."""


class ClauseError(UserError):
    """A text starts like one of our clauses and goes on like none of them."""

    def __init__(self, message: str, *, line: int, column: int, found: str, expected: str) -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        self.found = found
        self.expected = expected


class SettingError(UserError):
    """A setting or an argument has a value that it cannot have."""


class StreamNotFound(UserError):
    """There is no stream of that name."""


class StreamExists(UserError):
    """The name is taken by another stream."""


class StreamRunning(UserError):
    """The stream is running and has to be stopped first."""


class TopicNotFound(UserError):
    """The broker answers, and has no such topic."""


class NothingToRead(UserError):
    """The topic holds no message after the stream's position."""


class NoReport(UserError):
    """There is no report of an executed test: none was asked for, it is not done yet, or it could not be."""


class SchemaError(UserError):
    """The metadata nodes are of another version: an older one that is being migrated, or one that we do not know."""

    def __init__(self, message: object, *, catalog: int, version: int, older: bool) -> None:
        super().__init__(message)
        self.catalog = catalog
        "The catalog node's id."
        self.version = version
        self.older = self.retryable = older
        "Whether it can be migrated."


class ScriptError(SluiceError):
    """The transform script cannot be fetched, does not compile, or defines no transform."""


class TransformError(SluiceError):
    """
    The transform raised, gave back something else than a list of queries, or did not end in time.

    A data error, unless it is retryable: the same batch would fail again.
    """


class HeadersUnreadable(TransformError):
    """... and never can be given a message: it wants the headers, and Kafka's client cannot read them."""


class ServiceUnavailable(TransformError):
    """... waits for a service, such as a schema registry: no fault of the batch. A script may raise it as well."""

    retryable = True


class MessageRefused(SluiceError):
    """One message cannot be applied, and the stream's policy is to stop at it."""


class BrokerError(SluiceError):
    """Kafka refused or did not answer."""

    retryable = True


class BrokerUnreachable(BrokerError):
    """No broker answers."""


class OffsetGone(BrokerError):
    """A partition has nothing at the stream's position: it was trimmed, made anew, or lost what the stream has read."""

    def __init__(self, message: object, *, partition: tuple[str, int], log_end: int | None = None) -> None:
        super().__init__(message)
        self.partition = partition
        self.log_end = log_end
        "Up to which offset its log is still the one that was read; None: its bounds tell what is gone."


class GapFound(BrokerError):
    """Kafka no longer has messages that the stream has not read, and the stream's policy is to stop there."""

    retryable = False


class GraphError(SluiceError):
    """The database side of a stream."""


class QueryRefused(GraphError):
    """The server answered FAILURE; nothing of the transaction took effect."""

    def __init__(self, message: object, *, code: str, index: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        "Neo4j status code, as the server sent it."
        self.index = index
        "Which request of the exchange was refused, counted from 0; None where that is unknown."

    @property
    def of_data(self) -> bool:
        """Whether the query is to blame, so that the same message would be refused again."""
        return not self.retryable and INFRASTRUCTURE.search(str(self)) is None

    @property
    def violates_uniqueness(self) -> bool:
        """Whether the transaction violates a uniqueness constraint."""
        return UNIQUE.search(str(self)) is not None


class TransientFailure(QueryRefused):
    """Refused for now: a conflict with another transaction, above all."""

    retryable = True

    @property
    def suspect(self) -> bool:
        """Whether only the code says that it will pass."""
        return PASSES.search(str(self)) is None


class ConnectionLost(GraphError):
    """The connection went, or could not be made. Nothing that was not committed took effect."""

    retryable = True


class CommitUnknown(GraphError):
    """
    The connection was lost while the answer to COMMIT was awaited. Reading the checkpoint tells if the batch is in.
    """


class FenceLost(GraphError):
    """The checkpoint is not where this worker left it: somebody else has written, or it was deleted."""


class ConflictError(GraphError):
    """Another transaction changes the same streams; the whole transaction is to be tried again."""

    retryable = True


class CallAborted(ConflictError):
    """... or the server was asked to end the query that called a procedure."""


class ProtocolError(SluiceError):
    """A rule of Bolt was broken."""


class LocalProtocolError(ProtocolError):
    """... by us: a bug, or a value that Bolt cannot carry."""


class RemoteProtocolError(ProtocolError):
    """... by the peer."""


class Stopped(Exception):  # noqa: N818 - no error of anybody: the owner asked for it
    """The owner wanted to stop while something took its time."""
