"""A Bolt proxy between a stream's worker and its server, which cuts or holds transactions at a chosen moment."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType

from sluice.bolt.framing import MessageBuffer, frame
from sluice.bolt.messages import ANSWER_SIZE, HANDSHAKE_SIZE, Tag
from tests.ports import free_port

READ_SIZE = 1 << 16
LIMIT = 1 << 28  # bytes of a message
PART_OF_COMMIT = 3  # of the six bytes that a framed COMMIT has


class Moment(enum.Enum):
    """Where in the life of a transaction, as the bytes between worker and server tell it."""

    BEFORE_BEGIN = "before BEGIN"
    AFTER_BEGIN = "after BEGIN"
    BEFORE_COMMIT = "before COMMIT"
    INSIDE_COMMIT = "inside COMMIT"
    AFTER_COMMIT = "after COMMIT, before its answer"
    AFTER_ANSWER = "after COMMIT was answered, before the worker hears of it"


class Trap:
    """
    Waits for a transaction, and springs at a moment of it: cuts the connection, or holds the rest back.

    Threads: any.
    """

    def __init__(self, moment: Moment, countdown: int, hold: bool) -> None:
        self.moment = moment
        self.countdown = countdown
        self.hold = hold
        self.sprung = threading.Event()
        "The moment has come. When holding: the proxy has the whole of the transaction in its hands."
        self.answered = threading.Event()
        "The server has answered the transaction's COMMIT, or closed the connection instead."
        self.answer: Tag | None = None
        "What it answered; None if nothing."
        self.release: Callable[[], None] = self.answered.set
        "Send on what was held, whether or not the worker is still there."
        self.drop_worker: Callable[[], None] = self.answered.set
        "Cut the worker's side of the connection and keep the server's."


class CuttingProxy:
    """
    Relays Bolt connections, which must not be encrypted, and counts their transactions.

    Threads: one runs an event loop; any may call any method.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.target = 0
        "The server's port; connections made while there is no server end at once."
        self.transactions = 0
        "How many were begun; the event loop's thread alone writes it."
        self._traps: deque[Trap] = deque()
        self._links: set[_Link] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cutting-proxy", daemon=True)

    def __enter__(self) -> CuttingProxy:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def arm(self, moment: Moment, *, countdown: int = 1, hold: bool = False) -> Trap:
        """
        Set a trap for a transaction that is still to be begun.

        Args:
            countdown: 1 for the next transaction, 2 for the one after it.
            hold: keep the rest of the transaction back instead of cutting the connection. Not after COMMIT.
        """
        trap = Trap(moment, countdown, hold)
        self._loop.call_soon_threadsafe(self._traps.append, trap)
        return trap

    def disarm(self) -> None:
        """Forget the traps that no transaction has come to."""
        self._loop.call_soon_threadsafe(self._traps.clear)

    def cut_all(self) -> None:
        """Cut every connection, wherever it is."""

        def cut() -> None:
            for link in self._links:
                link.cut()

        self._loop.call_soon_threadsafe(cut)

    @property
    def links(self) -> int:
        """How many connections there are now."""
        return len(self._links)

    def claim(self) -> Trap | None:
        """The trap that the transaction which begins now has run into. For links."""
        self.transactions += 1
        if self._traps:
            self._traps[0].countdown -= 1
            if self._traps[0].countdown <= 0:
                return self._traps.popleft()
        return None

    def give_back(self, trap: Trap) -> None:
        """The trap's connection has ended before its moment came; it waits for another. For links."""
        self._traps.appendleft(trap)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", self.port))
        self._ready.set()
        self._loop.run_forever()
        server.close()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(self, (reader, writer), server)
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)


class _Cut(Exception):  # noqa: N818 - no error: it was asked for
    """The connection is to be cut."""


