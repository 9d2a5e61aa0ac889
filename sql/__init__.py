"""Everything that speaks SQL and is shared: queries, connections, migrations, the event store, checkpoints, timers."""
