"""
Patterns for the names of topics: extended regular expressions as in POSIX, and so as librdkafka has them, matched in
time that is linear in the name. Python's `re` takes for ever at some, and holds the interpreter lock meanwhile.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from typing import NamedTuple

from sluice.errors import SettingError

MAX_STEPS = 1000
"Of a pattern with its repetitions written out."

MAX_NESTING = 20
"Parentheses inside each other."

CLASSES = {
    "alpha": string.ascii_letters,
    "digit": string.digits,
    "alnum": string.ascii_letters + string.digits,
    "lower": string.ascii_lowercase,
    "upper": string.ascii_uppercase,
}
"What `[[:name:]]` stands for."

SHORT_CLASSES = {"d": CLASSES["digit"], "w": CLASSES["alnum"] + "_"}
"What is no POSIX, and widely known."

_BRACKET = re.compile(r"\[(\^?)(\]?(?:\[:\w*:\]|[^\]])*)\]")
_ITEM = re.compile(r"\[:(\w*):\]|(.)-(.)|(.)", re.DOTALL)
_TIMES = re.compile(r"[*+?]|\{([0-9]{1,3})(?:(,)([0-9]{1,3})?)?\}")
_SIGNS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}

Part = Callable[[int], int]
"Of a pattern: adds its steps before the one of that number, and gives the number of its first."


class _Step(NamedTuple):
    """Takes a character, or leads to others without one, everywhere or at one place."""

    to: tuple[int, ...]
    takes: Callable[[str], bool] | None = None
    place: str = ""
    "^ or $."


class TopicPattern:
    """One pattern. Threads: any."""

    def __init__(self, text: str) -> None:
        """Raises SettingError, in one line: it is no pattern, and why."""
        self._text = text
        self._at = 0
        self._steps = [_Step(())]
        whole = self._alternatives(0)
        if self._at < len(text):
            raise self._wrong(") without (")
        self._start = whole(0)

    def matches(self, name: str) -> bool:
        """Whether it is found anywhere in a name: where it begins with ^, at its beginning."""
        reached: set[int] = set()
        for at in range(len(name) + 1):
            reached = self._closure(reached | {self._start}, first=at == 0, last=at == len(name))
            if 0 in reached:
                return True
            takers = [step for step in map(self._steps.__getitem__, reached) if step.takes is not None]
            reached = {step.to[0] for step in takers if at < len(name) and step.takes and step.takes(name[at])}
        return False

    def _closure(self, begun: set[int], *, first: bool, last: bool) -> set[int]:
        found, due = set(begun), list(begun)
        while due:
            step = self._steps[due.pop()]
            if step.takes is None and (step.place == "" or (first if step.place == "^" else last)):
                due += set(step.to) - found
                found.update(step.to)
        return found

    def _add(self, step: _Step) -> int:
        if len(self._steps) > MAX_STEPS:
            raise self._wrong("it is too large")
        self._steps.append(step)
        return len(self._steps) - 1

    def _alternatives(self, nesting: int) -> Part:
        parts = [self._sequence(nesting)]
        while self._text.startswith("|", self._at):
            self._at += 1
            parts.append(self._sequence(nesting))
        return lambda after: self._add(_Step(tuple(part(after) for part in parts))) if parts[1:] else parts[0](after)

    def _sequence(self, nesting: int) -> Part:
        parts: list[Part] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            parts.append(self._repeated(self._atom(nesting)))

        def part(after: int) -> int:
            for one in reversed(parts):
                after = one(after)
            return after

        return part

    def _repeated(self, atom: Part) -> Part:
        found = _TIMES.match(self._text, self._at)
        if found is None:
            return atom
        self._at = found.end()
        if _TIMES.match(self._text, self._at):
            raise self._wrong(f"{found[0]} is followed by another repetition")
        most: int | None
        if found[0] in _SIGNS:
            least, most = _SIGNS[found[0]]
        else:
            least, most = int(found[1]), int(found[3] or found[1])
            most = None if found[2] and not found[3] else most
        if most is not None and most < least:
            raise self._wrong(f"{found[0]} ends before it begins")

        def part(after: int) -> int:
            end = after
            if most is None:
                after = self._add(_Step(()))
                self._steps[after] = _Step((atom(after), end))
            for _ in range((most or least) - least):
                after = self._add(_Step((atom(after), end)))
            for _ in range(least):
                after = atom(after)
            return after

        return part

    def _atom(self, nesting: int) -> Part:
        character, rest = self._text[self._at], self._text[self._at + 1 : self._at + 2]
        self._at += 1
        if character == "(":
            if nesting == MAX_NESTING:
                raise self._wrong("too many ( inside each other")
            inner = self._alternatives(nesting + 1)
            if not self._text.startswith(")", self._at):
                raise self._wrong("( without )")
            self._at += 1
            return inner
        if character in "^$":
            return lambda after: self._add(_Step((after,), place=character))
        if character == "[":
            return self._taking(self._bracket())
        if character == "{":
            raise self._wrong("{ does not begin {m}, {m,} or {m,n}, of at most 999 times; \\{ is the character")
        if character in "*+?":
            raise self._wrong(f"{character} has nothing before it to repeat; \\{character} is the character")
        if character == "\\":
            if not rest:
                raise self._wrong("\\ is at its end")
            if rest.isalnum() and rest not in SHORT_CLASSES:
                raise self._wrong(f"\\{rest} is not known")
            self._at += 1
            return self._taking(SHORT_CLASSES.get(rest, rest).__contains__)
        return self._taking((lambda _: True) if character == "." else character.__eq__)

    def _taking(self, takes: Callable[[str], bool]) -> Part:
        return lambda after: self._add(_Step((after,), takes))

    def _bracket(self) -> Callable[[str], bool]:
        found = _BRACKET.match(self._text, self._at - 1)
        if found is None:
            raise self._wrong("[ without ]")
        self._at = found.end()
        characters = ""
        for name, first, last, single in _ITEM.findall(found[2]):
            if single or first:
                characters += single or "".join(map(chr, range(ord(first), ord(last) + 1)))
            elif name in CLASSES:
                characters += CLASSES[name]
            else:
                raise self._wrong(f"[:{name}:] is not known, only {', '.join(CLASSES)}")
            if first > last:
                raise self._wrong(f"{first}-{last} ends before it begins")
        return (lambda character: character not in characters) if found[1] else characters.__contains__

    def _wrong(self, why: str) -> SettingError:
        return SettingError(f"the pattern {self._text} for topics is invalid: {why}")
