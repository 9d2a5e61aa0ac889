-- name: create
-- The search keys of runs that have any. `key` is name and value as bytes that sort and compare as values do
-- (domain/search/keys.py), `value` its text. The empty name is that of whose data a run carries: a keyed hash, and no text.
-- A page goes along by_value where few runs have the value, along by_run where many have.
create table run_keys (
    tenant_id uuid not null,
    run_id    uuid not null,
    name      text not null,
    key       bytea not null,
    value     text not null,
    primary key (tenant_id, run_id, name)
) with (fillfactor = 90);
create index run_keys_by_value on run_keys (tenant_id, key, run_id);
create index run_keys_by_run on run_keys (tenant_id, name, run_id) include (key);

-- name: lock_shared
-- Whoever reads what is declared writes it before a job does that was asked for by a later declaration.
select pg_advisory_xact_lock_shared(7304, 1)

-- name: lock
select pg_advisory_xact_lock(7304, 1)

-- name: declared
-- The versions of some zaps that new runs use: those published last, or gone back to.
select z.id, p.schema_version, p.data
from unnest($2::uuid[]) z(id)
cross join lateral (
    select e.version, case e.type when 'zap.rolled_back' then convert_from(e.data, 'UTF8')::jsonb ->> 'number' end as number
    from es.events e
    where e.kind = $1 and e.stream_id = z.id and e.type in ('zap.published', 'zap.rolled_back')
    order by e.version desc limit 1
) last
cross join lateral (
    select e.schema_version, e.data from es.events e
    where e.kind = $1 and e.stream_id = z.id and e.type = 'zap.published'
      and (e.version = last.version or last.number = convert_from(e.data, 'UTF8')::jsonb ->> 'number')
    order by e.version desc limit 1
) p

-- name: subject_secret
select key from proj.subject_key

-- name: first_event
-- How a run began, however large that is.
select tenant_id, schema_version, data from es.events where kind = $1 and stream_id = $2 and version = 1

-- name: of_subject
-- The runs that carry one person's data, between two ids, oldest first.
select run_id from rm.run_keys
where tenant_id = $1 and key = $2 and run_id > coalesce($3::uuid, '00000000-0000-0000-0000-000000000000') and run_id < $4::uuid
order by run_id limit $5

-- name: subject_counts
-- How many of these there are, by zap and status, counted up to a limit; the oldest and the newest.
select l.zap_id, l.status, count(*), min(l.started_at), max(l.started_at)
from (select run_id from rm.run_keys where tenant_id = $1 and key = $2 order by run_id limit $3) k
join rm.run_list l on l.tenant_id = $1 and l.run_id = k.run_id
group by l.zap_id, l.status order by l.zap_id, l.status

-- name: subject_bytes
-- How many bytes of payload some of these have in the log.
select coalesce(sum(octet_length(e.data)), 0)::bigint
from (select run_id from rm.run_keys where tenant_id = $1 and key = $2 order by run_id limit $3) k
join es.events e on e.kind = $4 and e.stream_id = k.run_id

-- name: clear
delete from run_keys k using unnest($1::uuid[], $2::uuid[]) r(tenant_id, run_id)
where k.tenant_id = r.tenant_id and k.run_id = r.run_id

-- name: add
insert into run_keys (tenant_id, run_id, name, key, value)
select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::text[])
on conflict (tenant_id, run_id, name) do update set key = excluded.key, value = excluded.value

-- name: names
-- The names of a tenant's search keys, each with the letter of a value's type: one look at the index for each name.
with recursive known(name, key) as (
    (select name, key from rm.run_keys where tenant_id = $1 and name > '' order by name limit 1)
    union all
    select next.name, next.key
    from known k
    cross join lateral (
        select r.name, r.key from rm.run_keys r where r.tenant_id = $1 and r.name > k.name order by r.name limit 1
    ) next
)
select name, substring(key from octet_length(name) + 2 for 1) from known limit $2

-- name: key_of
-- The key of a run, to begin the next page behind it.
select key from rm.run_keys where tenant_id = $1 and run_id = $2 and name = $3
