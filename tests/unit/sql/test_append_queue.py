"""The queue of appends: order for each tenant, turns between them, and a share of the room for each."""

from collections import deque
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from sql.log.append_queue import AppendQueue

Item = tuple[UUID, int]
ADA, BOB = UUID(int=1), UUID(int=2)


def queue(most: int = 1_000) -> AppendQueue[Item]:
    return AppendQueue(most, lambda item: item[0])


def test_who_comes_after_thousands_of_another_tenant_is_in_the_next_batch() -> None:
    waiting = queue(10_000)
    for number in range(4_000):
        waiting.add((ADA, number))
    waiting.add((BOB, 0))
    assert (BOB, 0) in [waiting.take() for _ in range(2)]


def test_no_tenant_has_more_than_half_of_the_room() -> None:
    waiting = queue(10)
    while not waiting.is_full_for(ADA):
        waiting.add((ADA, len(waiting)))
    assert (len(waiting), waiting.is_full_for(BOB)) == (5, False)


@given(st.lists(st.tuples(st.sampled_from(["add", "take", "put back", "drop"]), st.integers(1, 3), st.integers(0, 9))))
def test_order_is_kept_for_each_tenant_and_nothing_is_lost(actions: list[tuple[str, int, int]]) -> None:
    waiting, model, taken, number = queue(), dict[UUID, deque[Item]](), list[Item](), 0
    for action, tenant, which in actions:
        tenant_id, number = UUID(int=tenant), number + 1
        if action == "add":
            waiting.add((tenant_id, number))
            model.setdefault(tenant_id, deque()).append((tenant_id, number))
        elif action == "take" and waiting:
            item = waiting.take()
            assert model[item[0]].popleft() == item
            taken.append(item)
        elif action == "put back":
            waiting.put_back(taken)
            for item in reversed(taken):
                model[item[0]].appendleft(item)
            taken.clear()
        elif action == "drop":
            queued = model.get(tenant_id) or deque([(tenant_id, -1)])
            item = queued[which % len(queued)]
            waiting.drop(item)
            if item[1] >= 0:
                queued.remove(item)
        assert len(waiting) == sum(map(len, model.values()))
        assert sorted(waiting) == sorted(item for queued in model.values() for item in queued)
