"""
One connection through the shim, without the connection: bytes of either side in, bytes for the other side out.

Everything passes as it is but for two kinds of message: a RUN that holds a clause of ours, and the server's refusal of
such a RUN or of pulling its result. To find them it follows the handshake, the message boundaries and the count of
requests and answers; it looks into no other message. What does not begin like Bolt (TLS, a WebSocket, anything) passes
untouched for good.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Set

from sluice.bolt.framing import frame
from sluice.bolt.messages import Tag
from sluice.bolt.values import STRING
from sluice_tools.shim.exchanges import LATEST, NEVER, Clause, Exchanges
from sluice_tools.shim.handshake import Handshake, Kind
from sluice_tools.shim.rewriting import (
    Rewritten,
    Translate,
    holds_clause,
    mend,
    qid_of,
    refuse,
    rewrite,
)
from sluice_tools.shim.sign_in import SignIn
from sluice_tools.shim.splitter import MessageSplitter, Verdict, skim_trifles
from sluice_tools.shim.statistics import Statistics

MAX_HELD = 1024 * 1024
"Most bytes of a RUN with a clause, parameters included, or of an answer to one. A longer RUN is refused."

# As plain numbers, which cost a fifth of a look into the enum.
_RUN, _RECORD = int(Tag.RUN), int(Tag.RECORD)
_PULLS = frozenset((int(Tag.PULL), int(Tag.DISCARD)))
_SIMPLE = _PULLS | {_RUN}

_FIRST_LETTER = {**dict.fromkeys(range(0x81, 0x90), 5), STRING.u8: 6, STRING.u16: 7}
"Marker of a RUN's text -> where that begins, counted from the chunk header."

_HARMLESS = frozenset(bytes((letter,)) for letter in b"befghijklmnopquvwxyzBEFGHIJKLMNOPQUVWXYZ")
"Letters that no keyword of ours begins with."

_COMMON = (b"CREATE (", b"CREATE(", b"create (", b"CALL ", b"call ", b"RETURN ", b"return ")
"Other ways to begin that no clause of ours has, and many queries do."

log = logging.getLogger("sluice.shim")


class Session:
    """
    What passes between one client and the server.

    Neither feeding nor ending raises. `name` stands for the connection in the log.
    """

    def __init__(
        self, name: str, translate: Translate, tally: Statistics | None = None, origins: Set[str] = frozenset()
    ) -> None:
        """
        Args:
            tally: where clauses are counted.
            origins: as in `Handshake`.
        """
        tally = tally or Statistics()
        self.opening = Handshake(origins)
        self.ledger = Exchanges()
        self.from_client: Callable[[bytes], bytes] = self._open_client
        "What goes on to the server when the client sends something. Another function once more is known."
        self.from_server: Callable[[bytes], bytes] = self._open_server
        "What goes on to the client when the server sends something. Another function once more is known."
        self._sign_in: SignIn | None = None
        self._early = bytearray()
        "What the client said before the server had answered its handshake."
        self._heard = False
        "Whether the server has said anything to a client that does not speak Bolt."
        self._requests = MessageSplitter(_Requests(name, self.ledger, translate, tally), MAX_HELD)
        self._answers = MessageSplitter(_Answers(name, self.ledger, tally), MAX_HELD)

    @property
    def accepted(self) -> bool:
        """Whether the server has accepted the client: signed in, or, where Bolt is not spoken to us, answered."""
        if self.opening.kind is Kind.BOLT:
            return self._sign_in is None
        return self._heard

    @property
    def refused(self) -> bool:
        """Whether the client is to be told `handshake.FORBIDDEN`, and nothing else."""
        return self.opening.kind is Kind.REFUSED

    @property
    def waiting(self) -> bool:
        """Whether the client is not to be read for now: the server has to accept it first."""
        if self._sign_in is not None:
            return self._sign_in.waiting
        return bool(self._early) and self.opening.kind is Kind.UNDECIDED

    @property
    def idle(self) -> bool:
        """Whether nothing is under way: all that was asked is answered, and neither side is inside a message."""
        return self.ledger.idle and self._requests.between and self._answers.between

    def release(self) -> bytes:
        """What goes on to the server of what the client sent while it was `waiting`; to be asked for after that."""
        if self.waiting:
            return b""
        kept = bytes(self._early)
        self._early.clear()
        if self._sign_in is not None:
            kept += self._sign_in.release()
        if self._sign_in is not None and self._sign_in.done:
            self._sign_in = None
            # From here on there is nothing between the splitter and the wire: a call less is felt in every query.
            self.from_client, self.from_server = self._requests.feed, self._answers.feed
        return self.from_client(kept) if kept else b""

    def client_ended(self) -> bytes:
        """What goes on to the server when the client sends no more."""
        kept = bytes(self._early) + (self._sign_in.release() if self._sign_in else b"")
        return self.opening.client_ended() + kept + self._requests.end()

    def server_ended(self) -> bytes:
        """What goes on to the client when the server sends no more."""
        return self.opening.server_ended() + self._answers.end()

    def _open_client(self, data: bytes) -> bytes:
        passing, following = self.opening.from_client(data)
        self._settle()
        if self.opening.kind is Kind.UNDECIDED:
            self._early += following
            return passing
        return passing + self.from_client(following) if following else passing

    def _open_server(self, data: bytes) -> bytes:
        passing, following = self.opening.from_server(data)
        self._settle()
        return passing + self.from_server(following) if following else passing

    def _settle(self) -> None:
        if self.opening.kind is Kind.BOLT:
            self._sign_in = SignIn(self.ledger, self.opening.version)
            self.from_client, self.from_server = self._sign_in.from_client, self._sign_in_server
        elif self.opening.kind is Kind.RAW:
            # What was gathered to see whether it is Bolt comes first.
            self._early[:0] = self.opening.client_ended()
            self.from_client, self.from_server = self._pass_early, self._hear
        elif self.opening.kind is Kind.REFUSED:
            self.from_client = _drop

    def _sign_in_server(self, data: bytes) -> bytes:
        assert self._sign_in is not None
        passing, following = self._sign_in.from_server(data)
        return passing + self._answers.feed(following) if following else passing

    def _pass_early(self, data: bytes) -> bytes:
        early = bytes(self._early)
        self._early.clear()
        self.from_client = _pass
        return early + data

    def _hear(self, data: bytes) -> bytes:
        self._heard, self.from_server = True, _pass
        return self.opening.server_ended() + data  # what was gathered of its answer comes first


def _drop(data: bytes) -> bytes:
    return b""


def _pass(data: bytes) -> bytes:
    return data


class _Requests:
    """Reads the client's messages: counts all, replaces a RUN with a clause."""

    def __init__(self, name: str, ledger: Exchanges, translate: Translate, tally: Statistics) -> None:
        self._name = name
        self._ledger = ledger
        self._translate = translate
        self._tally = tally

    def skim(self, data: bytes, position: int) -> int:
        # Every small query comes by here, in a process that has just been woken: each call saved is felt.
        end = len(data)
        ledger = self._ledger
        quiet = ledger.quiet
        while position + 6 <= end:
            after = position + 4 + (data[position] << 8 | data[position + 1])
            if after > end or data[after - 1] or data[after - 2] or after < position + 6:
                begun = position
                position, count = skim_trifles(data, begun)
                if position == begun:
                    break
                ledger.asked += count
                continue
            tag = data[position + 3]
            if tag == _RUN:
                first = _FIRST_LETTER.get(data[position + 4])
                harmless = first and (
                    data[position + first : position + first + 1] in _HARMLESS
                    or data.startswith(_COMMON, position + first)
                )
                if not harmless and holds_clause(data[position + 2 : after - 2]) is not False:
                    break
            elif ledger.pulls_matter and tag in _PULLS:
                break
            if quiet and tag in _SIMPLE:
                ledger.asked += 1
            else:
                ledger.ask(tag)
                quiet = ledger.quiet
            position = after
        return position

    def judge(self, payload: bytearray, whole: bool) -> Verdict:
        if len(payload) < 2:
            return Verdict.MORE
        tag = payload[1]
        if tag == _RUN:
            ours = holds_clause(payload)
            return Verdict.MORE if ours is None else Verdict.HOLD if ours else Verdict.PASS
        matters = self._ledger.pulls_matter and tag in _PULLS
        return Verdict.HOLD if matters else Verdict.PASS

    def passed(self, tag: int) -> None:
        self._ledger.ask(tag)

    def replace(self, raw: bytes, payload: bytes) -> bytes:
        if payload[1] != Tag.RUN:
            qid = qid_of(payload)
            self._ledger.ask_for_records(LATEST if qid is None else qid)
            return raw
        rewritten = rewrite(payload, self._translate)
        if rewritten is None:
            self._ledger.ask(Tag.RUN)
            return raw
        return self._send(rewritten)

    def outgrown(self, payload: bytearray) -> bytes | None:
        if payload[1] != Tag.RUN:
            return None
        # Passed on it would be a clause of Memgraph's own, with another meaning.
        limit = f"{MAX_HELD // 1024} KiB"
        return self._send(refuse(payload, f"a stream clause and its parameters have to be smaller than {limit}"))

    def _send(self, rewritten: Rewritten) -> bytes:
        self._ledger.ask_clause(Clause(rewritten.kind, rewritten.complaint))
        self._tally.clauses[rewritten.kind] += 1
        # The text is never logged: it may hold credentials in a URI.
        log.debug("[#%s]  C: RUN, %s", self._name, rewritten.kind)
        return frame(rewritten.message)


