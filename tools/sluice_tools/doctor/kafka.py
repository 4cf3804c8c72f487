"""
Kafka as seen from this machine: brokers and a topic.

The server may see something else if it is on another machine or network: CREATE STREAM checks from there.
"""

from __future__ import annotations

import difflib
import socket
from collections.abc import Mapping
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ClusterMetadata

from sluice.bolt.transport import reason_of
from sluice.errors import SettingError
from sluice.values.topic_selector import INTERNAL, TopicSelector, topics_of
from sluice_tools.doctor.checks import FROM_HERE, Check, CheckFailed, Finding, note
from sluice_tools.shim.settings import Address

MAX_TOPICS = 10
"Maximum number of topics that are named."

MAX_BROKERS = 3
"Maximum number of the brokers' advertised addresses that are tried."


class Cluster:
    """
    The brokers at a stream's uri.

    Checked once, however many topics there are.
    """

    def __init__(self, uri: str, timeout: float, settings: Mapping[str, str] | None = None) -> None:
        """
        Args:
            timeout: for their answer, in seconds.
            settings: librdkafka's, secrets resolved.
        """
        self.uri = uri
        self._timeout = timeout
        self._settings = dict(settings or {})
        self._trouble: KafkaError | None = None
        self._partitions: dict[str, int] = {}
        self._listed = False

    def checks(self, topic: str) -> list[Check]:
        """The rows about a topic and, the first time, about the brokers."""
        kafka = Check("kafka", (), self._reach, of=self.uri)
        listed, self._listed = self._listed, True
        try:
            topics = topics_of(topic)
        except SettingError as error:
            return [kafka][listed:] + [Check("topic", (), partial(note, str(error)))]
        checks = [Check("topic", (kafka.label,), partial(self._topic, name)) for name in topics.names]
        patterns = [Check("topic", (kafka.label,), partial(self._matching, topic, topics))]
        return [kafka][listed:] + checks + patterns[: topics.has_patterns]

    def _reach(self) -> str:
        refused = self._nobody()
        if refused:
            remedy = "start Kafka, or give its bootstrap servers as they are reached from here and from the server"
            raise CheckFailed(f"nothing answers at {refused}, {FROM_HERE}", remedy)
        try:
            metadata = self._ask()
        except KafkaException as error:
            raise self._refused(self._trouble or error.args[0]) from error
        brokers = [Address(broker.host, broker.port) for broker in metadata.brokers.values()]
        for broker in brokers[:MAX_BROKERS]:
            reason = self._unreachable(broker)
            if reason:
                text = f"{self.uri} answers, and says that a broker is at {broker}, which is not reached: {reason}"
                remedy = "set the broker's advertised.listeners to an address that its clients reach, the server's too"
                raise CheckFailed(text, remedy)
        topics = metadata.topics.items()
        self._partitions = {name: len(topic.partitions) for name, topic in topics}
        return f"{self.uri} answers, {FROM_HERE}: {len(brokers)} broker{'' if len(brokers) == 1 else 's'}"

    def _nobody(self) -> str:
        """The addresses and why, if none of them is reached."""
        reasons = []
        for text in self.uri.split(","):
            try:
                address = Address.parse(text.strip().rpartition("://")[2])
            except SettingError:
                address = Address(text.strip(), 9092)
            reason = self._unreachable(address)
            if not reason:
                return ""
            reasons.append(f"{address} ({reason})")
        return ", ".join(reasons)

    def _unreachable(self, address: Address) -> str:
        try:
            socket.create_connection(address, self._timeout).close()
        except OSError as error:
            return reason_of(error)
        return ""

    def _ask(self) -> ClusterMetadata:
        own: dict[str, Any] = {"bootstrap.servers": self.uri, "error_cb": self._note, "log_level": 0}
        try:
            client = AdminClient({"client.id": "sluice-doctor", **self._settings, **own})
        except (TypeError, ValueError) as error:
            raise KafkaException(KafkaError(KafkaError._INVALID_ARG, str(error))) from error
        try:
            # Of all topics: a request for one by name would create it if brokers create topics on demand.
            return client.list_topics(timeout=self._timeout)
        except KafkaException:
            client.poll(0.1)  # runs the error callback, which has details
            raise

    def _note(self, error: KafkaError) -> None:
        if self._trouble is None or error.code() != KafkaError._ALL_BROKERS_DOWN:
            self._trouble = error

    def _refused(self, error: KafkaError) -> CheckFailed:
        text = f"{self.uri} does not answer as Kafka does: {error.str()}"
        code = error.code()
        if code in (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED):
            remedy = "correct sasl.mechanism, sasl.username and what sasl.password refers to in the stream's config"
        elif code == KafkaError._SSL:
            remedy = "correct security.protocol and ssl.ca.location in the stream's config"
        elif code == KafkaError._INVALID_ARG:
            remedy = "correct the stream's config: librdkafka refuses it"
        else:
            remedy = (
                "give the port of a Kafka listener, 9092 by default; if that requires TLS or SASL, the stream's config "
                "needs security.protocol and what belongs to it"
            )
        return CheckFailed(text, remedy)

    def _matching(self, text: str, topics: TopicSelector) -> str | Finding:
        found = sorted(topics.matching(self._partitions))
        if not found:
            return note(f"{self.uri} has no topic that {text} matches; the stream reads those that come to match")
        shown = ", ".join(found[:MAX_TOPICS]) + (f" and {len(found) - MAX_TOPICS} more" if found[MAX_TOPICS:] else "")
        return f"{text} at {self.uri} matches {shown}"

    def _topic(self, topic: str) -> str:
        count = self._partitions.get(topic, 0)
        if count:
            return f"{topic} at {self.uri}: {count} partition{'' if count == 1 else 's'}"
        similar = difflib.get_close_matches(
            topic, sorted(name for name in self._partitions if name[:2] != INTERNAL), n=2
        )
        hint = f"; there is {' and '.join(similar)}" if similar else ""
        create = f"kafka-topics.sh --bootstrap-server {self.uri} --create --topic {topic}"
        raise CheckFailed(f"{self.uri} has no topic {topic}{hint}", f"create it: {create}")
