"""Runs that this process carries out before the topic has told of them, because it has requested them itself.

Their messages come later, and are worked on until those runs are at rest, or not at all where they are already.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

from consumers.kafka.watermark import Watermark
from domain.log.partitioning import partition_of


class _HeadStart:
    """One run. `message`: what the topic told of it; `is_done`: it ended or waits, so there is nothing to work on."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.is_done = False
        self.message: tuple[Watermark, int] | None = None


class HeadStarts:
    """The runs whose messages have not come yet, or which are not at rest."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._runs: dict[UUID, _HeadStart] = {}

    def expect(self, run_ids: Sequence[UUID], ordering_key: UUID) -> None:
        """These runs are carried out here, whenever the topic tells of them."""
        partition = partition_of(ordering_key, self._partitions)
        for run_id in run_ids:
            self._runs.setdefault(run_id, _HeadStart(partition))

    def claims(self, run_id: UUID, mark: Watermark, position: int, previous: int, offset: int) -> bool:
        """Whether a request tells of a run that has its head start; then its watermark waits for that run."""
        if not self._runs:
            return False
        known = self._runs.get(run_id)
        if known is None:
            return False
        if known.is_done:
            del self._runs[run_id]
        else:
            mark.open(position, previous, offset)
            known.message = mark, position
        return True

    def done(self, run_id: UUID) -> None:
        """The run is at rest: what follows from its message is durable."""
        known = self._runs.get(run_id)
        if known is None:
            return
        known.is_done = True
        if known.message is not None:
            mark, position = known.message
            mark.close(position)
            del self._runs[run_id]

    def forget(self, run_id: UUID) -> None:
        """The run is at rest, and its message came before, or may come again."""
        self.done(run_id)
        self._runs.pop(run_id, None)

    def give_up(self, partitions: Collection[int]) -> None:
        """Expect no messages of these partitions: another process has them, or they come anew."""
        for run_id, known in list(self._runs.items()):
            if known.partition in partitions:
                del self._runs[run_id]
