"""Cameras to test with: an HTTP one, a film and pictures, all gray."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np

from support.login import Login

GRAYS = (40, 120, 200)


def write_video(path: Path, grays: Sequence[int] = GRAYS) -> Path:
    """A film of gray frames."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for gray in grays:
        writer.write(np.full((48, 64, 3), gray, np.uint8))
    writer.release()
    return path


def write_picture(path: Path, gray: int) -> None:
    """Under any name: OpenCV itself writes none that is not UTF-8."""
    path.write_bytes(cv2.imencode(path.suffix, np.full((48, 64, 3), gray, np.uint8))[1].tobytes())


class Stream(BaseHTTPRequestHandler):
    """Motion JPEG at 25 frames a second, of the server's `frame(number)`.

    At /snapshot, one picture an answer; at /cut, every third picture lacks its end.
    """

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        login = self.server.login
        if login is not None and not login.accepts(self.headers["Authorization"] or "", "GET"):
            self.send_response(401)
            self.send_header("WWW-Authenticate", login.challenge)
            self.end_headers()
            return
        if self.path == "/snapshot":
            jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 120, np.uint8))[1].tobytes()
            self.send_response(200)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(jpeg)))
            self.end_headers()
            self.wfile.write(jpeg)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        n = 0
        try:
            while not self.server.dying.wait(0.04):
                jpeg = cv2.imencode(".jpg", self.server.frame(n))[1].tobytes()
                if self.path == "/cut" and n % 3 == 2:
                    jpeg = jpeg[: len(jpeg) // 3]
                self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: ")
                self.wfile.write(str(len(jpeg)).encode() + b"\r\n\r\n" + jpeg + b"\r\n")
                n += 1
        except OSError:
            pass  # the camera has closed the stream

    def log_message(self, *_: object) -> None:
        """Not worth a line."""


def gray_frame(number: int) -> np.ndarray:
    """The gray says the frame's number, 2 a frame."""
    return np.full((48, 64, 3), min(250, number * 2), np.uint8)


@contextmanager
def stream(
    port: int = 0,
    frame: Callable[[int], np.ndarray] = gray_frame,
    login: Login | None = None,
) -> Iterator[ThreadingHTTPServer]:
    """A server of `Stream`; `paths` are those that it was asked for."""
    server = ThreadingHTTPServer(("127.0.0.1", port), Stream)
    server.dying = threading.Event()
    server.paths = []
    server.frame, server.login = frame, login
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.dying.set()
        server.shutdown()
        server.server_close()
        thread.join()
