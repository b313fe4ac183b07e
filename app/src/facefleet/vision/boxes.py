"""Boxes of faces in a frame, in pixels."""

Box = tuple[int, int, int, int]
"""x, y, width, height"""


def centre(box: Box) -> tuple[float, float]:
    x, y, width, height = box
    return x + width / 2, y + height / 2


def size(box: Box) -> float:
    """Return the side of a square of the same area, at least 1."""
    return max(1.0, (box[2] * box[3]) ** 0.5)


def overlap(one: Box, other: Box) -> float:
    """Return the intersection over the union of two boxes that are not empty."""
    (x, y, width, height), (x2, y2, width2, height2) = one, other
    across = min(x + width, x2 + width2) - max(x, x2)
    down = min(y + height, y2 + height2) - max(y, y2)
    both = max(0, across) * max(0, down)
    return both / (width * height + width2 * height2 - both)
