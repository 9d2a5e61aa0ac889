"""`triggerhub proof` and `verify --checkpoint`: the log held against what was signed."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from app.config.errors import OperatorError
from app.config.settings import Settings

if TYPE_CHECKING:
    from domain.proof.notes import Checkpoint


async def write_proof(settings: Settings, position: int, output: str, size: int | None) -> None:
    """Write the proof of an event, whoever it belongs to. Raises OperatorError."""
    from domain.log.errors import DomainError
    from sql.postgres.pool import create_pool
    from sql.proof.proofs import Proofs
    from sql.proof.tree import Incomplete

    async with create_pool(settings.database_url, "proof", 1) as pool:
        try:
            found = await Proofs(pool).of_event(None, position, size)
        except (DomainError, Incomplete) as error:
            raise OperatorError(f"There is no proof of position {position}: {error}.") from None
    Path(output).write_bytes(msgspec.json.encode(found) + b"\n")
    click.echo(f"{output}: position {position}, in the checkpoint of {found.checkpoint.splitlines()[1]} events")


async def check_checkpoints(settings: Settings, path: str) -> bool:
    """Whether the log is still what the checkpoints of a file say, and say so. Raises OperatorError."""
    from domain.proof.notes import BadNote, notes_in
    from sql.postgres.pool import connect
    from sql.proof.tree import Incomplete, recomputed

    try:
        signed = _opened(notes_in(Path(path).read_text("utf-8")), settings.checkpoint_key)
    except (BadNote, UnicodeDecodeError) as error:
        raise OperatorError(f"{path}: {error}.") from None
    if not signed:
        raise OperatorError(f"{path} holds no checkpoint.")
    connection = await connect(settings.database_url, "verify checkpoints", statement_timeout="0")
    try:
        roots = await recomputed(connection, [found.size for found in signed])
    except Incomplete as error:
        click.echo(f"BROKEN: the log is not what was signed: {error}")
        return False
    finally:
        await connection.close()
    good = 0
    for found in signed:
        if roots[found.size] != found.root:
            click.echo(f"BROKEN: the log is not what was signed, from a position between {good + 1} and {found.size}")
            return False
        good = found.size
    click.echo(f"the log is what was signed: {len(signed)} checkpoints, the last of {good} events")
    return True


def _opened(notes: Iterable[str], key: str) -> "list[Checkpoint]":
    """The checkpoints by size; with a key each must be signed by it. Raises BadNote."""
    from domain.proof.notes import Signer, checkpoint_of, seed_of

    found = []
    for note in notes:
        checkpoint = checkpoint_of(note)
        found.append(Signer(checkpoint.origin, seed_of(key)).verifier.open(note) if key else checkpoint)
    if not key:
        click.echo("the signatures were not checked: TRIGGERHUB_CHECKPOINT_KEY is not set")
    return sorted(found, key=lambda one: one.size)
