"""
What the shim sees of messages once a client is signed in: it counts all, and replaces the few that concern a clause.

No I/O. Two `splitter.Reader`s, one a direction, over the same `Exchanges`.
"""

from __future__ import annotations

import logging

from sluice.bolt.framing import frame
from sluice.bolt.messages import Tag
from sluice.bolt.values import STRING
from sluice.clauses import Beginning
from sluice_tools.shim.corrections import corrected
from sluice_tools.shim.exchanges import LATEST, NEVER, Clause, Exchanges
from sluice_tools.shim.native_streams import NativeStream, NativeStreams
from sluice_tools.shim.rewriting import FIRST_WORDS, Rewritten, clause_in, qid_of, refuse, rewrite
from sluice_tools.shim.routing import STAND_INS, answer_to_stand_in, routing_table
from sluice_tools.shim.settings import Address
from sluice_tools.shim.splitter import Verdict, skim_trifles
from sluice_tools.shim.statistics import Statistics

MAX_HELD = 1024 * 1024
"Most bytes of a RUN with a clause, parameters included, or of an answer to one. A longer RUN is refused."

# As plain numbers, which cost a fifth of a look into the enum.
_RUN, _RECORD, _ROUTE = int(Tag.RUN), int(Tag.RECORD), int(Tag.ROUTE)
_PULLS = frozenset((int(Tag.PULL), int(Tag.DISCARD)))
_SIMPLE = _PULLS | {_RUN}

_TEXT_STARTS = {**dict.fromkeys(range(0x81, 0x90), 5), STRING.u8: 6, STRING.u16: 7}
_LETTER = [_TEXT_STARTS.get(marker, 1 << 16) for marker in range(256)]
"Marker of a RUN's text -> where that begins, counted from the chunk header; far away with any other marker."

_HARMLESS = [chr(byte) in "bfghijklmnoquvwxyzBFGHIJKLMNOQUVWXYZ" for byte in range(256)]
"Letters that no keyword of ours begins with."

_EXPLAINS = b"EePp"
"Letters that begin EXPLAIN and PROFILE, but no clause."

_NEXT_WORD = len("EXPLAIN ")
"Where the word after those begins at the earliest."

_SLASH = ord("/")

_COMMON = (b"CREATE (", b"CREATE(", b"create (", b"CALL ", b"call ", b"RETURN ", b"return ")
"Other ways to begin that no clause of ours has, and many queries do."

log = logging.getLogger("sluice.shim")


class RequestReader:
    """Reads the client's messages: counts all, replaces a RUN with a clause."""

    def __init__(self, name: str, exchanges: Exchanges, statistics: Statistics, advertise: Address | None) -> None:
        self._name = name
        self._exchanges = exchanges
        self._statistics = statistics
        self._advertise = advertise
        self._found: Beginning | NativeStream | None = None
        "What the message at hand holds, once that is known: no clause is looked at twice."

    def skim(self, data: bytes, position: int) -> int:
        # Every small query comes by here, in a process that has just been woken: each call saved is felt.
        end = len(data)
        exchanges = self._exchanges
        quiet = exchanges.quiet
        while position + 6 <= end:
            after = position + 4 + (data[position] << 8 | data[position + 1])
            if after > end or data[after - 1] or data[after - 2] or after < position + 6:
                begun = position
                position, count = skim_trifles(data, begun)
                if position == begun:
                    break
                exchanges.asked += count
                continue
            tag = data[position + 3]
            if tag == _RUN:
                text = position + _LETTER[data[position + 4]]
                harmless = text < after and (
                    _HARMLESS[letter := data[text]]
                    or (letter in _EXPLAINS and text + _NEXT_WORD < after and _HARMLESS[data[text + _NEXT_WORD]])
                    or data.startswith(_COMMON, text)
                    or (letter != _SLASH and not FIRST_WORDS.match(data, text))
                )
                if not harmless:
                    found = clause_in(data[position + 2 : after - 2])
                    if found is not False:
                        self._found = found
                        break
            elif exchanges.pulls_matter and tag in _PULLS:
                break
            if quiet and tag in _SIMPLE:
                exchanges.asked += 1
            elif tag == _ROUTE:
                break
            else:
                exchanges.ask(tag)
                quiet = exchanges.quiet
            position = after
        return position

    def judge(self, payload: bytearray, whole: bool) -> Verdict:
        if len(payload) < 2:
            return Verdict.MORE
        tag = payload[1]
        if tag == _RUN:
            found = self._found or clause_in(payload)
            if found:
                self._found = found
            return Verdict.MORE if found is None else Verdict.HOLD if found else Verdict.PASS
        matters = tag == _ROUTE or (self._exchanges.pulls_matter and tag in _PULLS)
        return Verdict.HOLD if matters else Verdict.PASS

    def passed(self, tag: int) -> None:
        self._exchanges.ask(tag)

    def replace(self, raw: bytes, payload: bytes) -> bytes:
        if payload[1] == _ROUTE:
            table = routing_table(payload, self._advertise)
            if table is None:
                self._exchanges.ask(_ROUTE)
                return raw
            self._exchanges.ask_route(frame(table))
            return STAND_INS
        if payload[1] != Tag.RUN:
            qid = qid_of(payload)
            self._exchanges.ask_for_records(LATEST if qid is None else qid)
            return raw
        found, self._found = self._found, None
        if isinstance(found, NativeStream):
            self._exchanges.ask_clause(Clause(found.made_by, native=found))
            return raw
        rewritten = rewrite(payload, found) if found else None
        if rewritten is None:
            self._exchanges.ask(Tag.RUN)
            return raw
        return self._send(rewritten)

    def outgrown(self, payload: bytearray) -> bytes | None:
        if payload[1] != Tag.RUN:
            return None
        found, self._found = self._found, None
        if isinstance(found, NativeStream):
            return None
        # Passed on it would be a clause of Memgraph's own, with another meaning.
        limit = f"{MAX_HELD // 1024} KiB"
        return self._send(refuse(payload, f"a stream clause and its parameters have to be smaller than {limit}"))

    def _send(self, rewritten: Rewritten) -> bytes:
        self._exchanges.ask_clause(Clause(rewritten.kind, rewritten.complaint))
        self._statistics.clauses[rewritten.kind] += 1
        # The text is never logged: it may hold credentials in a URI.
        log.debug("[#%s]  C: RUN, %s", self._name, rewritten.kind)
        return frame(rewritten.message)


