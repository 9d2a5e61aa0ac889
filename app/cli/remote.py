"""A running TriggerHub, as commands call it for somebody with an API key."""

import aiohttp
import msgspec

from app.config.errors import OperatorError
from app.config.settings import PREFIX, Settings
from domain.values.json import JsonObject

TIMEOUT_S = 120.0


class NothingRunning(OperatorError):
    """There is no API at the address."""

    exit_code = 2


class Rejected(OperatorError):
    """The API refuses; the message has all that is wrong, a line each."""


def installation(settings: Settings) -> str:
    """The address of the installation that is meant: a stranger's on the usual port must not get anything of ours.

    A database is known where it is set, or where `up` runs with the data directory. Raises NothingRunning.
    """
    if settings.database_url or settings.is_public_url_set:
        return settings.public_url
    raise NothingRunning(
        f"Nothing is running with {settings.data_dir}: start `triggerhub up`, or name an installation with --url."
    )


async def post(settings: Settings, path: str, body: JsonObject, url: str | None = None) -> JsonObject:
    """The answer to a command at `url`, else at the installation that is meant. Raises NothingRunning and Rejected."""
    url = (url or installation(settings)).rstrip("/")
    if not settings.api_key:
        raise NothingRunning(f"Set {PREFIX}API_KEY to a key with the scope write: make one in the settings of {url}.")
    headers = {"authorization": f"Bearer {settings.api_key}", "content-type": "application/json"}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as http,
            http.post(url + path, data=msgspec.json.encode(body), headers=headers) as response,
        ):
            answer = msgspec.json.decode(await response.read(), type=dict)
    except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as error:
        raise NothingRunning(f"{url} does not answer as a TriggerHub does ({type(error).__name__}).") from None
    if response.status >= 300:
        raise Rejected("\n".join(_said(answer)))
    return answer


def _said(problem: JsonObject) -> list[str]:
    errors = problem.get("errors")
    found = [one for one in errors if isinstance(one, dict)] if isinstance(errors, list) else []
    lines = [f"  {one.get('pointer') or one.get('path')}: {one.get('reason')}" for one in found]
    return [str(problem.get("detail") or problem.get("title")), *lines]
