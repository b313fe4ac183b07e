"""How a service runs as a process: until a signal, with a heartbeat, sparing the collector."""

import asyncio
import gc
import signal
import threading
from collections.abc import Callable, Coroutine
from queue import SimpleQueue

from facefleet.health import Health


def on_shutdown(stop: Callable[[], None]) -> None:
    """Call `stop` once, from a thread, when SIGTERM or SIGINT has come.

    Not from the signal's handler: it may interrupt whoever holds the lock that `stop` needs.
    """
    came: SimpleQueue[int] = SimpleQueue()  # which is safe in a handler

    def wait() -> None:
        came.get()
        stop()

    threading.Thread(target=wait, name="shutdown", daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: came.put(number))


def freeze_gc() -> None:
    """Take what is there at the end of a start out of the garbage collector's rounds.

    It stays for ever, modules above all, and was a fifth of a busy service's CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)  # what is in flight is many objects, and no rubbish


async def run_until_signal(work: Coroutine, health: Health) -> None:
    """Run `work`, with the loop's heartbeat, until it ends or SIGTERM or SIGINT comes."""
    freeze_gc()
    loop = asyncio.get_running_loop()
    terminated = asyncio.Event()
    on_shutdown(lambda: loop.call_soon_threadsafe(terminated.set))
    tasks = {asyncio.ensure_future(work), asyncio.create_task(terminated.wait())}

    async def beat() -> None:
        while True:
            health.beat()
            await asyncio.sleep(1)

    beating = asyncio.create_task(beat())
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in (*pending, beating):
        task.cancel()
    await asyncio.gather(*pending, beating, return_exceptions=True)
    for task in done:
        task.result()
