"""`python -m app.cli` is `triggerhub`."""

from app.cli.commands import main

main(prog_name="triggerhub")
