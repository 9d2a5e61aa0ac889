"""Where to start again when the topic has lost messages: pure arithmetic over gates."""

from collections.abc import Mapping

from relay.leader import Sent


def lost_messages(sent: Sent, ends: Mapping[int, int]) -> bool:
    """Whether the topic ends before a message that it had acknowledged."""
    return any(ends.get(partition, 0) <= offset for partition, (offset, _position) in sent.items())


def is_needed(sent: Sent, ends: Mapping[int, int]) -> bool:
    """Whether a topic holds what nobody would publish again: what it had acknowledged, or what somebody else sent."""
    if not any(ends.values()):
        return False
    is_new = all(offset < 0 for offset, _position in sent.values())  # as `rewound` leaves it
    return not sent or not (is_new or lost_messages(sent, ends))


def rewind_position(position: int, sent: Sent, gates: Mapping[str, Mapping[int, int]]) -> int:
    """The position after which everything has to be published again, at most `position`.

    A consumer that has come to the last message of a partition misses nothing there, however far back that message
    lies; any other needs all after its gate.
    """
    needs = [position]
    for of_consumer in gates.values():
        for partition, (_offset, last) in sent.items():
            gate = of_consumer.get(partition, 0)
            if gate < last:
                needs.append(gate)
    return min(needs)


def passed(sent: Sent, gates: Mapping[str, Mapping[int, int]]) -> bool:
    """Whether every consumer has come to what was sent."""
    return all(of.get(partition, 0) >= last for of in gates.values() for partition, (_offset, last) in sent.items())


def rewound(sent: Sent, position: int, before: Mapping[int, int], since: int) -> dict[int, tuple[int, int]]:
    """The sent positions after going back to `position`. The topic may be new, so there are no offsets yet.

    `before`: the last position of each partition until there, of those that stand in the log after `since`. The next
    message names it: one that named an event of another partition would be a gap to all who have seen everything, and
    each would ask for more.
    """
    return {
        partition: (-1, last if last <= position else before.get(partition, since))
        for partition, (_offset, last) in sent.items()
    }
