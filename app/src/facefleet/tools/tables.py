"""Format rows as a text table."""

from collections.abc import Sequence

from facefleet.errors import printable


def table(rows: Sequence[Sequence[object]]) -> str:
    """Format rows, the first of which is the header. Numbers are right-aligned; None is a dash."""
    texts = [[_text(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in texts) for i in range(len(texts[0]))]
    right = [
        len(rows) > 1 and all(isinstance(row[i], int | None) for row in rows[1:])
        for i in range(len(widths))
    ]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_the_right else cell.ljust(width)
            for cell, width, to_the_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in texts
    )


def _text(cell: object) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, int):
        return f"{cell:,}"
    return printable(str(cell))
