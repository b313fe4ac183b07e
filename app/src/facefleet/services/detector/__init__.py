"""Detect faces in a camera's frames, and hand those to capture to the sender.

`watch` knows how the camera is, `search` finds the faces of a frame, and `loop` captures them.
"""

from facefleet.services.detector.loop import run as run