class _Answers:
    """Reads the server's messages: counts answers, puts the refusal of a clause right."""

    def __init__(self, name: str, ledger: Exchanges, tally: Statistics) -> None:
        self._name = name
        self._ledger = ledger
        self._tally = tally

    def skim(self, data: bytes, position: int) -> int:
        # The shim's hot loop: a big result is a million records, and each comes by here.
        end = len(data)
        answered, limit = self._ledger.answered, self._ledger.next_watched
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
        self._ledger.answered = min(answered, self._ledger.asked)
        return position

    def judge(self, payload: bytearray, whole: bool) -> Verdict:
        if self._ledger.next_watched == NEVER:
            return Verdict.PASS
        if len(payload) < 2:
            return Verdict.MORE
        due = payload[1] != _RECORD and self._ledger.next_watched == self._ledger.answered
        return Verdict.HOLD if due else Verdict.PASS

    def passed(self, tag: int) -> None:
        if tag != _RECORD:
            self._ledger.answer()

    def replace(self, raw: bytes, payload: bytes) -> bytes:
        watched = self._ledger.answer()
        if watched is None or watched.clause is None:
            return raw
        if payload[1] == Tag.SUCCESS and watched.is_run:
            qid = qid_of(payload)
            if qid is not None:
                self._ledger.open_result(watched, qid)
        if payload[1] != Tag.FAILURE:
            return raw
        self._tally.failed_clauses[watched.clause.kind] += 1
        mended = mend(payload, watched.clause.complaint)
        if mended is None:
            return raw
        log.debug("[#%s]  S: FAILURE of %s, its text put right", self._name, watched.clause.kind)
        return frame(mended)

    def outgrown(self, payload: bytearray) -> bytes | None:
        return None  # no answer to a clause is that long, so it is none
