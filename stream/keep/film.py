"""What a film may show. Without what it takes to make one: most sessions make none."""

from enum import StrEnum


class Film(StrEnum):
    """What is recorded."""

    OVERLAY = "overlay"
    """The picture with all that the AI said of it."""
    CLEAN = "clean"
    """The ultrasound region alone."""