class _Link:
    """
    One connection through the proxy.

    Threads: the event loop's.
    """

    def __init__(
        self,
        proxy: CuttingProxy,
        worker: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._proxy = proxy
        self._from_worker, self._to_worker = worker
        self._from_server, self._to_server = server
        self._requests = 0
        self._replies = 0
        self._awaited: int | None = None  # which reply is the one to the trapped COMMIT
        self._trap: Trap | None = None
        self._held: list[bytes] | None = None  # None: nothing is held
        self._dropped = False

    async def run(self) -> None:
        """Until either side ends it, or a trap does."""
        both = {asyncio.ensure_future(self._up()), asyncio.ensure_future(self._down())}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            self.cut()
            if self._trap is not None and self._trap.sprung.is_set():
                self._trap.answered.set()
            elif self._trap is not None:
                self._proxy.give_back(self._trap)

    def cut(self) -> None:
        """End it at once, in both directions."""
        self._to_worker.transport.abort()
        self._to_server.transport.abort()

    async def _up(self) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, _Cut):
            self._to_server.write(await self._from_worker.readexactly(HANDSHAKE_SIZE))
            buffer = MessageBuffer(LIMIT)
            while data := await self._from_worker.read(READ_SIZE):
                for message in buffer.feed(data):
                    self._request(message)
                await self._to_server.drain()
        if self._held is not None or self._awaited is not None:
            # The worker is gone, but what it has sent is still on its way.
            await asyncio.get_running_loop().create_future()

    def _request(self, message: bytes) -> None:
        self._requests += 1
        tag = message[1]
        if tag == Tag.BEGIN and self._trap is None:
            self._trap = self._proxy.claim()
        elif tag == Tag.BEGIN:
            self._proxy.transactions += 1
        trap = self._trap
        if trap is None or trap.answered.is_set():
            self._forward(message)
            return
        moment = trap.moment
        first_commit = tag == Tag.COMMIT and self._awaited is None
        if first_commit:
            self._awaited = self._requests
        if (tag == Tag.BEGIN and moment is Moment.BEFORE_BEGIN) or (first_commit and moment is Moment.BEFORE_COMMIT):
            self._spring(trap)
        if first_commit and moment is Moment.INSIDE_COMMIT:
            self._to_server.write(frame(message)[:PART_OF_COMMIT])
            self._spring(trap)
        self._forward(message)
        if (tag == Tag.BEGIN and moment is Moment.AFTER_BEGIN) or (first_commit and moment is Moment.AFTER_COMMIT):
            self._spring(trap)
        if first_commit and self._held is not None:
            trap.sprung.set()

    def _spring(self, trap: Trap) -> None:
        if not trap.hold:
            trap.sprung.set()
            raise _Cut
        if self._held is None:
            self._held = []
            loop = asyncio.get_running_loop()
            trap.release = lambda: loop.call_soon_threadsafe(self._release) and None
            trap.drop_worker = lambda: loop.call_soon_threadsafe(self._drop_worker) and None

    def _forward(self, message: bytes) -> None:
        if self._held is None:
            self._to_server.write(frame(message))
        else:
            self._held.append(message)

    def _release(self) -> None:
        held, self._held = self._held or [], None
        for message in held:
            self._to_server.write(frame(message))

    def _drop_worker(self) -> None:
        self._dropped = True
        self._to_worker.transport.abort()

    async def _down(self) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, _Cut):
            self._to_worker.write(await self._from_server.readexactly(ANSWER_SIZE))
            buffer = MessageBuffer(LIMIT)
            while data := await self._from_server.read(READ_SIZE):
                for message in buffer.feed(data):
                    self._reply(message)
                if not self._dropped:
                    with contextlib.suppress(OSError):
                        await self._to_worker.drain()

    def _reply(self, message: bytes) -> None:
        if message[1] != Tag.RECORD:
            self._replies += 1
            if self._replies == self._awaited and self._trap is not None:
                self._settle(self._trap, Tag(message[1]))
        if not self._to_worker.transport.is_closing():
            self._to_worker.write(frame(message))

    def _settle(self, trap: Trap, answer: Tag) -> None:
        """The server has answered the trapped COMMIT."""
        trap.answer = answer
        self._awaited = None
        if trap.moment is Moment.AFTER_ANSWER:
            trap.sprung.set()
        trap.answered.set()
        if trap.moment is Moment.AFTER_ANSWER or self._to_worker.transport.is_closing():
            raise _Cut
        self._trap = None
