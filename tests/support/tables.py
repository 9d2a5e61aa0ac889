"""Looks through everything that a database holds."""

import asyncpg


async def where_is(connection: "asyncpg.Connection[asyncpg.Record]", text: str) -> list[str]:
    """All tables in which a text stands, also in bytes."""
    tables = await connection.fetch(
        """select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
           where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema')"""
    )
    found = []
    for (table,) in tables:
        query = f"select count(*) from {table} t where t::text like $1 or t::text like $2"
        if await connection.fetchval(query, f"%{text}%", f"%{text.encode().hex()}%"):
            found.append(table)
    return found
