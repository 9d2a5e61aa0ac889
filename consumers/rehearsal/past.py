"""What came of the items of a past run's loops: the answers for those of a draft, where they are the same items."""

from collections.abc import Mapping
from uuid import UUID

from consumers.rehearsal.answers import recorded
from domain.aggregates import RUN
from domain.connector.outcome import Outcome
from domain.log.ports import EventStore
from domain.log.stream import load
from domain.run.children import ChildIds
from domain.run.events import RunRequested
from domain.zap.definition import Definition


class Past:
    """A past run, for which `now` stands in the rehearsal. An item is the same if it is alike, in the same place."""

    def __init__(self, store: EventStore, now: UUID, then: UUID, original: Definition, draft: Definition) -> None:
        self._store = store
        self._original = original
        self._draft = draft
        self._then = {now: then}

    async def of_item(self, run_id: UUID, item: RunRequested) -> Mapping[str, Outcome]:
        """What is on record of the steps of an item, by their ids; nothing where there was no such item."""
        parent = item.parent
        above = self._then.get(parent.run_id) if parent else None
        if parent is None or above is None:
            return {}
        then = ChildIds(above, parent.step_id).of(parent.index)
        run = await load(self._store, RUN, then)
        if run is None or run.state.requested.item != item.item:
            return {}
        self._then[run_id] = then
        return recorded(run.state, self._original, self._draft)
