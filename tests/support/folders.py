"""Folders for data directories."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

DISK = Path(tempfile.gettempdir())
MEMORY = Path("/dev/shm")
ROOM_BYTES = 8 * 2**30
"""More than all servers of a session write."""


@contextlib.contextmanager
def data_folder(disk: Path | None = None) -> Iterator[Path]:
    """A folder for a data directory, gone afterwards. In memory where there is room, unless a disk is named.

    Each database is 560 files.

    Not `tmp_path`: under root PostgreSQL runs as another user, and each pytest session closes the folder
    above all of pytest's to other users, also while another session runs.
    """
    quick = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES
    place = disk or (MEMORY if quick else None)
    with tempfile.TemporaryDirectory(prefix="triggerhub-", dir=place, ignore_cleanup_errors=True) as folder:
        yield Path(folder)
