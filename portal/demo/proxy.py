"""The network in front of one host: a TCP relay that can be cut like a wire.

A host that is dead or cut off must look so: an unanswered SYN, and silence on
connections that were open.  A refusal or a FIN would say "kernel alive".
The hole needs no root: a listening socket with a backlog of 0 whose queue
holds one connection of ours drops every further SYN (Linux, tcp_conn_request).
"""

import asyncio
import contextlib
import socket
import struct

_BACKLOG = 128
_CHUNK = 1 << 16


def _reset(sock: socket.socket) -> None:
    """Close with RST: what a kernel answers that knows nothing of the connection."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Proxy:
    """Relays ``port`` to ``daemon_port`` on the loopback; one per host, in the event loop."""

    def __init__(self, port: int, daemon_port: int) -> None:
        self.port = port
        self.daemon_port = daemon_port
        self.delay_s = 0.0  # added to each chunk, in both directions
        self.refusing = False  # the kernel lives, and no libvirtd listens
        self._open = asyncio.Event()
        self._links: set[asyncio.Task[None]] = set()
        self._ghosts: set[asyncio.Task[None]] = set()
        self._fillers: list[socket.socket] = []
        self._filler_names: set[tuple[str, int]] = set()
        self._door: socket.socket | None = None

    @property
    def passing(self) -> bool:
        """Whether the wire is whole."""
        return self._open.is_set()

    def start(self) -> None:
        """Take the port, as a black hole at first; OSError when it is taken."""
        door = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.setblocking(False)
        door.bind(("127.0.0.1", self.port))
        self._door = door
        self._dig()

    def hole(self) -> None:
        """Cut the wire: new SYNs stay unanswered, open connections fall silent."""
        if self._door is not None and self._open.is_set():
            self._open.clear()
            asyncio.get_running_loop().remove_reader(self._door)
            self._dig()

    def heal(self) -> None:
        """Mend the wire: connections that were open go on where they were."""
        if self._door is None or self._open.is_set():
            return
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()
        self._door.listen(_BACKLOG)
        asyncio.get_running_loop().add_reader(self._door, self._accept)
        self._open.set()

    def bury(self) -> None:
        """The host behind died: its connections are known to nobody any more.

        Their clients hear nothing, not even a FIN, until they send something to
        a host that is back: that is answered with RST.
        """
        for link in self._links:
            link.cancel()

    async def close(self) -> None:
        """Give up the port and every connection."""
        tasks = self._links | self._ghosts
        self._open.clear()
        if self._door is not None:
            asyncio.get_running_loop().remove_reader(self._door)
            self._door.close()
            self._door = None
        for filler in self._fillers:
            filler.close()
        while tasks:  # a cancelled link becomes a ghost, which is then cancelled too
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            tasks = self._links | self._ghosts

    def _dig(self) -> None:
        assert self._door is not None  # noqa: S101 - callers hold the door
        self._door.listen(0)
        # The first fills the queue; the second proves nothing can follow, and
        # fills a queue from which a connection was just accepted.
        for _ in range(2):
            filler = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(("127.0.0.1", self.port))
            self._fillers.append(filler)
            self._filler_names.add(filler.getsockname())

    def _accept(self) -> None:
        while self._door is not None and self._open.is_set():
            try:
                client, peer = self._door.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            if peer in self._filler_names:
                self._filler_names.discard(peer)
                client.close()
                continue
            if self.refusing:
                _reset(client)
                continue
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._track(self._links, self._relay(client))

    def _track(self, group: set[asyncio.Task[None]], work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(work)
        group.add(task)
        task.add_done_callback(group.discard)

    async def _relay(self, client: socket.socket) -> None:
        """Carry one connection until an end closes it, or the host dies under it."""
        daemon = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        daemon.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_connect(daemon, ("127.0.0.1", self.daemon_port))
            daemon.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pumps = [
                loop.create_task(self._pump(client, daemon)),
                loop.create_task(self._pump(daemon, client)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
            client.close()
        except asyncio.CancelledError:
            if self._door is None:
                client.close()
            else:
                self._track(self._ghosts, self._haunt(client))
            raise
        except OSError:
            _reset(client)
        finally:
            daemon.close()

    async def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                data = await loop.sock_recv(source, _CHUNK)
            except OSError:
                data = b""
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            await self._open.wait()  # an end of file, too, waits for the wire
            if not data:
                return
            with contextlib.suppress(OSError):  # the reading pump sees the broken end
                await loop.sock_sendall(sink, data)

    async def _haunt(self, client: socket.socket) -> None:
        """Answer the first words of a client of a dead host with RST, once words arrive."""
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_recv(client, _CHUNK)
            await self._open.wait()
        except OSError:
            pass
        finally:
            _reset(client)
