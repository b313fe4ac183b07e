"""Cameras that speak RTSP or HTTP, and ask for a password."""

from contextlib import closing

import pytest
from facefleet.vision.addresses import with_login
from facefleet.vision.errors import CameraError
from facefleet.vision.sources import open_source

from support.camera import stream
from support.login import Login
from support.rtsp import rtsp_camera

HARD = "p@:/#?%41 \u00fc&+;\"'\\"  # each of these characters has a meaning somewhere in an address


@pytest.mark.parametrize("scheme", ["Basic", "Digest"])
@pytest.mark.parametrize(("user", "password"), [("me", HARD), (HARD.replace(":", ""), "")])
def test_no_character_of_user_and_password_needs_an_escape(scheme, user, password):
    login = Login(user, password, scheme)
    with rtsp_camera(login) as rtsp, stream(login=login) as http:
        for address in (
            f"rtsp://127.0.0.1:{rtsp.port}/live",
            f"http://127.0.0.1:{http.server_port}/live",
        ):
            with closing(open_source(with_login(address, user, password))) as source:
                assert source.read().shape == (48, 64, 3)
            with pytest.raises(CameraError, match="address, user and password are correct"):
                open_source(with_login(address, user, password + "x"))


def test_the_longest_password_that_the_settings_allow_is_sent_whole():
    login = Login("me", "x" * 124, "Digest")
    with rtsp_camera(login) as camera:
        address = with_login(f"rtsp://127.0.0.1:{camera.port}/live", "me", "x" * 124)
        with closing(open_source(address)) as source:
            assert source.read().shape == (48, 64, 3)


def test_rtsp_is_over_tcp_and_nothing_else():
    with rtsp_camera() as camera:
        with closing(open_source(f"rtsp://127.0.0.1:{camera.port}/live")) as source:
            first, second = (source.read().mean() for _ in range(2))
        assert first < second
        assert [transport.split(";")[0] for transport in camera.transports] == ["RTP/AVP/TCP"]
    with rtsp_camera(sends=False) as camera:
        with pytest.raises(CameraError):
            open_source(f"rtsp://127.0.0.1:{camera.port}/live")
        assert {transport.split(";")[0] for transport in camera.transports} == {"RTP/AVP/TCP"}
