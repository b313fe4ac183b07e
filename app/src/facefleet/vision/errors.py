"""Errors of cameras and detectors; each message is one sentence for the operator."""

from facefleet.errors import FacefleetError


class VisionError(FacefleetError):
    """A model cannot be read, or this OpenCV can never open the camera's source."""


class CameraError(FacefleetError):
    """A camera cannot be opened, or no longer sends frames."""


class CameraEndedError(CameraError):
    """A source has ended after at least one frame. It can be opened again."""


class PictureError(FacefleetError):
    """A file is not a usable image; the message says why."""
