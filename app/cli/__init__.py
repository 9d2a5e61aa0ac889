"""What can an operator type?"""

import sys


def main() -> None:
    """The command `triggerhub`."""
    # structlog loads it for tracebacks where it can. Ours are plain, and it is 80 modules and 4 MiB in each process.
    sys.modules["rich"] = None  # type: ignore[assignment]  # so that `import rich` fails, as the import system documents
    from app.cli.commands import main as command

    command(prog_name="triggerhub")
