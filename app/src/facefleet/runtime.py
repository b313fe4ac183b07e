"""The runtime of a service: start, run until a signal, beat for the health check, tune the GC."""

import asyncio
import gc
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from queue import SimpleQueue

from facefleet.health import Health


def on_shutdown(stop: Callable[[], None]) -> None:
    """Call `stop` once, from a thread, after SIGTERM or SIGINT.

    The signal handler must not call it, as it may interrupt code that holds a lock `stop` needs.
    """
    signals: SimpleQueue[int] = SimpleQueue()  # safe to use in a signal handler

    def wait() -> None:
        signals.get()
        stop()

    threading.Thread(target=wait, name="shutdown", daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: signals.put(number))


def exit_on_signal() -> None:
    """Exit with 0 on SIGTERM and SIGINT, as long as there is nothing to be stopped in order.

    By default the first process of a container ignores both, and is killed after a grace period.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: sys.exit(0))


def freeze_gc() -> None:
    """Exclude all objects that exist after start-up from garbage collection.

    They (mostly modules) live as long as the process. Visiting them took a fifth of a busy
    service's CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)  # faces in flight are many live objects, not garbage


async def run_until_signal(work: Coroutine, health: Health) -> None:
    """Run `work` and the loop's heartbeat until `work` ends or SIGTERM or SIGINT arrives."""
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
