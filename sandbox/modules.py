"""
Query modules: loading, calling, reloading.

Source: `src/query/procedure/module.cpp` in Memgraph, `PythonModule::Close` above all, whose way of purging is copied
with its faults.
"""

from __future__ import annotations

import ast
import importlib
import logging
import sys
import threading
import types
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sandbox import cypher_types, native
from sandbox.procedures import Module, Procedure

log = logging.getLogger("sandbox.modules")

SPARED = frozenset({"collections", "abc", "sys", "torch", "torch_geometric", "igraph", "dgl", "numpy"})
"Modules that a purge leaves alone."


class Registry:
    """
    The query modules there are.

    Threads: any. Calls go on side by side; a reload waits for those in progress and keeps others waiting.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._modules: dict[str, Module] = {}
        self._quiet = threading.Condition()  # guards _calls
        self._calls = 0
        self._mgp = _make_mgp()

    def add(self, module: Module) -> None:
        """Add what the server brings along."""
        self._modules[module.name] = module

    def find(self, name: str) -> Procedure | None:
        """The procedure `module.name`, if there is one."""
        module_name, _, procedure_name = name.rpartition(".")
        module = self._modules.get(module_name)
        return module.procedures.get(procedure_name) if module else None

    def all(self) -> list[tuple[Module, Procedure]]:
        """All procedures, by name."""
        pairs = [(module, item) for module in self._modules.values() for item in module.procedures.values()]
        return sorted(pairs, key=lambda pair: pair[1].name)

    @contextmanager
    def call_in_progress(self) -> Iterator[None]:
        """No module is reloaded inside."""
        with self._quiet:
            self._calls += 1
        try:
            yield
        finally:
            with self._quiet:
                self._calls -= 1
                self._quiet.notify_all()

    def load_all(self) -> None:
        """Load all modules, anew where they are loaded. What cannot be loaded is logged, as in Memgraph."""
        with self._nothing_in_progress():
            self.close_all()
            for folder in self._folders:
                for file in _module_files(folder):
                    self._load(file)

    def load(self, name: str) -> bool:
        """Load one module, anew if it is loaded; whether that went well."""
        with self._nothing_in_progress():
            if name in self._modules:
                self._close(self._modules[name])
            for folder in self._folders:
                for file in _module_files(folder):
                    if file.stem == name:
                        return self._load(file)
        return False

    def close_all(self) -> None:
        """Unload everything. Does not wait for calls in progress: the server is ending."""
        for module in list(self._modules.values()):
            self._close(module)

    @contextmanager
    def _nothing_in_progress(self) -> Iterator[None]:
        with self._quiet:
            self._quiet.wait_for(lambda: not self._calls)
            yield

    def _load(self, file: Path) -> bool:
        if str(file.parent) not in sys.path:
            sys.path.append(str(file.parent))
        module = Module(file.stem, str(file))
        self._mgp._MODULE = module  # type: ignore[attr-defined]
        try:
            importlib.import_module(file.stem)
        except Exception:
            log.exception("Unable to load module %s", file)
            return False
        finally:
            self._mgp._MODULE = None  # type: ignore[attr-defined]
        log.info("Loaded module %s", file)
        self._modules[module.name] = module
        return True

    def _close(self, module: Module) -> None:
        if not module.path:
            return
        del self._modules[module.name]
        for name in purged_by(Path(module.path), list(sys.modules)):
            sys.modules.pop(name, None)
        log.info("Closed module %s", module.path)


def purged_by(file: Path, loaded: Iterable[str]) -> list[str]:
    """
    Which of the loaded Python modules closing a query module deletes from `sys.modules`.

    Every one whose name *begins* with the name of a module that is imported by the file, or by any `*.py` below a
    folder beside it whose name *contains* the query module's name.
    """
    files = [file]
    for folder in file.parent.rglob("*"):
        if folder.is_dir() and folder.name != "__pycache__" and file.stem in folder.stem:
            files += folder.rglob("*.py")
    imported = {name for source in files for name in _imports(source)} - SPARED
    return [name for name in loaded if name == file.stem or any(name.startswith(prefix) for prefix in imported)]


def _imports(file: Path) -> Iterator[str]:
    """The top-level names of the modules that a file imports, anywhere in it, but for relative ones."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def _module_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*.py") if file.is_file())


def _make_mgp() -> types.ModuleType:
    """The module `_mgp`, in place of the one that PyPI's `mgp` brings along for type checkers."""
    module = types.ModuleType("_mgp")
    for source in (native, cypher_types):
        vars(module).update({name: value for name, value in vars(source).items() if not name.startswith("_")})
    vars(module).update(Module=Module, _MODULE=None, _LOGGER=_Logger())
    sys.modules["_mgp"] = module
    return module


class _Logger:
    """What `mgp.Logger` writes to."""

    def __init__(self) -> None:
        logger = logging.getLogger("sandbox.query_modules")
        self.trace = self.debug = logger.debug
        self.info = logger.info
        self.warning = logger.warning
        self.error = logger.error
        self.critical = logger.critical
