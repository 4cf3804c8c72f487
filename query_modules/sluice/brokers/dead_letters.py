"""
Puts messages that could not be applied into a stream's dead-letter topic.

A dead letter is the message as it was, key, payload and headers, with headers of ours after its own that say where
it came from and why it is here. Delivery is confirmed before the stream continues after the message; should the stream
end between the two, the letter is sent again: at least once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Producer

from sluice.brokers import clients
from sluice.errors import BrokerError, Stopped
from sluice.values.dead_letter import HEADERS
from sluice.values.failed_message import FailedMessage
from sluice.values.model import StreamSpec
from sluice.values.record import readable_headers

log = logging.getLogger("sluice.dead_letter")

SLICE = 0.2
"Seconds between two looks at whether the owner wants to stop."

DELIVERY_TIMEOUT = 10.0
"Seconds that the broker has to confirm a letter before the attempt counts as failed, and is made again."

FOR_GOOD = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD, KafkaError._INVALID_ARG})
"Refusals that the same letter would meet again."


class DeadLetters:
    """
    A stream's way into its dead-letter topic. The producer is made with the first letter.

    Threads: for the thread that made it.
    """

    def __init__(self, spec: StreamSpec, wants_stop: Callable[[], bool]) -> None:
        self._spec = spec
        self._topic = spec.config.dead_letter_topic or ""
        self._wants_stop = wants_stop
        self._producer: Producer | None = None
        self._errors: list[KafkaError] = []

    def deliver(self, letters: Sequence[tuple[confluent_kafka.Message, FailedMessage]]) -> None:
        """
        Sends messages, and waits until the broker has confirmed every one.

        Args:
            letters: each message, and what is known of it.

        Raises:
            BrokerError: it has not; some of them may be there. Not retryable if it never will.
            Stopped: the owner wants to stop; the same.
        """
        producer = self._producer or self._connected()
        self._errors.clear()
        try:
            for message, entry in letters:
                headers = [*readable_headers(message), *_headers(self._spec.name, message, entry)]
                self._send(producer, message, headers)
            while producer.flush(SLICE):
                if self._wants_stop():
                    raise Stopped
        except KafkaException as error:
            raise self._undelivered(error.args[0]) from error
        if self._errors:
            raise self._undelivered(self._errors[0])

    def close(self) -> None:
        """Lets go of the producer, and of what it may still hold."""
        if self._producer is not None:
            self._producer.purge()
            self._producer = None

    def _send(self, producer: Producer, message: confluent_kafka.Message, headers: list[tuple[str, Any]]) -> None:
        while True:
            try:
                producer.produce(
                    self._topic, message.value(), message.key(), headers=headers, on_delivery=self._note_delivery
                )
            except BufferError:  # the producer's queue is full
                if self._wants_stop():
                    raise Stopped from None
                producer.poll(SLICE)
            else:
                return

    def _note_delivery(self, error: KafkaError | None, _: confluent_kafka.Message) -> None:
        if error is not None:
            self._errors.append(error)

    def _connected(self) -> Producer:
        spec = self._spec
        defaults = {
            "client.id": f"sluice.{spec.name}",
            # Whatever could be read may be sent on: how long a letter may be is for the broker to say.
            "message.max.bytes": 1_000_000_000,
            "message.timeout.ms": int(DELIVERY_TIMEOUT * 1000),
            "reconnect.backoff.max.ms": 500,  # else a broker that is back may not be noticed for ten seconds
        }
        own = {"acks": "all", "logger": log, "log_level": 2}
        self._producer = clients.make(Producer, spec.name, spec.uri, spec.config, defaults=defaults, own=own)
        return self._producer

    def _undelivered(self, error: KafkaError) -> BrokerError:
        text = f"Kafka stream {self._spec.name}, dead_letter_topic {self._topic}, not delivered: {error.str()}"
        return BrokerError(text, retryable=error.code() not in FOR_GOOD)


def _headers(stream: str, message: confluent_kafka.Message, entry: FailedMessage) -> list[tuple[str, bytes | None]]:
    place = (entry.topic, str(entry.partition), str(entry.offset), str(message.timestamp()[1]))
    reason = (entry.error, entry.query, entry.params, entry.transform_sha256, entry.time)
    facts = zip(HEADERS, (stream, *place, *reason), strict=True)
    return [(name, None if value is None else value.encode()) for name, value in facts]
