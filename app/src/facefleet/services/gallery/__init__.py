"""The gallery: the web page that shows the faces in the bucket."""

from facefleet.services.gallery.server import run as run
