"""How a process tells whoever started it that it is at work: by a line on a pipe it was given."""

import os

READY_FD = "READY_FD"
"""The variable that holds the pipe's number; no setting, as only `up` sets it, for its children."""


def tell_ready() -> None:
    """Say that this process is at work. Nothing happens where nobody asked, or nobody listens any more."""
    number = os.environ.get(READY_FD, "")  # noqa: TID251 - see READY_FD
    if number.isdecimal():
        try:
            os.write(int(number), b"ready\n")
        except OSError:
            return