class AnswerReader:
    """Reads the server's messages: counts answers, corrects those to a clause."""

    def __init__(self, name: str, exchanges: Exchanges, statistics: Statistics, natives: NativeStreams) -> None:
        self._name = name
        self._natives = natives
        self._exchanges = exchanges
        self._statistics = statistics

    def skim(self, data: bytes, position: int) -> int:
        # The shim's hot loop: a big result is a million records, and each comes by here.
        end = len(data)
        answered, limit = self._exchanges.answered, self._exchanges.next_watched
        while position + 6 <= end:
            after = position + 4 + (data[position] << 8 | data[position + 1])
            # In several chunks or not whole: not for here.
            if after > end or data[after - 1] or data[after - 2] or after < position + 6:
                begun = position
                position, count = skim_trifles(data, begun)
                if position == begun or (count and answered == limit):
                    position = begun
                    break
                answered += count
                continue
            if data[position + 3] != _RECORD:
                if answered == limit:
                    break
                answered += 1
            position = after
        self._exchanges.answered = min(answered, self._exchanges.asked)
        return position

    def judge(self, payload: bytearray, whole: bool) -> Verdict:
        if self._exchanges.next_watched == NEVER:
            return Verdict.PASS
        if len(payload) < 2:
            return Verdict.MORE
        due = payload[1] != _RECORD and self._exchanges.next_watched == self._exchanges.answered
        return Verdict.HOLD if due else Verdict.PASS

    def passed(self, tag: int) -> None:
        if tag != _RECORD:
            self._exchanges.answer()

    def replace(self, raw: bytes, payload: bytes) -> bytes:
        watched = self._exchanges.answer()
        if watched is not None and watched.routing is not None:
            return answer_to_stand_in(raw, payload[1], watched.routing, first=watched.is_run)
        if watched is None or watched.clause is None:
            return raw
        clause, tag = watched.clause, payload[1]
        if tag == Tag.SUCCESS and watched.is_run:
            qid = qid_of(payload)
            if qid is not None:
                self._exchanges.open_result(watched, qid)
            return raw
        if clause.native is not None:
            if tag == Tag.SUCCESS:
                self._natives.add(clause.native)
            return raw
        self._statistics.failed_clauses[clause.kind] += tag == Tag.FAILURE
        answer = corrected(payload, clause.complaint, self._natives)
        if answer is None:
            return raw
        log.debug("[#%s]  S: %s of %s, corrected", self._name, Tag(tag).name, clause.kind)
        return frame(answer)

    def outgrown(self, payload: bytearray) -> bytes | None:
        return None  # no answer to a clause is that long, so it is none
