"""All shared SQL: queries, connections, migrations, the event store, checkpoints, timers."""
