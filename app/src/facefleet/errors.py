"""Errors for people: each message is one sentence that says what is wrong and what to do."""


def printable(text: str) -> str:
    """Return untrusted text on one line, without control characters for the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


class FacefleetError(Exception):
    """Base of all errors that are reported as a sentence instead of a traceback."""


class SettingsError(FacefleetError):
    """A setting is unknown, missing or has a bad value."""
