"""
What librdkafka complains of: it reports each connection that it lost or could not make, and retries by itself.
"""

from __future__ import annotations

import logging

from confluent_kafka import KafkaError

from sluice.values.model import StreamSpec

log = logging.getLogger("sluice.consumer")

SPEAKS_OTHERWISE = "if that port wants TLS or SASL, the config needs security.protocol"

HOPELESS = frozenset({KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError._RESOLVE})
"What ends the wait for a broker's answer before its time."


class Complaints:
    """
    The latest complaint of a stream's clients.

    Threads: for the thread that polls the client, from within which librdkafka calls `note`.
    """

    def __init__(self, spec: StreamSpec) -> None:
        self._name = spec.name
        self._uri = spec.uri
        self._news: str | None = None
        self.latest: KafkaError | None = None
        "None: a broker has answered since."

    def note(self, error: KafkaError) -> None:
        """To be called by librdkafka (`error_cb`), which it does again and again."""
        log.debug("stream %s: %s; librdkafka retries", self._name, error.str())
        if error.code() == KafkaError._ALL_BROKERS_DOWN and self.latest is not None:
            # It says that there is no hope for now; what came before it says why.
            error = KafkaError(error.code(), self.latest.str())
        self.latest = error
        self._news = self.unreachable(error)

    def answered(self) -> None:
        """A broker has answered."""
        self.latest = None

    @property
    def pending(self) -> bool:
        """Whether there is one to `take`."""
        return self._news is not None

    def take(self) -> str | None:
        """The latest, in one line, if it was not taken before."""
        news, self._news = self._news, None
        return news

    def unreachable(self, reason: KafkaError) -> str:
        """The text of an error that this is the reason of."""
        text = f"Kafka stream {self._name}, broker unreachable at {self._uri}: {reason.str()}"
        # librdkafka gives no reason where a listener hangs up on a client that does not speak as it does.
        return f"{text}; {SPEAKS_OTHERWISE}" if reason.str().endswith("brokers are down") else text
