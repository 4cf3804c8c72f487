"""
A stream with a `config`, and what its procedures say about it. Holds no test.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.eventually import eventually, within
from tests.integration.test_kit import VALUES, Row, Stream, numbers

POISON = """
def stream(batch):
    return [query(message) for message in batch]


def query(message):
    value = message.decode()
    if value.startswith("raise"):
        raise ValueError(value)
    if value.startswith("refused"):
        return ("CREATE (:LABEL {value: $value, x: 1 / $zero})", {"value": value, "zero": 0})
    if value.startswith("missing"):
        return ("CREATE (:LABEL {value: $no_such_parameter})", {})
    if value.startswith("contract"):
        return value
    if value.startswith("bytes"):
        return ("CREATE (:LABEL {value: $value})", {"value": [message]})
    if value.startswith("commit"):
        return ("COMMIT", {})
    if value.startswith("nan"):
        return ("MERGE (:LABEL {value: $value})", {"value": float("nan")})
    return ("CREATE (:LABEL {value: $value})", {"value": value})
"""
"A vertex for each message, but for those that say how they fail."

INFO = "name, status, reason, generation, positions, batches, messages, failed, transform_sha256, config"  # in order
ERRORS = (
    "time, action, topic, partition, offset, count, key, payload, payload_bytes, headers, query, params, error, "
    "transform_sha256"
)


class Configured(Stream):
    """A `Stream` whose transform is POISON unless it is told otherwise."""

    def configured(
        self, config: dict[str, Any] | None, transform: str = POISON, *, size: int = 10, uri: str = ""
    ) -> None:
        """CREATE with a config."""
        self.run(
            "CALL streams.create($name, $uri, $topic, $transform, 100, $size, $config)",
            name=self.name,
            uri=uri or self.kafka.bootstrap,
            topic=self.topic,
            transform=self.script(transform),
            size=size,
            config=config,
        )

    def configure(self, config: dict[str, Any]) -> None:
        self.run("CALL streams.alter($name, {config: $config})", name=self.name, config=config)

    @property
    def info(self) -> Row:
        (row,) = self.run(f"CALL streams.info($name) YIELD {INFO} RETURN {INFO}", name=self.name)
        return row

    def errors(self, limit: int = 10) -> list[Row]:
        return self.run(
            f"CALL streams.errors($name, $limit) YIELD {ERRORS} RETURN {ERRORS}", name=self.name, limit=limit
        )

    def await_reason(self, part: str, timeout: float = 30.0) -> str:
        """Wait until `reason` has this in it."""
        return str(eventually(lambda: part in (self.info["reason"] or "") and self.info["reason"], timeout=timeout))

    def insist(self, statement: str, **parameters: Any) -> list[Row]:
        """Runs what may conflict with a worker or the supervisor; $name is the stream's."""
        return eventually(lambda: [self.run(statement, name=self.name, **parameters)], timeout=20, interval=0.01)[0]

    def another(self, folder: Path) -> Configured:
        """One of the same name and topic that imports into vertices of its own; not created."""
        again = Configured(self.run, self.kafka, folder, self.name, topic=self.topic)
        again.label = f"Again_{self.name}"
        return again

    def answers_quickly(self) -> None:
        """Procedures wait neither for a broker nor for the loopback."""
        began = time.monotonic()
        assert self.status == "running"
        self.stop()
        self.start()
        assert self.status == "running"
        assert within(2, began)

    def await_no_reason(self, timeout: float = 30.0) -> None:
        """Wait until all is well."""
        eventually(lambda: self.info["reason"] is None, timeout=timeout)

    def await_position(self, position: int, partition: int = 0, timeout: float = 20.0) -> None:
        """Wait until the stream is there."""
        eventually(lambda: self.info["positions"].get(str(partition)), equals=position, timeout=timeout)


def started(stream: Configured) -> Configured:
    """A stream that is not created yet, made to run, with ten messages imported."""
    stream.create(VALUES)
    stream.start()
    stream.send(numbers(0, 10))
    stream.await_values(numbers(0, 10))
    return stream
