"""What librdkafka complains of: it reports each connection that it lost or could not make, and retries by itself."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable

from confluent_kafka import KafkaError

from sluice.errors import BrokerError
from sluice.values.model import StreamSpec

log = logging.getLogger("sluice.consumer")

SPEAKS_OTHERWISE = "if that port requires TLS or SASL, the config needs security.protocol"

HOPELESS = frozenset({KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError._RESOLVE})
"What ends the wait for a broker's answer before its time."


TOO_LARGE = re.compile(r"^(?P<broker>\S+?)(?:/\S+)?: .*Invalid response size (?P<size>\d+) \(0\.\.(?P<limit>\d+)\)")
"""
A broker's answer that the client does not take: it drops the connection, asks again and gets the same answer.

Source: `rd_kafka_recv` in `rdkafka_broker.c`, v2.16.0.
"""

ADVERTISED = re.compile(
    r"^(?:GroupCoordinator: |(?:\w+://)?(?=\S+/\d+: ))(?P<address>[^/\s]+?)(?:/\d+)?: "
    r"(?:Connect to|Failed to resolve|Connection setup timed out)"
)
"""
A connection that could not be made to an address that brokers have told: it is followed by a broker's number, where
those of the stream's URI are followed by "bootstrap"; or it is that of the coordinator of the group.

Source: `rd_kafka_mk_brokername` in `rdkafka_broker.c`, v2.16.0.
"""

NO_TOKEN = "Failed to acquire SASL OAUTHBEARER token: "
"""
How an error begins that says why there is no new token. Then brokers refuse the old one, which is said far more often.

Source: `rd_kafka_oauthbearer_set_token_failure0` in `rdkafka_sasl_oauthbearer.c`, v2.16.0.
"""

MARGIN = 1 << 20
"Bytes more than such an answer had, for the next."

LASTS = 45.0
"Seconds for which an obstacle is believed: librdkafka does not repeat the same error within 30 s."

Clock = Callable[[], float]


class Complaints:
    """
    The latest complaint of a stream's clients.

    Threads: for the thread that polls the client, from within which librdkafka calls `note`.
    """

    def __init__(self, spec: StreamSpec, clock: Clock = time.monotonic) -> None:
        self._name = spec.name
        self._uri = spec.uri
        self._clock = clock
        self._obstacle: tuple[float, str] | None = None
        self._no_token: tuple[float, str] | None = None
        self._news: str | None = None
        self.latest: KafkaError | None = None
        "None: a broker has answered since."

    def note(self, error: KafkaError) -> None:
        """To be called by librdkafka (`error_cb`), which it does again and again."""
        log.debug("stream %s: %s; librdkafka retries", self._name, error.str())
        if error.code() == KafkaError._ALL_BROKERS_DOWN and self.latest is not None:
            # It says that there is no hope for now; what came before it says why.
            error = KafkaError(error.code(), self.latest.str())
        if found := TOO_LARGE.search(error.str()):
            self._obstacle = self._clock() + LASTS, self._too_large(found["broker"], int(found["size"]), found["limit"])
        if error.str().startswith(NO_TOKEN):
            self._no_token = self._clock() + LASTS, error.str().removeprefix(NO_TOKEN)
        self.latest = error
        self._news = self.unreachable(error)

    def answered(self) -> None:
        """A broker has answered."""
        self.latest = self._no_token = None

    @property
    def pending(self) -> bool:
        """Whether there is one to `take`."""
        return self._news is not None

    def take(self) -> str | None:
        """The latest, in one line, if it was not taken before."""
        news, self._news = self._news, None
        return news

    @property
    def obstacle(self) -> str | None:
        """What keeps messages from coming though the brokers answer; None: nothing that is known."""
        if self._obstacle is not None and self._clock() >= self._obstacle[0]:
            self._obstacle = None
        return None if self._obstacle is None else self._obstacle[1]

    @property
    def advertised(self) -> str | None:
        """The address of a broker that cannot be reached, if brokers gave it and the stream's URI does not have it."""
        found = None if self.latest is None else ADVERTISED.search(self.latest.str())
        return found["address"] if found is not None and self.is_foreign(found["address"]) else None

    def is_foreign(self, address: str) -> bool:
        """Whether the stream's URI does not have that address, host:port."""
        places = [place.strip().rpartition("//")[2] for place in self._uri.lower().split(",")]
        return address.lower() not in [place if ":" in place else f"{place}:9092" for place in places]

    def silence(self, topic: str, seconds: float) -> BrokerError:
        """The error for a broker that sent nothing in time."""
        text = f"the broker at {self._uri} sent no messages of topic {topic} within {seconds:g} s"
        if self.obstacle is not None or self.latest is None:
            return BrokerError(self.obstacle or f"Kafka stream {self._name}, {text}")
        return BrokerError(f"{self.unreachable(self.latest)}; {text}")

    def _too_large(self, broker: str, size: int, limit: str) -> str:
        return (
            f"Kafka stream {self._name}: an answer of {size} bytes from broker {broker}, more than "
            f"receive.message.max.bytes ({limit}) allows, holds up all that comes from it: STOP STREAM {self._name}, "
            f"ALTER STREAM {self._name} SET CONFIG {{`receive.message.max.bytes`: {size + MARGIN}}} and START it"
        )

    def unreachable(self, reason: KafkaError) -> str:
        """The text of an error that this is the reason of."""
        text = f"Kafka stream {self._name}, broker unreachable at {self._uri}: {reason.str()}"
        if self._no_token is not None and self._clock() < self._no_token[0] and self._no_token[1] not in text:
            return f"{text}; there is no new token: {self._no_token[1]}"
        if self.advertised is not None:
            return f"{text}; brokers at {self._uri} give {self.advertised} as their address (advertised.listeners)"
        # librdkafka gives no reason where a listener hangs up on a client that does not speak as it does.
        hangs_up = reason.str().endswith("brokers are down") or ": Send failed: " in reason.str()
        return f"{text}; {SPEAKS_OTHERWISE}" if hangs_up else text
