"""How a camera asks for a user and a password."""

import base64
import hashlib
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Login:
    """A user whom a camera knows, and how it asks for the password."""

    user: str
    password: str
    scheme: str  # Basic or Digest

    @property
    def challenge(self) -> str:
        nonce = ', nonce="0123"' if self.scheme == "Digest" else ""
        return f'{self.scheme} realm="camera"{nonce}'

    def accepts(self, header: str, method: str) -> bool:
        scheme, _, rest = header.partition(" ")
        if scheme != self.scheme:
            return False
        if scheme == "Basic":
            return base64.b64decode(rest) == f"{self.user}:{self.password}".encode()
        given = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        secret, asked = (
            _md5(":".join(parts))
            for parts in ((self.user, "camera", self.password), (method, given["uri"]))
        )
        return given["response"] == _md5(f"{secret}:0123:{asked}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
