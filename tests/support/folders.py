"""Folders for data directories."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def data_folder() -> Iterator[Path]:
    """A folder for a data directory, gone afterwards.

    Not `tmp_path`: under root PostgreSQL runs as another user, and each pytest session closes the folder
    above all of pytest's to other users, also while another session runs.
    """
    with tempfile.TemporaryDirectory(prefix="triggerhub-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
