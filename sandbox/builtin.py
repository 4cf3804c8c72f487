"""The module `mg`, which the server brings along."""

from __future__ import annotations

import os
from typing import Any

from sandbox.cypher_types import type_bool, type_string
from sandbox.modules import Registry
from sandbox.native import Graph
from sandbox.procedures import Module, ProcedureError, Row

MODULE = "mg"


def make_builtin(registry: Registry) -> Module:
    """`mg.load`, `mg.load_all` and `mg.procedures` for this registry."""

    def load(graph: Graph, arguments: tuple[Any, ...]) -> list[Row]:
        if not registry.load(arguments[0]):
            raise ProcedureError(f"{MODULE}.load: Failed to (re)load the module.")
        return []

    def load_all(graph: Graph, arguments: tuple[Any, ...]) -> list[Row]:
        registry.load_all()
        return []

    def procedures(graph: Graph, arguments: tuple[Any, ...]) -> list[Row]:
        return [
            {
                "name": procedure.name,
                "signature": procedure.signature,
                "is_write": procedure.is_write,
                "path": owner.path or "builtin",
                "is_editable": bool(owner.path) and os.access(owner.path, os.W_OK),
            }
            for owner, procedure in registry.all()
        ]

    module = Module(MODULE, path="")
    module.add_read_procedure(load).add_arg("module_name", type_string())
    module.add_read_procedure(load_all)
    listing = module.add_read_procedure(procedures)
    for name in ("name", "signature", "path"):
        listing.add_result(name, type_string())
    for name in ("is_write", "is_editable"):
        listing.add_result(name, type_bool())
    return module
