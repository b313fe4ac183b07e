"""The errors a person sees: each message is one sentence that says what to do."""


def printable(text: str) -> str:
    """What anybody may have written, on one line, and unable to talk to the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


class FacefleetError(Exception):
    """Base of every error that is reported as a sentence and not as a traceback."""


class SettingsError(FacefleetError):
    """A setting is unknown, missing or has a bad value."""
