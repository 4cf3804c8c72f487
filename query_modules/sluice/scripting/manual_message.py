"""Messages that a person gives to a transform by hand, instead of Kafka."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sluice.errors import SettingError
from sluice.values.parked_message import as_bytes
from sluice.values.record import Record, Records

TOPIC = "test"
"Of messages that name none."

FORM = "a text, null, or a map of value, key, headers, topic, partition, offset and timestamp"


def records_given(messages: Sequence[Any]) -> Records:
    """
    Messages as `streams.try_transform` takes them: each `FORM`, its texts as `streams.parked` gives them, `base64:`
    before what is no UTF-8. What a map leaves out is null, no headers, topic TOPIC, partition 0, the message's place in
    the batch, now.

    Raises SettingError: something is of another form; the text says which.
    """
    return Records(_record(index, message) for index, message in enumerate(messages))


def _record(index: int, message: Any) -> Record:
    try:
        fields = dict(message) if isinstance(message, Mapping) else {"value": message}
        defaults = {"topic": TOPIC, "partition": 0, "offset": index, "timestamp": int(time.time() * 1000)}
        place = {name: fields.pop(name, default) for name, default in defaults.items()}
        headers = fields.pop("headers", None) or []
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        record = Record(
            value=_data(fields.pop("value", None)),
            key=_data(fields.pop("key", None)),
            headers=[(name, _data(value)) for name, value in pairs],
            **place,
        )
        right = (
            not fields and isinstance(record.topic, str) and all(isinstance(name, str) for name, _ in record.headers)
        )
        right = right and all(isinstance(record[position], int) for position in (4, 5, 6))
    except (TypeError, ValueError):
        right = False
    if not right:
        raise SettingError(f"messages must each be {FORM}, got {message!r} at index {index}")
    return record


def _data(text: Any) -> bytes | None:
    if text is not None and not isinstance(text, str):
        raise TypeError(text)
    return as_bytes(text)
