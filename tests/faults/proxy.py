"""A Bolt proxy between a stream's worker and its server, which cuts or holds transactions at a chosen moment."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from types import TracebackType

from sluice.bolt import messages
from sluice.bolt.framing import MessageBuffer, frame
from sluice.bolt.messages import ANSWER_SIZE, HANDSHAKE_SIZE, Tag
from tests.faults.moments import Moment
from tests.ports import free_port

READ_SIZE = 1 << 16
LIMIT = 1 << 28  # bytes of a message
CLOSING_TIMEOUT = 5.0  # seconds
PART_OF_COMMIT = 3  # of the six bytes that a framed COMMIT has

Side = tuple[asyncio.StreamReader, asyncio.StreamWriter]


BATCH_BEGIN = messages.begin()
"How a worker's transaction begins; one of the supervisor's, which asks the server something, says so in its BEGIN."


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
        "The server has answered the transaction's COMMIT, or the connection to it has ended."
        self.answer: Tag | None = None
        "What it answered; None if nothing."
        self.link: _Link | None = None
        "The connection that it holds."

    def release(self) -> None:
        """Send on what is held, whether or not the worker is still there."""
        assert self.link is not None, "nothing is held"
        self.link.loop.call_soon_threadsafe(self.link.release)

    def drop_worker(self) -> None:
        """Cut the worker's side of the connection, and keep the server's with what is held."""
        assert self.link is not None, "nothing is held"
        self.link.loop.call_soon_threadsafe(self.link.drop_worker)


class CuttingProxy:
    """
    Relays Bolt connections, which must not be encrypted.

    Threads: one runs an event loop; any may call any method.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.target = 0
        "The server's port; connections made while there is no server end at once."
        self._traps: deque[Trap] = deque()  # the event loop's thread alone touches this and the next
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
            hold: keep the rest of the transaction back instead of cutting the connection; not from COMMIT on.
        """
        trap = Trap(moment, countdown, hold)
        self._loop.call_soon_threadsafe(self._traps.append, trap)
        return trap

    def disarm(self) -> None:
        """Forget the traps that no transaction has run into."""
        self._loop.call_soon_threadsafe(self._traps.clear)

    def cut_all(self) -> None:
        """Cut every connection, wherever it is."""
        self._loop.call_soon_threadsafe(self._cut_all)

    @property
    def connections(self) -> int:
        """How many there are through it now."""
        return len(self._links)

    def begun(self) -> Trap | None:
        """A transaction begins: the trap that it has run into. For links."""
        if not self._traps:
            return None
        self._traps[0].countdown -= 1
        return self._traps.popleft() if self._traps[0].countdown <= 0 else None

    def give_back(self, trap: Trap) -> None:
        """The trap's connection has ended before its moment came; it waits for another transaction. For links."""
        self._traps.appendleft(trap)

    def _cut_all(self) -> None:
        for link in self._links:
            link.cut()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", self.port))
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._cut_all()
        left = asyncio.all_tasks(self._loop)
        if left:
            self._loop.run_until_complete(asyncio.wait(left, timeout=CLOSING_TIMEOUT))
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

    def __init__(self, proxy: CuttingProxy, worker: Side, server: Side) -> None:
        self.loop = asyncio.get_running_loop()
        self._proxy = proxy
        self._from_worker, self._to_worker = worker
        self._from_server, self._to_server = server
        # `drain` is to wait until the kernel has everything.
        self._to_server.transport.set_write_buffer_limits(high=0)
        self._requests = 0
        self._replies = 0
        self._commit: int | None = None  # which request the trapped COMMIT is
        self._trap: Trap | None = None
        self._held: list[bytes] | None = None  # None: nothing is held
        self._worker_gone = False

    async def run(self) -> None:
        """Until either side ends it, or a trap does."""
        both = {asyncio.ensure_future(self._up()), asyncio.ensure_future(self._down())}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            self.cut()
            await asyncio.gather(*both, return_exceptions=True)
            if self._trap is not None and self._trap.sprung.is_set():
                self._trap.answered.set()
            elif self._trap is not None:
                self._proxy.give_back(self._trap)

    def cut(self) -> None:
        """End it at once, in both directions."""
        self._to_worker.transport.abort()
        self._to_server.transport.abort()

    def release(self) -> None:
        """Send on what is held."""
        held, self._held = self._held or [], None
        for message in held:
            self._forward(message)

    def drop_worker(self) -> None:
        """End the worker's side."""
        self._worker_gone = True
        self._to_worker.transport.abort()

    async def _up(self) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            self._to_server.write(await self._from_worker.readexactly(HANDSHAKE_SIZE))
            buffer = MessageBuffer(LIMIT)
            try:
                while data := await self._from_worker.read(READ_SIZE):
                    for message in buffer.feed(data):
                        self._request(message)
                    await self._to_server.drain()
            except _Cut:
                self._worker_gone = True  # no answer may reach it from here on
                await self._to_server.drain()
                return
        self._worker_gone = True
        if self._trap is not None and self._trap.hold:
            # What the worker has sent is still on its way, and will arrive.
            await self.loop.create_future()

    def _request(self, message: bytes) -> None:
        self._requests += 1
        tag = message[1]
        if message == BATCH_BEGIN and self._trap is None:
            self._trap = self._proxy.begun()
        if self._trap is None:
            self._forward(message)
        elif tag == Tag.BEGIN and self._commit is None:
            self._pass(message, self._trap, Moment.BEFORE_BEGIN, Moment.AFTER_BEGIN)
        elif tag == Tag.COMMIT and self._commit is None:
            self._commit = self._requests
            if self._trap.moment is Moment.INSIDE_COMMIT:
                self._to_server.write(frame(message)[:PART_OF_COMMIT])
                self._spring(self._trap)
            self._pass(message, self._trap, Moment.BEFORE_COMMIT, Moment.AFTER_COMMIT)
            if self._held is not None:
                self._trap.sprung.set()
            elif self._trap.moment is Moment.AFTER_ANSWER:
                self._held = []  # nothing after it gets through any more
        else:
            self._forward(message)

    def _pass(self, message: bytes, trap: Trap, before: Moment, after: Moment) -> None:
        if trap.moment is before:
            self._spring(trap)
        self._forward(message)
        if trap.moment is after:
            self._spring(trap)

    def _spring(self, trap: Trap) -> None:
        if not trap.hold:
            trap.sprung.set()
            raise _Cut
        self._held = []
        trap.link = self

    def _forward(self, message: bytes) -> None:
        if self._held is not None:
            self._held.append(message)
        elif not self._to_server.transport.is_closing():
            self._to_server.write(frame(message))

    async def _down(self) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, _Cut):
            self._to_worker.write(await self._from_server.readexactly(ANSWER_SIZE))
            buffer = MessageBuffer(LIMIT)
            while data := await self._from_server.read(READ_SIZE):
                for message in buffer.feed(data):
                    self._reply(message)
                if not self._worker_gone:
                    await self._to_worker.drain()

    def _reply(self, message: bytes) -> None:
        if message[1] != Tag.RECORD:
            self._replies += 1
            if self._trap is not None and self._replies == self._commit:
                self._settle(self._trap, Tag(message[1]))
        if not self._worker_gone and not self._to_worker.transport.is_closing():
            self._to_worker.write(frame(message))

    def _settle(self, trap: Trap, answer: Tag) -> None:
        """The server has answered the trapped COMMIT."""
        trap.answer = answer
        if trap.moment is Moment.AFTER_ANSWER:
            trap.sprung.set()
        trap.answered.set()
        if trap.moment is Moment.AFTER_ANSWER or self._worker_gone:
            raise _Cut
        self._trap = self._commit = None
