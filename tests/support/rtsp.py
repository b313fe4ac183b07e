"""A network camera that speaks RTSP, over TCP only, and may ask for a user and a password."""

import itertools
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import cv2
from facefleet.jpeg import segments

from support.camera import gray_frame
from support.login import Login

_SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\na=control:track\r\n"
)
_TABLES, _SCAN = 0xDB, b"\xff\xda"
_TICKS = 3600  # of a frame at 25 a second, by the clock of 90 kHz


@dataclass
class Requests:
    """What a camera was asked for."""

    port: int
    transports: list[str] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        with suppress(OSError):  # the client has closed the connection
            while line := self.rfile.readline():
                headers = {}
                while header := self.rfile.readline().strip():
                    name, _, value = header.decode().partition(":")
                    headers[name] = value.strip()
                self._answer(line.decode().split()[0], headers)

    def _answer(self, method: str, headers: dict[str, str]) -> None:
        asked, login = self.server.asked, self.server.login
        given = headers.get("Authorization", "")
        asked.authorizations.append(given)
        if login is not None and not login.accepts(given, method):
            self._say("401 Unauthorized", headers, f"WWW-Authenticate: {login.challenge}\r\n")
        elif method == "OPTIONS":
            self._say("200 OK", headers, "Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n")
        elif method == "DESCRIBE":
            self._say("200 OK", headers, "Content-Type: application/sdp\r\n", _SDP)
        elif method == "SETUP":
            transport = headers["Transport"]
            asked.transports.append(transport)
            if transport.startswith("RTP/AVP/TCP") and self.server.sends:
                self._say("200 OK", headers, f"Transport: {transport}\r\nSession: 1\r\n")
            else:
                self._say("461 Unsupported Transport", headers)
        elif method == "PLAY":
            self._say("200 OK", headers, "Session: 1\r\n")
            self._play()
        else:
            self._say("200 OK", headers)

    def _say(self, status: str, asked: dict[str, str], headers: str = "", body: str = "") -> None:
        lines = f"CSeq: {asked['CSeq']}\r\n{headers}Content-Length: {len(body)}\r\n"
        self.wfile.write(f"RTSP/1.0 {status}\r\n{lines}\r\n{body}".encode())

    def _play(self) -> None:
        for n in itertools.count():
            if self.server.dying.wait(0.04):
                return
            packet = _packet(n)
            self.wfile.write(struct.pack(">cBH", b"$", 0, len(packet)) + packet)


def _packet(n: int) -> bytes:
    """The frame `n` as a single RTP packet with a JPEG (RFC 2435)."""
    image = gray_frame(n)
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    tables = b"".join(content[1:] for marker, content in segments(jpeg) if marker == _TABLES)
    scan = jpeg.index(_SCAN) + len(_SCAN)
    begin = scan + int.from_bytes(jpeg[scan : scan + 2], "big")
    height, width = (side // 8 for side in image.shape[:2])
    rtp = struct.pack(">BBHII", 0x80, 0x80 | 26, n & 0xFFFF, n * _TICKS, 1)
    # Not a fragment; color of half the resolution; quantization tables of its own.
    header = struct.pack(">IBBBB", 0, 1, 255, width, height)
    return rtp + header + struct.pack(">BBH", 0, 0, len(tables)) + tables + jpeg[begin:-2]


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@contextmanager
def rtsp_camera(login: Login | None = None, *, sends: bool = True) -> Iterator[Requests]:
    """A camera on a free port, until the end of the context; it may refuse to send anything."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.dying, server.login, server.sends = threading.Event(), login, sends
        server.asked = Requests(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.asked
        finally:
            server.dying.set()
            server.shutdown()
            thread.join()
