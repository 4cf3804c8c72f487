"""What messages become by ready transforms: tables of messages, and the queries and their parameters."""

from __future__ import annotations

import json
from typing import Any

from sluice import ready
from sluice.values.record import Record

Rows = list[tuple[str, dict[str, Any]]]


def message(value: Any, key: Any = None, **others: Any) -> Record:
    """A message. What is neither null nor bytes is JSON."""
    place = {"headers": [], "topic": "people", "partition": 0, "offset": 7, "timestamp": 1700, **others}
    return Record(_data(value), _data(key), **place)


def queries(name: str, options: dict[str, Any], *given: Any) -> Rows:
    """What the ready transform makes of messages, or of their values."""
    [(function, transform)] = ready.configured(name, options).items()
    records = [one if isinstance(one, Record) else message(one) for one in given]
    return list(transform([record.value for record in records] if function == "stream" else records))


def _data(value: Any) -> bytes | None:
    return value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
