"""The files of a rehearsal: those that its sample names, and those of the run that the sample is.

What its steps keep belongs to the rehearsal, which no log names: it is swept an hour later.
"""

from uuid import UUID

import msgspec

from consumers.files.run_files import AllFiles
from consumers.rehearsal.wish import Wish
from domain.connection.blot import NOTHING, Blot
from domain.files.file import Files, files_in
from domain.hook.request import trigger_data
from domain.run.events import RunRequested


class SampleFiles:
    """consumers.files.run_files.FilesOf, the same for the run of the draft and the items of its loops."""

    def __init__(self, files: AllFiles, wish: Wish) -> None:
        self._files = files
        self._run_id = wish.run_id
        kept = list(files_in(trigger_data(wish.request)["body"]))
        self._requested = RunRequested(
            zap_id=wish.zap_id,
            zap_version=wish.number,
            source=wish.source,
            request=msgspec.structs.replace(wish.request, kept=kept),
            replay_of=wish.sample_run,
        )

    def of(self, tenant_id: UUID, _run_id: UUID, _requested: RunRequested, blot: Blot = NOTHING) -> Files:
        """See FilesOf."""
        return self._files.of(tenant_id, self._run_id, self._requested, blot)
