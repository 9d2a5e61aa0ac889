"""`python -m app.http.openapi` writes the document; the web UI's types are made from it (make ui)."""

import sys

from app.http.asgi import create_app
from app.http.services import Services
from consumers.connectors import catalog
from sql.log.event_store import PgEventStore

_UNUSED = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
"""A key: nothing is signed or sealed here."""


def main() -> None:
    """Makes the application without starting it: nothing is connected to."""
    services = Services(
        store=PgEventStore("", "openapi"),
        dsn="",
        catalog=catalog(),
        jwt_secret=_UNUSED,
        encryption_key=_UNUSED,
        public_url="http://127.0.0.1:8000",
    )
    sys.stdout.buffer.write(create_app(services).state.openapi.json)


main()
