"""
The files of a transform: one script, or the modules of a folder or zip file, of which `transform.py` is the script.

Wherever a transform's source is stored, signed or compared it is one text: the script itself, or `HEADER` and the
modules as a JSON object, which is equal for equal modules. The modules can be imported as if the folder were on the
path, and are real: they are in `sys.modules`, where pickle and type hints look for them.
"""

from __future__ import annotations

import importlib
import io
import json
import sys
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any

from sluice.errors import ScriptError, SettingError

SCRIPT = "transform.py"
"The file of a folder or zip file that defines the transform."

NO_SCRIPT = f"it has no {SCRIPT}, which has to define the transform"

HEADER = "# sluice: the modules of a transform\n"
"What the text of several modules begins with."

SINGLE = "sluice_transform"
"The module that a single script is: a name that it does not import anything by."

ZIP = b"PK\x03\x04"
"What a zip file begins with, and no script."

MAX_MODULES = 1000


def encoded(modules: Mapping[str, str], max_bytes: int) -> str:
    """
    Modules as one text of at most `max_bytes`.

    Args:
        modules: relative path -> source; paths have slashes.

    Raises:
        SettingError: there is no SCRIPT among them, or they are too many or too large.
    """
    if SCRIPT not in modules:
        raise SettingError(NO_SCRIPT)
    if len(modules) > MAX_MODULES:
        raise SettingError(f"it has {len(modules)} modules; {MAX_MODULES} is the maximum")
    text = HEADER + json.dumps(modules, sort_keys=True, indent=0, ensure_ascii=False) + "\n"
    if len(text.encode()) > max_bytes:
        raise SettingError(f"it is larger than {max_bytes} bytes")
    return text


def modules_of(source: str) -> dict[str, str] | None:
    """
    The reverse of `encoded`; None if the text is a single script.

    Raises:
        ScriptError: it begins like modules, and goes on like none.
    """
    if not source.startswith(HEADER):
        return None
    try:
        modules = json.loads(source[len(HEADER) :])
    except (ValueError, RecursionError):
        modules = None
    if not isinstance(modules, dict) or not all(isinstance(text, str) for text in modules.values()):
        raise ScriptError("its modules cannot be told apart: the text that they are stored as was changed")
    return modules


def script_of(source: str) -> str:
    """The script that defines the transform. Raises as `modules_of`."""
    modules = modules_of(source)
    return source if modules is None else modules.get(SCRIPT, "")


def unzipped(content: bytes, max_bytes: int) -> dict[str, str]:
    """
    The modules in a zip file; a folder that holds all of them is left out of their paths. Other files are passed over.

    Raises:
        SettingError: it cannot be read, or has more than `max_bytes`, unpacked.
        UnicodeDecodeError: a module is not UTF-8.
    """
    modules: dict[str, str] = {}
    left = max_bytes
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for info in archive.infolist():
                if info.filename.endswith(".py"):
                    with archive.open(info) as file:
                        data = file.read(left + 1)
                    left -= len(data)
                    modules[info.filename] = data.decode("utf-8-sig")
                if left < 0:
                    break
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, UnicodeDecodeError):
            raise
        raise SettingError(f"it is not a zip file that can be read: {error}") from None
    if left < 0:
        raise SettingError(f"it is larger than {max_bytes} bytes")
    top = {path.partition("/")[0] for path in modules}
    if SCRIPT not in modules and len(top) == 1:
        return {path.partition("/")[2]: text for path, text in modules.items()}
    return modules


class Modules(MetaPathFinder, SourceLoader):
    """Imports a transform's modules from memory."""

    def __init__(self, source: str, uri: str) -> None:
        """Raises as `modules_of`."""
        modules = modules_of(source)
        self._single = modules is None
        self._modules = {f"{SINGLE}.py": source} if modules is None else modules
        self._uri = uri

    def load(self) -> ModuleType:
        """The script's module, run. Raises what it raises; it can then import the others for as long as it runs."""
        sys.meta_path.insert(0, self)
        return importlib.import_module(SINGLE if self._single else SCRIPT.removesuffix(".py"))

    def place(self, filename: str, line: int) -> str | None:
        """How errors name a line of one of these files; None if it is another file."""
        if self._single:
            return f"line {line}" if filename == self._uri else None
        path = filename.removeprefix(f"{self._root}/")
        return f"{path}, line {line}" if path != filename and path in self._modules else None

    @property
    def _root(self) -> str:
        return self._uri.rstrip("/")

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        """As importlib has it."""
        base = fullname.replace(".", "/")
        package = f"{base}/__init__.py" in self._modules
        if package or f"{base}.py" in self._modules:
            spec = ModuleSpec(fullname, self, origin=self.get_filename(fullname), is_package=package)
            spec.has_location = True
            return spec
        is_folder = any(name.startswith(f"{base}/") for name in self._modules)
        return ModuleSpec(fullname, None, is_package=True) if is_folder else None

    def get_filename(self, fullname: str) -> str:
        """As importlib has it."""
        if self._single:
            return self._uri
        base = fullname.replace(".", "/")
        package = f"{base}/__init__.py"
        return f"{self._root}/{package if package in self._modules else f'{base}.py'}"

    def get_data(self, path: str) -> bytes:
        """As importlib has it."""
        name = f"{SINGLE}.py" if self._single else path.removeprefix(f"{self._root}/")
        if name not in self._modules:
            raise OSError(f"the transform has no file {name}")
        return self._modules[name].encode()

    def source_to_code(self, data: Any, path: Any = "<string>") -> CodeType:  # type: ignore[override]
        """As importlib has it; the source is UTF-8, whatever it declares."""
        code: CodeType = compile(bytes(data).decode(), path, "exec", dont_inherit=True)
        return code
