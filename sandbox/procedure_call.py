"""`CALL module.procedure(...)` in a client's transaction, from RUN to the last record."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import Any

from sandbox.calls import Call, Yield
from sandbox.claims import Transaction
from sandbox.dialect import columns_of
from sandbox.failures import CLIENT_ERROR, CONFLICT, TRANSIENT_ERROR, translated
from sandbox.graph import GraphView
from sandbox.native import Graph, SerializationError, UnknownError
from sandbox.procedures import Procedure, ProcedureError
from sandbox.state import ServerState
from sandbox.upstream import Refused, Upstream
from sandbox.values import from_bolt, to_bolt
from sluice.bolt import messages
from sluice.bolt.messages import Version
from sluice.bolt.values import Value

_ROW = "`sandbox row`"


class CallFailed(Exception):
    """The client gets a FAILURE with this code and text."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NoResult:
    """Of a statement that is done once it was answered; takes the part of a `ProcedureCall`."""

    type = "s"

    def __init__(self) -> None:
        self.columns: list[str] = []
        self.rows: list[list[Value]] = []

    def run(self, transaction: Transaction, version: Version, *, own_transaction: bool) -> None:
        """There is nothing to do."""

    def take(self, count: int) -> list[list[Value]]:
        """No rows."""
        return self.rows

    def finish(self) -> None:
        """There is nothing to do."""


class ProcedureCall:
    """
    A call of a procedure.

    States: prepare -> run -> take, as often as there are rows -> finish. CallFailed from each of them ends it.

    Threads: for the session's thread.
    """

    def __init__(self, statement: Call, upstream: Upstream, state: ServerState) -> None:
        self.columns: list[str] = []
        self.rows: list[list[Value]] = []
        "What was not taken yet."
        self._statement = statement
        self._upstream = upstream
        self._state = state
        self._arguments: list[Any] = []
        self._yields: list[Yield] = []
        self._parameters: dict[str, Value] = {}
        self._own_transaction = False
        self._ran = False

    @property
    def type(self) -> str:
        """What Bolt calls the kind of the query: rw or r."""
        return "rw" if self._procedure.is_write else "r"

    def prepare(self, parameters: dict[str, Value]) -> None:
        """What Memgraph does at RUN: find the procedure, and the columns."""
        procedure = self._state.registry.find(self._statement.procedure)
        if procedure is None:
            raise CallFailed(CLIENT_ERROR, f"There is no procedure named '{self._statement.procedure}'.")
        self._procedure: Procedure = procedure
        if self._statement.yields is None and procedure.results:
            raise CallFailed(
                CLIENT_ERROR, "CALL without YIELD may only be used on procedures which do not return any result fields."
            )
        # Memgraph gives the columns of `YIELD *` in alphabetical order.
        self._yields = list(self._statement.yields or (Yield(name, name) for name in sorted(procedure.results)))
        self.columns = [item.name for item in self._yields]
        if self._statement.tail:
            self.columns = columns_of(self._statement.tail) or sorted(self.columns)
        self._parameters = parameters
        self._arguments = self._evaluated(self._statement.arguments)

    def run(self, transaction: Transaction, version: Version, *, own_transaction: bool) -> None:
        """
        Call the procedure, if that has not happened yet.

        Args:
            transaction: that it runs in.
            own_transaction: whether that has to be begun, and at the end committed, on the graph's side.
        """
        if self._ran:
            return
        self._ran = True
        self._own_transaction = own_transaction
        try:
            if own_transaction:
                self._upstream.request(messages.begin())
            # The server's own procedures may be the ones that reload the others.
            with nullcontext() if self._procedure.is_builtin else self._state.registry.call_in_progress():
                rows = self._called(transaction, version)
            if self._statement.tail:
                rows = self._continued(rows)
        except Refused as error:
            raise CallFailed(*translated(error.code, str(error))) from error
        self.rows = rows

    def take(self, count: int) -> list[list[Value]]:
        """The next `count` rows; all for a negative number."""
        count = len(self.rows) if count < 0 else count
        taken, self.rows = self.rows[:count], self.rows[count:]
        return taken

    def finish(self) -> None:
        """Commit, if the transaction was the call's own."""
        if self._own_transaction:
            try:
                self._upstream.request(messages.commit())
            except Refused as error:
                raise CallFailed(*translated(error.code, str(error))) from error

    def _evaluated(self, expressions: tuple[str, ...]) -> list[Any]:
        """The values of the arguments, which the graph knows to compute."""
        if not expressions:
            return []
        items = ", ".join(f"{expression} AS a{index}" for index, expression in enumerate(expressions))
        try:
            ((*values,),) = self._upstream.ask(f"RETURN {items}", self._parameters).rows
        except Refused as error:
            raise CallFailed(*translated(error.code, str(error))) from error
        return [from_bolt(value) for value in values]

    def _called(self, transaction: Transaction, version: Version) -> list[list[Value]]:
        claim = partial(self._state.claims.claim, transaction)
        view = GraphView(self._upstream.ask, claim, mutable=self._procedure.is_write)
        try:
            rows = self._procedure.call(Graph(view, self._state.aborting), self._arguments)
            view.flush()
            self._procedure.check_yields(item.field for item in self._yields)
            # What has no columns has no rows either.
            return [[to_bolt(row[item.field], version) for item in self._yields] for row in rows if self._yields]
        except (ProcedureError, UnknownError) as error:
            raise CallFailed(CLIENT_ERROR, str(error)) from error
        except SerializationError as error:
            raise CallFailed(TRANSIENT_ERROR, CONFLICT) from error
        finally:
            view.valid = False

    def _continued(self, rows: list[list[Value]]) -> list[list[Value]]:
        """The rows after the rest of the statement, which is the graph's to run."""
        items = ", ".join(f"{_ROW}[{index}] AS {_quoted(item.name)}" for index, item in enumerate(self._yields))
        query = f"UNWIND $`sandbox rows` AS {_ROW} WITH {items} {self._statement.tail}"
        result = self._upstream.ask(query, {**self._parameters, "sandbox rows": rows})
        if sorted(result.fields) != sorted(self.columns):
            return result.rows
        order = [result.fields.index(column) for column in self.columns]
        return [[row[index] for index in order] for row in result.rows]


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
