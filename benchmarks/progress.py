"""Say on stderr how a benchmark goes."""

import math
import sys
import time

_EVERY = 10.0  # seconds from line to line in a log
_EVERY_ON_TERMINAL = 0.5


class Progress:
    """A line that is kept current on a terminal, or else a line now and then."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._due = -math.inf

    @property
    def is_due(self) -> bool:
        """Whether `show` is to be called."""
        return time.monotonic() >= self._due

    def show(self, text: str) -> None:
        self._due = time.monotonic() + (_EVERY_ON_TERMINAL if self._live else _EVERY)
        print(
            f"\r{text}\x1b[K" if self._live else text,
            end="" if self._live else "\n",
            file=sys.stderr,
            flush=True,
        )

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self.clear()
        print(text, file=sys.stderr)

    def clear(self) -> None:
        if self._live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
