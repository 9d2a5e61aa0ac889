"""From when the log counts as busy.

Consumers that share its partitions no longer follow its tail then, as the topic brings each its own. The relay waits no
longer for more than so many events.
"""

BUSY_PER_S = 1_000
"""Events that come in a second."""
BUSY_AT_ONCE = 200
"""Events that wait to be read."""
