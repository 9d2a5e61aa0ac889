"""A point of the log, as of which things are told."""

from datetime import datetime

import msgspec


class Point(msgspec.Struct, frozen=True):
    """The log up to `position`, which is how it stood at `at`. What is told of it never changes."""

    position: int
    at: datetime
