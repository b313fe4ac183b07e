"""What a camera sees, in the words of status, metrics and coverage."""

from enum import StrEnum


class View(StrEnum):
    """The view of a camera that sends frames. Of several faults, the first one listed counts."""

    GOOD = "good"
    DARK = "dark"
    FROZEN = "frozen"
    COVERED = "covered"
    SHIFTED = "shifted"
    BLURRED = "blurred"


SEEN = "seen"
NO_STREAM = "no stream"
OFF = "off by schedule"
STALLED = "stalled"  # the camera has a stream, but the detector does not look at it
"""States of a camera in its coverage, in addition to the bad views."""

REMEDIES = {
    View.DARK: "The picture is black: remove the lens cap, or switch on the light.",
    View.FROZEN: "The picture no longer changes: disconnect the camera from its power, and "
    "reconnect it.",
    View.COVERED: "The picture shows nothing but a plain surface: remove what covers the lens.",
    View.SHIFTED: "The picture does not show the usual view: turn the camera back, or remove what "
    "stands in front of it; if this is its view from now on, restart its detector.",
    View.BLURRED: "The picture is far less sharp than usual: clean the lens, or adjust its focus.",
}
"""What is wrong with a bad view, and what to do."""
