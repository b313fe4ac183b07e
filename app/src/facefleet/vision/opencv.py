"""`python3 -m facefleet.vision.opencv`: check that OpenCV has what the detector needs.

The build of the detector's image runs it: OpenCV may be another one than that of the locks.
"""

import sys
from importlib import import_module

OLDEST = (4, 8)  # that can read YuNet's model


def problem() -> str | None:
    """Return what is wrong with this Python's OpenCV, and what to do."""
    try:
        cv2 = import_module("cv2")
    except ImportError as error:
        python = ".".join(map(str, sys.version_info[:2]))
        return (
            f"Python {python} cannot import cv2 ({error}): set OPENCV_PACKAGES to packages that "
            "have it for this version of Python."
        )
    if tuple(map(int, cv2.__version__.split(".")[:2])) < OLDEST:
        return (
            f"OpenCV {cv2.__version__} is too old for YuNet's model: use a base image whose "
            f"OPENCV_PACKAGES have at least {OLDEST[0]}.{OLDEST[1]}."
        )
    try:
        import_module("facefleet.vision.sources")
        import_module("facefleet.vision.detectors").load_detector("yunet", 60)
    except Exception as error:  # whatever it lacks
        return f"OpenCV {cv2.__version__} lacks something that the detector needs: {error!r}."
    return None


def main() -> None:
    if (found := problem()) is not None:
        sys.exit(found)


if __name__ == "__main__":
    main()
