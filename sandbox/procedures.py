"""
Procedures: what a query module registers, and a call of it.

Source: `src/query/procedure/mgp_procedure_impl.cpp` and `py_module.cpp` in Memgraph, whose error texts these are.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from sandbox import native
from sandbox.cypher_types import CypherType
from sandbox.values import to_result

Row = dict[str, Any]
"Field -> value, ready for Bolt but for vertices and edges, which are `native.Vertex` and `native.Edge`."


class ProcedureError(Exception):
    """A call failed; the text is what the client reads."""


@dataclass
class Procedure:
    """A registered procedure. `add_*` are what `mgp` calls."""

    name: str
    "`module.name`."
    function: Callable[[native.Graph, tuple[Any, ...]], Any]
    is_write: bool
    required: list[tuple[str, CypherType]] = field(default_factory=list)
    optional: list[tuple[str, CypherType, Any]] = field(default_factory=list)
    results: dict[str, CypherType] = field(default_factory=dict)
    is_builtin: bool = False
    "The server's own, written in terms of dicts instead of `mgp.Record`."

    def add_arg(self, name: str, kind: CypherType) -> None:
        self.required.append((name, kind))

    def add_opt_arg(self, name: str, kind: CypherType, default: Any) -> None:
        self.optional.append((name, kind, default))

    def add_result(self, name: str, kind: CypherType) -> None:
        self.results[name] = kind

    add_deprecated_result = add_result

    @property
    def signature(self) -> str:
        """As `mg.procedures` shows it."""
        arguments = [f"{name} :: {kind.name}" for name, kind in self.required]
        arguments += [f"{name} = {default!r} :: {kind.name}" for name, kind, default in self.optional]
        results = [f"{name} :: {kind.name}" for name, kind in self.results.items()]
        return f"{self.name}({', '.join(arguments)}) :: ({', '.join(results)})"

    def call(self, graph: native.Graph, arguments: Sequence[Any]) -> list[Row]:
        """
        Call the function, with the defaults of what `arguments` leaves out.

        Raises:
            ProcedureError: wrong arguments, an exception of the function, or records that are not what was declared.
        """
        complete = self._checked(arguments)
        try:
            returned = self.function(graph, complete)
        except Exception as error:
            # Our own frame does not exist in Memgraph. The one after it is mgp.py's, which Memgraph leaves out.
            trace = error.__traceback__
            raise ProcedureError(self._told(error, trace and trace.tb_next)) from error
        try:
            return list(self._rows(returned))
        except Exception as error:
            raise ProcedureError(self._told(error, None)) from error

    def check_yields(self, fields: Iterable[str]) -> None:
        """Raises ProcedureError if the procedure has no such result."""
        for name in fields:
            if name not in self.results:
                raise ProcedureError(f"'{self.name}' does not yield a field named '{name}'.")

    def _checked(self, arguments: Sequence[Any]) -> tuple[Any, ...]:
        least, most = len(self.required), len(self.required) + len(self.optional)
        if not least <= len(arguments) <= most:
            wanted = f"between {least} and {most} arguments"
            if not most:
                wanted = "no arguments"
            elif not self.optional:
                wanted = f"exactly {least} argument{'' if least == 1 else 's'}"
            raise ProcedureError(f"'{self.name}' requires {wanted}.")
        declared = [*self.required, *((name, kind) for name, kind, _ in self.optional)]
        for position, (argument, (name, kind)) in enumerate(zip(arguments, declared, strict=False)):
            if not kind.accepts(argument):
                raise ProcedureError(
                    f"'{self.name}' argument named '{name}' at position {position} must be of type {kind.name}."
                )
        defaults = [default for _, _, default in self.optional[len(arguments) - least :]]
        return (*arguments, *defaults)

    def _rows(self, returned: Any) -> Iterator[Row]:
        for item in returned if isinstance(returned, list | tuple) else [returned]:
            row = item if self.is_builtin else {name: to_result(value) for name, value in _fields_of(item).items()}
            for name, value in row.items():
                if name not in self.results or not self.results[name].accepts(value):
                    raise ValueError(
                        f"Unable to insert field '{name}' with value: '{value}'; did you set the correct field type?"
                    )
            if len(row) < len(self.results):
                raise ProcedureError(f"Procedure '{self.name}' did not yield all fields as required by its signature.")
            yield row

    def _told(self, error: BaseException, trace: TracebackType | None) -> str:
        if isinstance(error, ProcedureError):
            return str(error)
        lines = traceback.format_exception(type(error), error, trace)
        return f"{self.name}: " + "".join(line for index, line in enumerate(lines) if index != 1)


def _fields_of(record: Any) -> Row:
    # The server looks `mgp` up anew at each call: a reload of any module has replaced it meanwhile.
    if not isinstance(record, sys.modules["mgp"].Record):
        raise TypeError(f"Value '{record}' is not an instance of 'mgp.Record'")
    return dict(record.fields)


class Module:
    """What the decorators of `mgp` register with while a query module is imported: `_mgp._MODULE`."""

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.path = path
        "Of its file; empty for what the server brings along."
        self.procedures: dict[str, Procedure] = {}

    def add_read_procedure(self, function: Callable[..., Any]) -> Procedure:
        """Register what only reads."""
        return self._add(function, is_write=False)

    def add_write_procedure(self, function: Callable[..., Any]) -> Procedure:
        """Register what may write."""
        return self._add(function, is_write=True)

    def add_function(self, function: Callable[..., Any]) -> Procedure:
        """Accepted and never called: the sandbox has no functions of modules."""
        return Procedure(f"{self.name}.{function.__name__}", function, is_write=False)

    def add_transformation(self, function: Callable[..., Any]) -> None:
        """Accepted and never called: the sandbox has no native streams."""

    def _add(self, function: Callable[..., Any], *, is_write: bool) -> Procedure:
        procedure = Procedure(f"{self.name}.{function.__name__}", function, is_write, is_builtin=not self.path)
        self.procedures[function.__name__] = procedure
        return procedure
