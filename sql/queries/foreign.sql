-- name: is_ours
-- Whether a database is one of TriggerHub itself, whatever name or address has led to it. Asked of databases of users.
select exists (
    select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'es' and c.relname = 'events'
)
