"""The gallery: the page a person opens to see the faces in the bucket."""

from facefleet.services.gallery.server import run as run
