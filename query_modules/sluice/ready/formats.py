"""
The bytes of messages into values: JSON, text, and rows of CSV.

What cannot be read is an error of its message, which says what it looks like instead, such as a frame of a schema
registry.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any

from sluice.ready.csv_format import CsvFormat
from sluice.ready.options import OptionReader
from sluice.ready.refusals import WrongMessage
from sluice.ready.texts import looks_like, text_of

Decoder = Callable[[Sequence[bytes]], list[Any]]
"Values of a batch, none of them null -> what they hold, one for each."

_MARK = secrets.token_hex(16)
"Stands between the messages that are read together. Nobody who writes messages can know it."

_BETWEEN = f',"{_MARK}",'.encode()


def read_json(values: Sequence[bytes]) -> list[Any]:
    """
    JSON texts in UTF-8.

    All are read as one text, which takes half the time, with a mark between them. If what comes of it is not a value
    and a mark in turns, some message is not one JSON value, and they are read one by one.

    Raises:
        WrongMessage: a message is not JSON; the text says which byte is wrong, or what it looks like.
    """
    try:
        found = json.loads((b"[" + _BETWEEN.join(values) + b"]").decode())
        if len(found) == 2 * len(values) - 1 and found[1::2] == list(repeat(_MARK, len(values) - 1)):
            return list(found[::2])
    except (ValueError, RecursionError):
        pass
    return list(map(_one_json, values))


def read_text(values: Sequence[bytes]) -> list[Any]:
    """Texts in UTF-8. Raises WrongMessage."""
    return list(map(text_of, values))


def _one_json(value: bytes) -> Any:
    text = text_of(value)
    try:
        return json.loads(text)
    except ValueError as error:
        raise WrongMessage(f"not JSON: {error}{looks_like(value)}") from None
    except RecursionError:
        raise WrongMessage("not JSON that can be read: it is nested too deeply") from None


DECODERS: dict[str, Decoder] = {"json": read_json, "text": read_text}

FORMATS = (*DECODERS, "csv")


def value_decoder(options: OptionReader, default: str = "json") -> tuple[Decoder, bool]:
    """
    What reads the values, as the option `format` says, and whether it gives a list of rows for each message.
    """
    return decoder_of(options.choice("format", FORMATS, default), options)


def decoder_of(form: str, options: OptionReader) -> tuple[Decoder, bool]:
    """The same for the format of that name, which may have options of its own."""
    return (CsvFormat(options).read, True) if form == "csv" else (DECODERS[form], False)


def key_decoder(options: OptionReader, default: str = "text") -> Decoder:
    """What reads the messages' keys, as the option `key_format` says."""
    return DECODERS[options.choice("key_format", tuple(DECODERS), default)]
