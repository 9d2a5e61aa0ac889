"""From when the log counts as busy: then consumers no longer follow its tail, as the topic brings events cheaper.

The relay goes by the same bounds: it hurries once nobody has events but from the topic.
"""

BUSY_PER_S = 1_000
"""Events that come in a second."""
BUSY_AT_ONCE = 200
"""Events that wait to be read."""
