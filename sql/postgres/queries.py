"""Named queries from .sql files: `-- name: x` starts one, the comment lines below say what it guarantees."""

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import NewType

Query = NewType("Query", str)
"""SQL text from a file. Nothing else can be executed, so no SQL is built in Python."""

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


class UnknownQuery(KeyError):
    """The file has no query of this name."""


class Queries(Mapping[str, Query]):
    """The queries of one file, by name."""

    def __init__(self, file: str) -> None:
        self.file = file
        text = files("sql").joinpath(file).read_text("utf-8")
        parts = _NAME.split(text)
        self._queries = {name: Query(body.strip()) for name, body in zip(parts[1::2], parts[2::2], strict=True)}

    def __getitem__(self, name: str) -> Query:
        try:
            return self._queries[name]
        except KeyError:
            raise UnknownQuery(f"{name} is not in sql/{self.file}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._queries)

    def __len__(self) -> int:
        return len(self._queries)


def all_queries() -> dict[str, Query]:
    """Every named query of the package, as `file:name`; a test prepares each."""
    folder = files("sql")
    names = [f"queries/{file.name}" for file in folder.joinpath("queries").iterdir()]
    names += [f"projections/{file.name}" for file in folder.joinpath("projections").iterdir()]
    return {
        f"{name}:{query}": sql
        for name in sorted(names)
        if name.endswith(".sql")
        for query, sql in Queries(name).items()
    }
