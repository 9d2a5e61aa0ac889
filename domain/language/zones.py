"""Time zones by their IANA names, from the package of the time zone database: the same rules on every machine."""

import re
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from zoneinfo import ZoneInfo

RULES = version("tzdata")
"""The version of the database, such as 2026.2."""
_NAME = re.compile(r"[A-Za-z0-9_+-]{1,30}(?:/[A-Za-z0-9_+-]{1,30}){0,2}")


@lru_cache(maxsize=1_000)
def zone_of(name: str) -> ZoneInfo | None:
    """The time zone of this name, such as `Europe/Berlin`; None where there is none."""
    if not _NAME.fullmatch(name):
        return None
    source = files("tzdata.zoneinfo").joinpath(*name.split("/"))
    try:
        with source.open("rb") as data:
            return ZoneInfo.from_file(data, key=name)
    except (OSError, ValueError):
        return None
