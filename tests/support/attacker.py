"""A client of a broker that keeps to no rule but its certificate: MQTT by hand, over TLS."""

import contextlib
import os
import socket
import ssl
import struct
from pathlib import Path

WELCOME = b"\x20\x02\x00\x00"


class Attacker:
    """A connection to a broker of this machine; a context manager.

    `clean`: leave no session behind; `will`: a topic for a retained will.
    """

    def __init__(
        self, port: int, folder: Path, *, client_id: str = "x", clean: bool = True, will: str = ""
    ) -> None:
        context = ssl.create_default_context(cafile=folder / "ca.crt")
        context.check_hostname = False
        context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
        plain = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.socket = context.wrap_socket(plain)
        self._number = 0
        flags = (2 if clean else 0) | (0x24 if will else 0)
        words = [client_id, *([will, "gone"] if will else [])]
        self._send(0x10, b"\0\4MQTT\4" + bytes((flags,)) + b"\0\x3c" + b"".join(map(_text, words)))
        self.answer = self.socket.recv(4)

    def __enter__(self) -> "Attacker":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> None:
        number = struct.pack(">H", self._next()) if qos else b""
        self._send(0x30 | qos << 1 | retain, _text(topic) + number + payload)

    def subscribe(self, topic: str, qos: int = 0) -> None:
        self._send(0x82, struct.pack(">H", self._next()) + _text(topic) + bytes((qos,)))

    def ping(self) -> None:
        """Wait until the broker has taken all that was said; ConnectionError where it has not."""
        self._send(0xC0, b"")
        while not (answer := self.socket.recv(1 << 16)).endswith(b"\xd0\0"):
            if not answer:
                raise ConnectionResetError("the broker has ended the connection")

    def cut_off(self) -> bool:
        """Whether the broker has ended the connection, or does so at the next word."""
        try:
            self.ping()
        except OSError:
            return True
        return False

    def topics(self, seconds: float) -> list[str]:
        """Those of the messages that come until there is none for so long."""
        heard, topics, start = b"", [], 0
        self.socket.settimeout(seconds)
        with contextlib.suppress(TimeoutError):
            while piece := self.socket.recv(1 << 16):
                heard += piece
        while start < len(heard):
            length, digit = 0, start + 1
            while heard[digit] > 0x7F:
                digit += 1
            for byte in reversed(heard[start + 1 : digit + 1]):
                length = length << 7 | byte & 0x7F
            body = digit + 1
            if heard[start] & 0xF0 == 0x30:
                size = int.from_bytes(heard[body : body + 2], "big")
                topics.append(heard[body + 2 : body + 2 + size].decode())
            start = body + length
        return topics

    def _next(self) -> int:
        self._number = self._number % 65_535 + 1
        return self._number

    def _send(self, kind: int, body: bytes) -> None:
        self.socket.sendall(bytes((kind,)) + _length(len(body)) + body)


def noise(size: int) -> bytes:
    """A payload that is nothing."""
    return os.urandom(16) + bytes(size - 16)


def _text(words: str) -> bytes:
    return struct.pack(">H", len(words.encode())) + words.encode()


def _length(size: int) -> bytes:
    digits = bytearray()
    while size > 0x7F:
        digits.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes((*digits, size))
