"""A stand-in for a role: `stub_role.py ROLE`. The api answers every GET; SIGTERM ends it."""

import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from sql.process.readiness import tell_ready


class Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        pass


def main(role: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN if role == "deaf" else lambda *_: os._exit(0))
    print(f"{role} runs", flush=True)  # noqa: T201
    if role == "migrate":
        sys.exit(int(os.environ.get("STUB_MIGRATE_EXIT", "0")))
    if role == "failing":
        sys.exit(7)
    if role == "runner":
        tell_ready()
    if role == "api":
        HTTPServer(("127.0.0.1", int(os.environ["TRIGGERHUB_PORT"])), Ready).serve_forever()
    while True:
        signal.pause()


if __name__ == "__main__":
    main(sys.argv[1])
