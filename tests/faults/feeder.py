"""The producer of a round: feeds a topic as far as it is told, whatever happens to the broker."""

from __future__ import annotations

import threading
from functools import partial
from types import TracebackType

from confluent_kafka import KafkaError, Message, Producer

from tests.faults.content import Content
from tests.kafka.topics import log

SETTINGS = {
    # Every message once and in order, however often the broker goes away.
    "enable.idempotence": True,
    "message.timeout.ms": 0,
    "linger.ms": 5,
    "reconnect.backoff.max.ms": 500,
    "queue.buffering.max.messages": 50_000,
}


class Feeder:
    """
    Puts the messages of `content` into a topic, in the order of its runs.

    Threads: its own produces; any may call the methods.
    """

    def __init__(self, content: Content, bootstrap: str, topic: str) -> None:
        self._content = content
        self._topic = topic
        self._producer = Producer({"bootstrap.servers": bootstrap, "logger": log, **SETTINGS})
        self._allowed = 0
        self._change = threading.Condition()  # guards _allowed and _closing
        self._closing = False
        self._errors: list[KafkaError] = []
        self._thread = threading.Thread(target=self._run, name="feeder", daemon=True)

    def __enter__(self) -> Feeder:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._change:
            self._closing = True
            self._change.notify()
        self._thread.join()

    def allow(self, count: int) -> None:
        """Feed on until there are at least so many messages in all."""
        with self._change:
            self._allowed = max(self._allowed, count)
            self._change.notify()

    def finish(self, timeout: float) -> None:
        """Feed all there is, and wait until the broker has it."""
        self.allow(self._content.size)
        self._thread.join(timeout)
        assert not self._thread.is_alive(), f"the broker did not take everything within {timeout:g} s"
        assert not self._errors, f"{len(self._errors)} messages were not produced, the first: {self._errors[0].str()}"

    def _may_go_on(self, count: int) -> bool:
        return self._closing or self._allowed > count

    def _run(self) -> None:
        count = 0
        for partition, sequences in self._content.runs:
            with self._change:
                self._change.wait_for(partial(self._may_go_on, count))
                if self._closing:
                    return
            for sequence in sequences:
                self._produce(partition, self._content.message(partition, sequence))
            count += len(sequences)
        while self._producer.flush(0.2) and not self._closing:
            pass

    def _produce(self, partition: int, value: bytes) -> None:
        while not self._closing:
            try:
                self._producer.produce(self._topic, value, partition=partition, on_delivery=self._note)
            except BufferError:  # the queue is full
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return

    def _note(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._errors.append(error)
