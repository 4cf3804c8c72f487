"""Which topics a stream reads: `orders`, `orders,users`, `^orders\\..*`, or a list with patterns in it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from sluice.errors import SettingError
from sluice.values.topic_pattern import TopicPattern

PATTERN = "^"
"What patterns begin with, as librdkafka has it."

INTERNAL = "__"
"What the names of Kafka's own topics begin with; a pattern matches them only if it begins so as well."

_COMMA = re.compile(r",(?![^{}]*\})")
"Between entries; not the one in `{1,2}` of a pattern."


class TopicSelector:
    """What TOPIC says. Threads: any."""

    def __init__(self, text: str, dead_letters: str | None) -> None:
        """
        Args:
            text: as it was written.
            dead_letters: the stream's own topic of dead letters, which no pattern matches.

        Raises:
            SettingError, in one line: an entry is empty, is there twice, or is no pattern.
        """
        entries = _entries(text)
        if "" in entries:
            raise SettingError(f"TOPIC has an empty name in its list, got {text!r}")
        for entry in entries:
            if entries.count(entry) > 1:
                raise SettingError(f"TOPIC names {entry} twice, got {text!r}")
        self._dead_letters = dead_letters
        self.names = tuple(entry for entry in entries if not entry.startswith(PATTERN))
        "Of topics that have to be there."
        self._patterns = [(entry, TopicPattern(entry)) for entry in entries if entry.startswith(PATTERN)]
        self._known: dict[str, bool] = {}
        "What was found out about the topics that there were last. Replaced, never changed."

    @property
    def has_patterns(self) -> bool:
        """Whether there may come to be more topics."""
        return bool(self._patterns)

    def matching(self, topics: Iterable[str]) -> set[str]:
        """Those of the topics that patterns match."""
        known = {topic: self._known.get(topic) for topic in topics}
        found = {topic: self._matches(topic) if answer is None else answer for topic, answer in known.items()}
        self._known = found
        return {topic for topic, answer in found.items() if answer}

    def _matches(self, topic: str) -> bool:
        return topic != self._dead_letters and any(
            pattern.matches(topic)
            for entry, pattern in self._patterns
            if not topic.startswith(INTERNAL) or entry.startswith(PATTERN + INTERNAL)
        )


def only_topic(text: str) -> str:
    """The topic of a stream that can only ever read one; empty: it reads several, or may."""
    return text if text and _COMMA.search(text) is None and not text.startswith(PATTERN) else ""


@lru_cache(maxsize=1000)
def topics_of(text: str, dead_letters: str | None = None) -> TopicSelector:
    """What TOPIC says. Raises SettingError as `TopicSelector`."""
    return TopicSelector(text, dead_letters)


def _entries(text: str) -> list[str]:
    return [entry.strip() for entry in _COMMA.split(text)] if not only_topic(text) else [text]
