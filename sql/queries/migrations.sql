-- name: lock
-- One migrator at a time; freed when its connection closes.
select pg_advisory_lock(7301, 3)

-- name: create_table
create table if not exists public.triggerhub_migrations (
    name text primary key, checksum text not null, applied_at timestamptz not null default now())

-- name: applied
select name, checksum from public.triggerhub_migrations order by name

-- name: record
insert into public.triggerhub_migrations (name, checksum) values ($1, $2)

-- name: grant_app
-- Whether the role is there. What the owner has built of read models becomes its.
select es.grant_app()

-- name: app_login
-- The statement that lets the role log in: passwords can not be parameters of it.
select format('alter role triggerhub_app login password %L', $1::text)
