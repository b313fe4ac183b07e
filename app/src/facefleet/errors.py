"""The errors a person sees: each message is one sentence that says what to do."""


class FacefleetError(Exception):
    """Base of every error that is reported as a sentence and not as a traceback."""


class SettingsError(FacefleetError):
    """A setting is unknown, missing or has a bad value."""
