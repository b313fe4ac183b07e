"""Nothing of a source is shown that may be a secret."""

import pytest
from facefleet.vision.addresses import scheme, shown, with_login

HIDDEN = "(not shown: it may be secret)"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("rtsp://me:secret@cam.lan:554/live", "rtsp://cam.lan:554"),
        ("rtsp://me:secret@192.0.2.7:8554/live", "rtsp://192.0.2.7:8554"),
        ("rtsp://me:secret@[2001:db8::7]:554/live", "rtsp://[2001:db8::7]:554"),
        ("rtsp://192.0.2.7", "rtsp://192.0.2.7"),
        ("RTSP://me:secret@192.0.2.7/live", "rtsp://192.0.2.7"),
        ("rtsp://me:secret@cam:554/live", "rtsp://cam"),
        ("rtsp://cam/user=me&password=secret", "rtsp://cam"),
        ("http://cam?password=secret", "http://cam"),
        ("https://cam.lan#secret", "https://cam.lan"),
        # What is the host cannot be told: a password with a delimiter in it, or a slip of the pen.
        ("rtsp://cam:x@Secret/7@192.0.2.7/live", "rtsp://..."),
        ("rtsp://me:se@cret@cam/live", "rtsp://..."),
        ("rtsp://me:sec/ret@cam/live", "rtsp://..."),
        ("rtsp://me:554/secret@cam/live", "rtsp://..."),
        ("rtsp://me:se?cret@cam/live", "rtsp://..."),
        ("rtsp://me:se#cret@cam/live", "rtsp://..."),
        ("rtsp://me:se\\cret@cam/live", "rtsp://..."),
        ("rtsp://me:se cret@cam/live", "rtsp://..."),
        ("rtsp://me:secret", "rtsp://..."),
        ("rtsp://me:secret/live", "rtsp://..."),
        ("rtsp://me:12345", "rtsp://me"),
        ("rtsp:///me:secret@cam/live", "rtsp://..."),
        ("rtsp://", "rtsp://..."),
        ("rtsp://me%3Asecret%40cam/live", "rtsp://..."),
        ("rtsp:/me:secret@cam/live", HIDDEN),
        ("rtsp//me:secret@cam/live", HIDDEN),
        ("rtsp;//me:secret@cam/live", HIDDEN),
        ("rtsp:\\\\me:secret@cam", HIDDEN),
        (" rtsp://me:secret@cam/live", HIDDEN),
        ("rtmp://me:secret@cam/live", HIDDEN),
        ("me:secret@cam/live", HIDDEN),
        ("sample:rtsp://me:secret@cam", HIDDEN),
        ("gstreamer:rtspsrc location=rtsp://cam user-pw=secret ! appsink", "gstreamer:..."),
        ("sample:astronaut", "sample:astronaut"),
        ("/dev/v4l/by-id/usb-Cam_1.0-video-index0", "/dev/v4l/by-id/usb-Cam_1.0-video-index0"),
        ("film of 2026.avi", "film of 2026.avi"),
    ],
)
def test_only_what_is_known_to_be_no_secret_is_shown(source: str, expected: str) -> None:
    assert shown(source) == expected


@pytest.mark.parametrize(
    ("address", "user", "password", "url"),
    [
        ("rtsp://cam.lan/live", "me", "secret", "rtsp://me:secret@cam.lan/live"),
        ("HTTP://cam.lan:81", "me", "@:/#?%", "HTTP://me:%40%3A%2F%23%3F%25@cam.lan:81"),
        ("rtsp://[2001:db8::7]/a@b", "m e", "\u00fc", "rtsp://m%20e:%C3%BC@[2001:db8::7]/a@b"),
        ("rtsp://cam.lan", "me", "", "rtsp://me:@cam.lan"),
    ],
)
def test_user_and_password_are_escaped_and_not_shown(address, user, password, url) -> None:
    assert with_login(address, user, password) == url
    assert shown(url) in (shown(address), f"{shown(address).split('://')[0]}://...")


@pytest.mark.parametrize("source", ["rtsp://cam", "RTSPS://cam", "http://cam", "Https://cam"])
def test_streams_are_known_by_their_scheme(source: str) -> None:
    assert scheme(source) == source.partition(":")[0].lower()


@pytest.mark.parametrize(
    "source", ["rtmp://cam", "rtsp:cam", "film.avi", "/dev/video0", "file://x"]
)
def test_what_is_no_stream(source: str) -> None:
    assert scheme(source) is None
