"""The way between two sites: a TCP relay to a broker that can stall, break, and lose messages."""

import asyncio
import random
import threading
from collections.abc import Coroutine
from contextlib import suppress
from weakref import WeakSet

PUBLISH = 3  # the packet type, in the high half of an MQTT packet's first byte


class Link:
    """A port of 127.0.0.1 that leads to another one; runs in a thread of its own until `close`.

    `hole`: nothing passes, and nobody is told, not even of an end; `open` lets what waited pass, as
    TCP would. `cut`: every connection breaks. `loss`: the share of PUBLISH packets that vanish,
    each way; whole packets, so that the streams stay valid.
    """

    def __init__(self, port: int, to: int, seed: int) -> None:
        self.loss = 0.0
        self._port, self._to = port, to
        self._random = random.Random(seed)
        self._writers: WeakSet[asyncio.StreamWriter] = WeakSet()
        self._connections: set[asyncio.Task] = set()
        self._loop = asyncio.new_event_loop()
        self._passable = asyncio.Event()
        self._passable.set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="link")
        self._thread.start()
        self._do(self._start())

    def hole(self) -> None:
        self._loop.call_soon_threadsafe(self._passable.clear)

    def open(self) -> None:
        self._loop.call_soon_threadsafe(self._passable.set)

    def cut(self) -> None:
        self._do(self._cut())

    def close(self) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)

    async def _cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _end(self) -> None:
        self._server.close()
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._cut()  # those that are closed and still hold what was not taken from them
        await asyncio.sleep(0)

    def _accept(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self._writers.add(back)
        connection = asyncio.ensure_future(self._connected(near, back))
        self._connections.add(connection)  # the loop itself holds no task
        connection.add_done_callback(self._connections.discard)

    async def _connected(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        forth = None
        try:
            await self._passable.wait()
            far, forth = await asyncio.open_connection("127.0.0.1", self._to)
            self._writers.add(forth)
            pumps = [
                asyncio.ensure_future(self._pump(*way)) for way in ((near, forth), (far, back))
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass  # the broker is down, or the run ends: both show as an end of the connection
        finally:
            for writer in filter(None, (back, forth)):
                writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                packet = await _packet(reader)
                await self._passable.wait()
                if packet[0] >> 4 == PUBLISH and self._random.random() < self.loss:
                    continue
                writer.write(packet)
                await writer.drain()
        await self._passable.wait()


async def _packet(reader: asyncio.StreamReader) -> bytes:
    """One MQTT packet, as it is."""
    head = await reader.readexactly(2)
    while head[-1] & 0x80:  # the length: seven bits a byte, the lowest first
        head += await reader.readexactly(1)
    length = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(head[1:]))
    return head + await reader.readexactly(length)
