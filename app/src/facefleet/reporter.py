"""Publish what a device reports of itself, when it changes in what matters and now and then."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from facefleet import readings
from facefleet.report import REPORT_EVERY, Clock, Report, report_topic, time_topic

LOOK_EVERY = 10.0  # seconds between looks at the machine


class Reporter:
    """The device report. `publish(topic, payload)` returns whether the message was sent."""

    def __init__(
        self,
        device: str,
        tls: Path | None,
        deployed: Path | None,
        publish: Callable[[str, bytes], bool],
    ) -> None:
        self.answers = time_topic(device)
        """The topic of the cloud's answers, for `answered`."""
        self._topic = report_topic(device)
        self._tls, self._deployed = tls, deployed
        self._publish = publish
        self._clock = Clock()
        self._last: Report | None = None
        self._at = 0.0  # monotonic seconds
        self._wake = asyncio.Event()

    def connected(self) -> None:
        """Start over with a broker that may have lost the report."""
        self._last = None
        self._wake.set()

    def answered(self, payload: bytes) -> None:
        """Take the cloud's time from an answer to the last report."""
        if self._clock.answered(payload, time.monotonic()):
            self._wake.set()

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            self._report(await asyncio.to_thread(self._look))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_EVERY)
            self._wake.clear()

    def _look(self) -> Report:
        return Report(
            at=int(time.time()),
            up=readings.uptime(),
            memory=readings.memory_available(),
            temperature=readings.temperature(),
            certificate=readings.certificate_end(self._tls),
            clock=self._clock.offset,
            bound=self._clock.bound,
            **readings.deployed(self._deployed),
            ask=secrets.token_hex(2),
        )

    def _report(self, found: Report) -> None:
        now = time.monotonic()
        is_due = self._last is None or now - self._at >= REPORT_EVERY or found.is_news(self._last)
        if is_due and self._publish(self._topic, found.encode()):
            self._last, self._at = found, now
            self._clock.asked(found.ask, time.time(), now)
