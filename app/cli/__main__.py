"""`python -m app.cli` is `triggerhub`."""

from app.cli import main

main()
