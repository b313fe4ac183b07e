"""What goes wrong between a camera and a face, each as one sentence for the person in charge."""

from facefleet.errors import FacefleetError


class VisionError(FacefleetError):
    """A detector's model cannot be read."""


class CameraError(FacefleetError):
    """A camera cannot be opened, or no longer sends frames."""


class CameraEndedError(CameraError):
    """What was opened has ended, after at least one frame; it can be opened again."""


class PictureError(FacefleetError):
    """A file of a folder is not a picture that can be used; the text says why."""
