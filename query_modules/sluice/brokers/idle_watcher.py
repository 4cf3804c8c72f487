"""
Waits for messages on behalf of streams that have had none for a while, so that these need no consumer of their own.

A consumer costs four threads of librdkafka that wake up once a second each, and two fetches a second. Where streams
rest, one consumer watches the partitions of all of them, as far as they have the same brokers and settings. It reads
nothing for them: it rouses a stream as soon as there is something at its positions, and the stream reads that itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from sluice.brokers import clients
from sluice.brokers.offsets import asked_for
from sluice.brokers.reader import begin_at
from sluice.brokers.reporter import group_of
from sluice.brokers.topic import NO_SUCH_TOPIC, Topics, described
from sluice.brokers.topic_client import TopicClient, topic_clients
from sluice.errors import SluiceError
from sluice.values.lane import WHOLE
from sluice.values.model import StreamSpec
from sluice.values.position import Partition, Position

log = logging.getLogger("sluice.watch")

SLICE = 0.25
"Seconds between two looks at who rests."

TIMEOUT = 2.0
"Seconds that the brokers have to say how topics are."

FETCH_BYTES = 1024
"Of a partition in a broker's answer, or its first batch whole: what is fetched here is thrown away."

Key = tuple[str, tuple[tuple[str, str], ...]]
"Where the brokers are, and librdkafka's settings."

_lock = threading.Lock()  # guards _watches, and what a watch says it guards
_watches: dict[Key, IdleWatcher] = {}


class Watched:
    """A stream that rests: what is waited for, and what has come of it."""

    def __init__(
        self,
        spec: StreamSpec,
        topics: Topics,
        places: Mapping[Partition, Position],
        wake: Callable[[], None],
    ) -> None:
        """
        Args:
            topics: as the stream knows them, with the partitions that it reads.
            places: partition -> where the stream reads on; none: its first message.
            wake: called, in whatever thread, when the stream is to read by itself again.
        """
        first = Position(confluent_kafka.OFFSET_BEGINNING)
        self.places: Mapping[Partition, Position] = {
            partition: places.get(partition, first) for partition in topics.partitions
        }
        self.names = frozenset(partition.topic for partition in topics.partitions)
        "Of the topics."
        self.armed = False
        "Whether it is waited for: until then the stream is to read by itself."
        self.roused = False
        "Whether the stream is to read by itself again."
        self.topic_changed = False
        "Whether a topic is not, or not any more, as the stream knows it."
        self.trouble: KafkaError | None = None
        "What was wrong with the brokers; the stream is to look into it."
        self.has_patterns = spec.topics.has_patterns
        "Whether more topics may come to be the stream's."
        self._spec = spec
        # A lane may read nothing of a topic that the stream reads.
        self._known = self.names | (frozenset() if spec.lane == WHOLE else topics.ids.keys())
        self._topics = topics
        self._wake = wake

    def arm(self) -> None:
        """It is waited for from now on."""
        self.armed = True

    def wake(self, trouble: KafkaError | None = None) -> None:
        """There is something to read, or to look into."""
        self.trouble = self.trouble or trouble
        self.roused = True
        self._wake()

    def find(self, there: Collection[str]) -> None:
        """Which topics Kafka has: there may be more for the stream."""
        if not self._spec.topics.matching(there) <= self._known:
            self.topic_changed = True
            self.wake()

    def hear(self, name: str, told: Future[Any]) -> bool:
        """How a topic is now. Returns whether it is gone, be there another one of its name or not."""
        try:
            topic = described(told.result(0))
        except KafkaException as error:
            self.topic_changed = error.args[0].code() in NO_SUCH_TOPIC
            self.wake(None if self.topic_changed else error.args[0])
            return self.topic_changed
        known = self._topics.ids.get(name)
        is_other = topic.ids.get(name, known) != known and known is not None
        if is_other or self._spec.reads(topic.partitions) != {
            partition for partition in self._topics.partitions if partition.topic == name
        }:
            self.topic_changed = True
            self.wake()
        return is_other


def enter(watched: Watched, spec: StreamSpec, topic_interval: float) -> None:
    """
    Begins to wait for a stream's messages. Does not wait.

    Threads: any, as for `leave`.

    Args:
        spec: the stream's.
        topic_interval: seconds between two looks at what has become of the topic.
    """
    key = (spec.uri, spec.config.kafka)
    with _lock:
        watch = _watches.get(key)
        if watch is None:
            watch = _watches[key] = IdleWatcher(key, spec, topic_interval)
            watch.start()
        watch.resting.add(watched)
        watch.moved = True


def leave(watched: Watched) -> None:
    """Nothing is waited for any more on behalf of this stream."""
    with _lock:
        for watch in _watches.values():
            if watched in watch.resting:
                watch.resting.remove(watched)
                watch.moved = True


class IdleWatcher:
    """
    One thread and one consumer, for as long as a stream rests.

    Threads: its own; `resting` and `moved` are guarded by the module's lock, under which it is made.
    """

    def __init__(self, key: Key, spec: StreamSpec, topic_interval: float) -> None:
        """`spec`: of any stream with these brokers and settings."""
        self.resting: set[Watched] = set()
        self.moved = False
        "Whether others rest than before, or at other places."
        self._key = key
        self._spec = spec
        self._reading: dict[Partition, Position] = {}
        self._asked: Mapping[str, Future[Any]] | None = None
        self._interval = topic_interval
        self._next_look = time.monotonic() + topic_interval
        self._thread = threading.Thread(target=self._run, name="sluice-watch", daemon=True)

    def start(self) -> None:
        """Begins; once."""
        self._thread.start()

    def _run(self) -> None:
        try:
            self._watch()
        except (SluiceError, KafkaException) as error:
            log.debug("watch of %s: %s", self._spec.uri, error)  # a stream's own consumer will say so
        except Exception:
            log.exception("watch of %s: a fault", self._spec.uri)
        finally:
            with _lock:
                if _watches.get(self._key) is self:
                    del _watches[self._key]
            for watched in self._resting():
                watched.wake()

    def _watch(self) -> None:
        admin = topic_clients.get(self._spec.name, self._spec.uri, self._spec.config)
        client = self._client()
        try:
            while self._follow(client):
                for message in client.consume(1, SLICE):  # more than one would be waited for
                    self._hear(message)
                if self._look_at_topics(admin):
                    break  # this client would not follow the leaders of another topic (`Consumer.renew`)
        finally:
            client.close()

    def _client(self) -> confluent_kafka.Consumer:
        spec = self._spec
        defaults = {"client.id": "sluice-watch", "isolation.level": "read_committed", "reconnect.backoff.max.ms": 500}
        own = {
            **clients.POSITIONS_OF_THE_GRAPH,
            **clients.READS_LITTLE,
            "group.id": group_of(spec.name),  # librdkafka wants one; nothing is reported
            "fetch.message.max.bytes": FETCH_BYTES,
            "error_cb": self._wake_all,
            "logger": log,
            "log_level": 2,
        }
        kind = confluent_kafka.Consumer
        return clients.make(kind, spec.name, spec.uri, spec.config, defaults=defaults, own=own)

    def _resting(self) -> list[Watched]:
        with _lock:
            return [watched for watched in self.resting if not watched.roused]

    def _follow(self, client: confluent_kafka.Consumer) -> bool:
        """Watches what is to be watched now; whether anybody rests."""
        with _lock:
            if not self.resting:
                del _watches[self._key]
                return False
            if not self.moved:
                return True
            self.moved = False
        resting = self._resting()
        wanted: dict[Partition, Position] = {}
        for watched in resting:
            for place, position in watched.places.items():
                wanted[place] = min(position, wanted.get(place, position))
        ended = [place for place in self._reading if place not in wanted]
        # Where a stream is further back than the watch began, there may be something that the watch has passed.
        further_back = [place for place, position in wanted.items() if self._reading.get(place, position) > position]
        begun = [place for place in wanted if place not in self._reading]
        if ended or further_back:
            client.incremental_unassign([asked_for(place) for place in ended + further_back])
        for name in sorted({name for name, _ in begun}):
            # What librdkafka knows of a topic may be minutes old, and what it does not know it does not read.
            client.list_topics(name, timeout=TIMEOUT)
        if begun or further_back:
            places = [asked_for(place, wanted[place]) for place in begun + further_back]
            begin_at(client, client.incremental_assign, places)
        for place in ended:
            del self._reading[place]
        self._reading.update({place: wanted[place] for place in begun + further_back})
        for watched in resting:
            watched.arm()
        return True

    def _hear(self, message: confluent_kafka.Message) -> None:
        place = (message.topic(), message.partition())  # an error has one as well, if it is of a partition
        for watched in self._resting():
            if place in watched.places:
                watched.wake()

    def _wake_all(self, error: KafkaError) -> None:
        for watched in self._resting():
            watched.wake(error)

    def _look_at_topics(self, admin: TopicClient) -> bool:
        """
        Asks for all topics at once, and hears the answers. Waits only where patterns want to know which topics there
        are. Returns whether one of them is gone.
        """
        if self._asked is None and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + self._interval
            resting = self._resting()
            wanting = [watched for watched in resting if watched.has_patterns]
            if wanting:
                there = admin.list_topics(timeout=TIMEOUT).topics
                for watched in wanting:
                    watched.find(there)
            topics = sorted({name for watched in resting for name in watched.names})
            if topics:
                self._asked = admin.describe_topics(topics, TIMEOUT)
        elif self._asked is not None and all(told.done() for told in self._asked.values()):
            asked, self._asked = self._asked, None
            heard = [(watched, name) for watched in self._resting() for name in watched.names & asked.keys()]
            gone = [watched.hear(name, asked[name]) for watched, name in heard]
            return any(gone)
        return False
