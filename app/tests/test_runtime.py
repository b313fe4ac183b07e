"""What SIGTERM does to a service, and the heartbeat of its loop."""

import asyncio
import os
import signal

import pytest
from facefleet.cli import app
from facefleet.health import Health
from facefleet.runtime import run_until_signal

from support.rig import await_true, free_port


@pytest.fixture
def _handlers_as_before():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_handlers_as_before")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_work_in_order(number: int) -> None:
    cleaned = []

    async def work() -> None:
        os.kill(os.getpid(), number)
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)

    asyncio.run(run_until_signal(work(), Health()))
    assert cleaned


@pytest.mark.usefixtures("_handlers_as_before")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_service_that_starts(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEFLEET_HTTP", f"127.0.0.1:{free_port()}")
    monkeypatch.setenv("FACEFLEET_DEVICE", "edge-1")
    monkeypatch.setenv("FACEFLEET_BROKER", "mqtt://127.0.0.1:1")
    monkeypatch.setattr("facefleet.cli.configure_logging", lambda *_: None)  # for all tests
    monkeypatch.setattr(
        "facefleet.services.logger.run", lambda _settings: os.kill(os.getpid(), number)
    )
    with pytest.raises(SystemExit) as end:
        app(["logger"], standalone_mode=False)
    assert end.value.code == 0


@pytest.mark.usefixtures("_handlers_as_before")
def test_what_the_work_raises_is_raised() -> None:
    async def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(run_until_signal(work(), Health()))


@pytest.mark.usefixtures("_handlers_as_before")
def test_the_loop_beats_while_it_runs() -> None:
    health = Health(patience=0.5)
    await_true(lambda: not health.alive, "it has grown old")

    async def work() -> None:
        await asyncio.sleep(0)  # the first beat
        assert health.alive

    asyncio.run(run_until_signal(work(), health))
