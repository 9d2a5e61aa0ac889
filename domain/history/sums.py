"""What is counted of the requests and runs of one span of time: sums, so that they add up in any order."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

_Name = TypeVar("_Name", str, int)
ACCEPTED = "accepted"
"""The outcome of requests that started a run; others are the reasons for which they did not."""


class Sums(msgspec.Struct, array_like=True):
    """Requests by outcome, runs by how they ended, and by length (domain/history/durations.py) how long they queued
    and took.
    """

    requests: dict[str, int] = {}
    runs: dict[str, int] = {}
    queue: dict[int, int] = {}
    took: dict[int, int] = {}

    def add(self, other: "Sums") -> None:
        """Count what the other has counted, too."""
        _add(self.requests, other.requests)
        _add(self.runs, other.runs)
        _add(self.queue, other.queue)
        _add(self.took, other.took)

    def take_out(self, other: "Sums") -> None:
        """Count no more what the other has counted: at most what is there."""
        _take_out(self.requests, other.requests)
        _take_out(self.runs, other.runs)
        _take_out(self.queue, other.queue)
        _take_out(self.took, other.took)

    def of_runs(self) -> "Sums":
        """What is there of runs and of the requests that started them."""
        accepted = {name: count for name, count in self.requests.items() if name == ACCEPTED}
        return Sums(accepted, dict(self.runs), dict(self.queue), dict(self.took))

    def of_requests(self) -> "Sums":
        """What is there of requests that started no run."""
        return Sums({name: count for name, count in self.requests.items() if name != ACCEPTED})

    def is_empty(self) -> bool:
        """Whether nothing is counted."""
        return not (self.requests or self.runs or self.queue or self.took)


def packed(sums: Sums) -> bytes:
    """As JSON, the same for the same sums: read models are compared with what is built anew."""
    in_order = [dict(sorted(counts.items())) for counts in (sums.requests, sums.runs, sums.queue, sums.took)]
    return msgspec.json.encode(in_order)


unpacked = msgspec.json.Decoder(Sums).decode
"""The sums of such bytes."""


def add_one(mine: dict[_Name, int], name: _Name) -> None:
    """Count one more of that name."""
    mine[name] = mine.get(name, 0) + 1


def _add(mine: dict[_Name, int], others: Mapping[_Name, int]) -> None:
    for name, count in others.items():
        mine[name] = mine.get(name, 0) + count


def _take_out(mine: dict[_Name, int], others: Mapping[_Name, int]) -> None:
    for name, count in others.items():
        left = mine.pop(name, 0) - count
        if left > 0:
            mine[name] = left
