"""Polygons that include and exclude parts of a view."""

import re

import pytest
from facefleet.regions import EXAMPLE, Regions, polygons

LOWER = ((0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0))
LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
HOOK = ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.6, 0.9), (0.6, 0.4), (0.1, 0.4))  # not convex

UPPER_LEFT, LOWER_LEFT, UPPER_RIGHT, LOWER_RIGHT = (
    *((0.25, 0.25), (0.25, 0.75)),
    *((0.75, 0.25), (0.75, 0.75)),
)
QUARTERS = {UPPER_LEFT, LOWER_LEFT, UPPER_RIGHT, LOWER_RIGHT}


@pytest.mark.parametrize(
    ("regions", "count"),
    [
        (Regions(), QUARTERS),
        (Regions(include=[LOWER]), {LOWER_LEFT, LOWER_RIGHT}),
        (Regions(exclude=[LOWER]), {UPPER_LEFT, UPPER_RIGHT}),
        (Regions(include=[LOWER, LEFT]), QUARTERS - {UPPER_RIGHT}),
        (Regions(exclude=[LOWER, LEFT]), {UPPER_RIGHT}),
        (Regions(include=[LOWER], exclude=[LEFT]), {LOWER_RIGHT}),
        (Regions(include=[HOOK]), QUARTERS - {LOWER_LEFT}),
        (Regions(include=[tuple(reversed(HOOK))]), QUARTERS - {LOWER_LEFT}),
    ],
)
def test_a_point_counts_if_it_is_included_and_not_excluded(
    regions: Regions, count: set[tuple[float, float]]
) -> None:
    assert {point for point in QUARTERS if regions.count(*point)} == count


def test_the_whole_view_can_be_included() -> None:
    whole = Regions(include=polygons("[[[0, 0], [1, 0], [1, 1], [0, 1]]]"))
    assert all(whole.count(x / 100, y / 100) for x in range(100) for y in range(100))


def test_polygons_are_read_from_json() -> None:
    assert polygons(EXAMPLE) == (LOWER,)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        *((text, f"give a list of polygons as JSON, such as {EXAMPLE}") for text in ("", "[")),
        *((text, f"give a list of polygons as JSON, such as {EXAMPLE}") for text in ("{}", "[]")),
        *(
            (text, f"give polygon {number} at least three points, such as {EXAMPLE[1:-1]}")
            for number, text in [
                (1, "[1]"),
                (1, "[[]]"),
                (1, "[[[0, 0], [1, 1]]]"),
                (2, "[[[0, 0], [1, 0], [1, 1]], [[0, 0]]]"),
            ]
        ),
        *(
            (
                f"[[[0, 0], [1, 0], {point}]]",
                f"correct the point {point} of polygon 1: a point is [x, y], fractions of width "
                "and height from 0 to 1",
            )
            for point in ("[1.01, 1]", "[1, -0.1]", "[1]", "[1, 1, 1]", '["1", 1]', "[true, 1]")
        ),
        ("[[[0, 0], [0.5, 0.5], [1, 1]]]", "correct polygon 1: it has no area"),
    ],
)
def test_a_wrong_polygon_has_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        polygons(text)
