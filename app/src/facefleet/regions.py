"""The parts of a camera's view that count: polygons, in fractions of its width and height."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Polygon = tuple[tuple[float, float], ...]
"""Points (x, y), 0 to 1, from the upper left corner of the frame."""

EXAMPLE = "[[[0, 0.5], [1, 0.5], [1, 1], [0, 1]]]"


def polygons(text: str) -> tuple[Polygon, ...]:
    """Read polygons from JSON. Raises ValueError with a sentence that says what is wrong."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, list) or not found:
        raise ValueError(f"give a list of polygons as JSON, such as {EXAMPLE}")
    return tuple(_polygon(number, points) for number, points in enumerate(found, 1))


def _polygon(number: int, points: object) -> Polygon:
    if not isinstance(points, list) or len(points) < 3:
        raise ValueError(f"give polygon {number} at least three points, such as {EXAMPLE[1:-1]}")
    for point in points:
        if not (isinstance(point, list) and len(point) == 2 and all(map(_is_fraction, point))):
            raise ValueError(
                f"correct the point {json.dumps(point)} of polygon {number}: a point is [x, y], "
                "fractions of width and height from 0 to 1"
            )
    found = tuple((float(x), float(y)) for x, y in points)
    if not round(1e6 * sum(x * y2 - x2 * y for (x, y), (x2, y2) in _sides(found))):
        raise ValueError(f"correct polygon {number}: it has no area")
    return found


def _is_fraction(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


@dataclass(frozen=True, slots=True)
class Regions:
    """What is inside of any `include` (of everything, if there is none) and of no `exclude`."""

    include: Sequence[Polygon] = ()
    exclude: Sequence[Polygon] = ()

    def count(self, x: float, y: float) -> bool:
        """Return whether the point, in fractions of width and height, counts."""
        included = not self.include or any(_inside(polygon, x, y) for polygon in self.include)
        return included and not any(_inside(polygon, x, y) for polygon in self.exclude)


EVERYWHERE = Regions()


def _inside(polygon: Polygon, x: float, y: float) -> bool:
    # A ray to the right crosses the border an odd number of times.
    crossings = (
        x < x1 + (y - y1) / (y2 - y1) * (x2 - x1)
        for (x1, y1), (x2, y2) in _sides(polygon)
        if (y1 > y) != (y2 > y)
    )
    return sum(crossings) % 2 == 1


def _sides(polygon: Polygon) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    return list(pairwise((*polygon, polygon[0])))
