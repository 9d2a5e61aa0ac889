"""The pure core: events, deciders, templates and the wire envelope. No I/O, clock or randomness."""
