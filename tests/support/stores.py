"""Event stores of tests. Several tests share two cores, so an answer may take longer than a role would wait for it."""

from sql.log.event_store import PgEventStore

PATIENCE_S = 30.0


def patient_store(
    dsn: str, name: str = "test", read_connections: int = 4, patience_s: float = PATIENCE_S
) -> PgEventStore:
    """A store for tests that ask what is stored, and not how soon."""
    return PgEventStore(dsn, name, read_connections=read_connections, patience_s=patience_s)
