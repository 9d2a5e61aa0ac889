"""`triggerhub connector`: what authors of connectors type. Imports stay inside, so that `--help` answers at once."""

import asyncio
import sys
from pathlib import Path

import click


@click.group()
def connector() -> None:
    """Check and try files of connectors."""


@connector.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def check(file: Path) -> None:
    """Say all that is wrong with FILE, each mistake with its JSON pointer."""
    from consumers.trial.report import mistakes_of

    found = mistakes_of(file.read_bytes())
    for line in found:
        click.echo(f"{file}: {line}", err=True)
    if found:
        sys.exit(1)
    click.echo(f"{file}: no mistakes")


@connector.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def test(file: Path) -> None:
    """Try each action of FILE against a stand-in of its service, with every kind of answer."""
    from consumers.trial.report import mistakes_of

    content = file.read_bytes()
    found = mistakes_of(content)
    for line in found:
        click.echo(f"{file}: {line}", err=True)
    if found or not asyncio.run(_tried(content)):
        sys.exit(1)


async def _tried(content: bytes) -> bool:
    from consumers.trial.report import tries_of
    from sql.process.clock import now

    holds = True
    async for tried in tries_of(content, now):
        holds = holds and tried.holds
        outcome = tried.got if tried.holds else f"{tried.got} instead of {tried.expected}"
        click.echo(f"{'ok  ' if tried.holds else 'FAIL'} {tried.action}, {tried.case}: {outcome[:200]}")
    return holds
