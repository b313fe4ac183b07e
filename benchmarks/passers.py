"""People who pass a camera one after the other, for the feeder: which pictures a detector keeps.

Each visit is ten pictures of one person, five a second. What was shown is written to a file line by
line, each with what was chosen then; a blank line begins another life of the feeder.
"""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from facefleet.delivery.backlog import Rank
from facefleet.settings import DetectorSettings
from facefleet.vision.visits import FIRST_WITHIN, BestOfVisit, Candidate, Choice

PICTURES = 10  # of a visit
RATE = 5  # pictures a second, by the camera's clock
_PLACES = 8  # far enough apart, and as many that a place is empty for long before the next person
_MOST = DetectorSettings.model_fields["faces_per_visit"].default


def best_of_visits(
    shown: Path, count: int, log_is_complete: bool
) -> Iterator[list[tuple[int, Rank]]]:
    """Show the pictures up to `count`, and yield the numbers to capture after each, and ranks.

    It goes on behind the last picture that was shown in an earlier life. The last picture is
    captured at the end, so that the end can be seen; `log_is_complete`: it has been.
    """
    chooser = BestOfVisit[int](_MOST)
    begin = sum(len(life) for life in _lives(shown))
    with shown.open("ab", buffering=0) as file:  # unbuffered, so that it survives a kill
        file.write(b"\n")
        for number in range(begin, count - 1):
            chosen = _ranked(chooser.choose([_candidate(number)], number / RATE))
            line = number, *(picture for picture, _ in chosen)
            file.write(f"{' '.join(map(str, line))}\n".encode())
            yield chosen
    yield _ranked(chooser.end())
    yield [] if log_is_complete else [(count - 1, Rank.FIRST)]


def missed(shown: Path, acknowledged: set[int]) -> list[int]:
    """Return the visits that had to be captured, and were not.

    The outbox takes pictures in order: once one is acknowledged, all that were chosen before are. A
    visit that has been in view for FIRST_WITHIN by then is in the outbox, whatever ended that life.
    """
    found = []
    for life in _lives(shown):
        known = [at for at, (_, *chosen) in enumerate(life) if not acknowledged.isdisjoint(chosen)]
        in_view = Counter(number // PICTURES for number, *_ in life[: known[-1] if known else 0])
        for visit, pictures in in_view.items():
            of_visit = range(visit * PICTURES, (visit + 1) * PICTURES)
            if pictures > FIRST_WITHIN * RATE and acknowledged.isdisjoint(of_visit):
                found.append(visit)
    return found


def _ranked(choices: list[Choice[int]]) -> list[tuple[int, Rank]]:
    return [(one.picture, Rank.FIRST if one.first else Rank.FURTHER) for one in choices]


def _candidate(number: int) -> Candidate[int]:
    place = number // PICTURES % _PLACES
    box = (place * 400, 100, 100, 100)
    return Candidate(box, random.Random(number).random(), number)


def _lives(shown: Path) -> list[list[list[int]]]:
    """Return each life's pictures in order: number, and the numbers chosen after it."""
    text = shown.read_text() if shown.exists() else ""
    lives = (life.splitlines() for life in text.split("\n\n"))
    return [[[int(n) for n in line.split()] for line in life if line] for life in lives]
