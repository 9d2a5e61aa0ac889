"""`triggerhub connector`: what authors of connectors type. Imports stay inside, so that `--help` answers at once.

`add` and `import` call a running TriggerHub with the API key of TRIGGERHUB_API_KEY.
"""

import asyncio
import sys
from pathlib import Path

import click

from domain.values.json import Json, JsonObject

File = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
Url = click.option("--url", help="Where it runs; without this: the installation of the data directory, or PUBLIC_URL.")


@click.group()
def connector() -> None:
    """Check, try and add connectors."""


@connector.command()
@File
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
@File
def test(file: Path) -> None:
    """Try each action of FILE against a stand-in of its service, with every kind of answer."""
    from consumers.trial.report import mistakes_of

    content = file.read_bytes()
    found = mistakes_of(content)
    for line in found:
        click.echo(f"{file}: {line}", err=True)
    if found or not asyncio.run(_tried(content)):
        sys.exit(1)


@connector.command()
@File
@Url
def add(file: Path, url: str | None) -> None:
    """Add FILE to the workspace of the API key, as the version that it names."""
    from consumers.trial.report import mistakes_of

    found = mistakes_of(file.read_bytes())
    for line in found:
        click.echo(f"{file}: {line}", err=True)
    if found:
        sys.exit(1)
    added = _posted(url, "/api/v1/connectors", {"file": _text(file)})
    known = _object(added["connector"])
    click.echo(f"{known['name']} {known['version']}: {known['actions']} actions")


@connector.command(name="import")
@File
@Url
@click.option("--name", required=True, help="Of the connector; types are NAME.operationId.")
@click.option("--operation", "operations", multiple=True, help="The id of one to take, again for others; else all.")
@click.option("--kind", "connection_kind", help="How calls are authorized, where FILE does not say: none, bearer ...")
@click.option("--base-url", help="Where the API is, where FILE does not say.")
@click.option("--dry-run", is_flag=True, help="Only say what would be added, changed and removed.")
def import_(file: Path, url: str | None, **wish: Json) -> None:
    """Make a connector of FILE: OpenAPI 3.0 or 3.1, Swagger 2.0, or a Google discovery document."""
    given = {name: value for name, value in wish.items() if value}
    made = _posted(url, "/api/v1/connectors/import", {**given, "document": _text(file)})
    for verb, ids in _object(made["changes"]).items():
        for id_ in _list(ids):
            click.echo(f"{verb:8} {id_}")
    for zap in map(_object, _list(made["affected"])):
        click.echo(f"affects  {zap['name']} ({zap['zap_id']}), once it is published anew")
    click.echo(
        f"{made['name']} {made['version']}: {made['chosen']} actions{', nothing was kept' * bool(made['dry_run'])}"
    )


def _posted(url: str | None, path: str, body: JsonObject) -> JsonObject:
    from app.cli.remote import post
    from app.config.errors import OperatorError
    from app.config.settings import Settings

    try:
        return asyncio.run(post(Settings.load().resolve(), path, body, url))
    except OperatorError as error:
        click.echo(f"triggerhub: {error}", err=True)
        sys.exit(error.exit_code)


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError:
        raise click.BadParameter(f"{file} is no text in UTF-8") from None


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


async def _tried(content: bytes) -> bool:
    from consumers.trial.report import tries_of
    from sql.process.clock import now

    holds = True
    async for tried in tries_of(content, now):
        holds = holds and tried.holds
        outcome = tried.got if tried.holds else f"{tried.got} instead of {tried.expected}"
        click.echo(f"{'ok  ' if tried.holds else 'FAIL'} {tried.action}, {tried.case}: {outcome[:200]}")
    return holds
