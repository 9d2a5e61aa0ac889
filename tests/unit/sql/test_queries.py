"""Named queries come from files, and only from there."""

import re

import pytest

from sql.postgres.queries import Queries, UnknownQuery, all_queries


def test_a_query_is_found_by_name_and_begins_with_its_comment() -> None:
    queries = Queries("queries/events.sql")
    assert "es.append(" in queries["append"]
    assert set(queries) >= {"append", "read_stream", "read_log", "head"}
    assert len(queries) == len(list(queries))


def test_an_unknown_name_says_which_file() -> None:
    with pytest.raises(UnknownQuery, match=re.escape("nope is not in sql/queries/events.sql")):
        Queries("queries/events.sql")["nope"]


def test_every_file_is_read_whole() -> None:
    queries = all_queries()
    assert "queries/events.sql:append" in queries
    assert all(sql and "-- name:" not in sql for sql in queries.values())
