"""The packages that some formats need, in the Python that runs transforms; imported when such a format is opened."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

from sluice.decoding.refusals import WrongOption

INSTALLED_BY = {
    "fastavro": "fastavro",
    "google.protobuf": "protobuf",
    "proto_schema_parser": "proto-schema-parser",
    "jsonschema": "jsonschema",
    "requests": "requests",
}
"Module -> what pip calls it."


def needed(module: str, what: str, part: str = "") -> ModuleType:
    """
    A module, or one below it.

    Args:
        what: what needs it, for the error.
        part: the module below it.

    Raises:
        WrongOption: it is missing; the text has the command that installs it.
    """
    try:
        return import_module(f"{module}.{part}" if part else module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name.partition(".")[0]):
            raise
        package = INSTALLED_BY[module]
        raise WrongOption(f"{what} needs the package {package}: {sys.executable} -m pip install {package}") from None
