-- name: create
-- Zap ids are UUIDv7, so the primary key also serves a tenant's zaps newest first.
create table zap_list (
    tenant_id      uuid not null,
    zap_id         uuid not null,
    name           text not null,
    status         text not null,
    version        int not null,
    trigger_type   text not null,
    step_count     int not null,
    created_at     timestamptz not null,
    updated_at     timestamptz not null,
    position       bigint not null,
    stream_version int not null,
    flags          jsonb not null,
    listens        boolean not null,
    tags           text[] not null,
    primary key (tenant_id, zap_id)
) with (fillfactor = 70);
create index zap_list_flagged on zap_list (zap_id) where flags <> '{}';
create index zap_list_listens on zap_list (tenant_id, zap_id) where listens;

-- name: insert
-- New zaps, as they stand after the batch. Keys come sorted, so that concurrent writers cannot deadlock.
insert into zap_list (tenant_id, zap_id, name, status, version, trigger_type, step_count, created_at, updated_at,
                      position, stream_version, flags, listens, tags)
select tenant_id, zap_id, name, coalesce(status, 'draft'), coalesce(version, 0), trigger_type, step_count, created_at,
       updated_at, position, stream_version, jsonb_strip_nulls(flags::jsonb), listens,
       array(select jsonb_array_elements_text(tags::jsonb))
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::int[], $6::text[], $7::int[], $8::timestamptz[],
            $9::timestamptz[], $10::bigint[], $11::int[], $12::text[], $13::bool[], $14::text[])
     u(tenant_id, zap_id, name, status, version, trigger_type, step_count, created_at, updated_at, position,
       stream_version, flags, listens, tags)
on conflict (tenant_id, zap_id) do nothing

-- name: update
-- What the batch changed in zaps that were there before; what is null stays as it is, a flag that is null goes.
update zap_list z
set name = coalesce(u.name, z.name), status = coalesce(u.status, z.status), version = coalesce(u.version, z.version),
    trigger_type = coalesce(u.trigger_type, z.trigger_type), step_count = coalesce(u.step_count, z.step_count),
    updated_at = u.updated_at, position = u.position, stream_version = u.stream_version,
    flags = jsonb_strip_nulls(z.flags || u.flags::jsonb), listens = z.listens or u.listens,
    tags = case when u.tags is null then z.tags else array(select jsonb_array_elements_text(u.tags::jsonb)) end
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::int[], $6::text[], $7::int[], $8::timestamptz[],
            $9::timestamptz[], $10::bigint[], $11::int[], $12::text[], $13::bool[], $14::text[])
     u(tenant_id, zap_id, name, status, version, trigger_type, step_count, created_at, updated_at, position,
       stream_version, flags, listens, tags)
where z.tenant_id = u.tenant_id and z.zap_id = u.zap_id and z.stream_version < u.stream_version

-- name: page
-- A tenant's zaps with their health, newest first; deleted ones are gone from the list.
select zap_id, name, status, version, trigger_type, step_count, created_at, updated_at, position, flags,
       tags, coalesce(completed, 0), coalesce(failed, 0), last_completed_at, last_failed_at
from rm.zap_list left join rm.zap_health using (tenant_id, zap_id)
where tenant_id = $1 and status <> 'deleted' and tags @> $4::text[]
  and zap_id < coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
order by zap_id desc limit $3

-- name: tagged
select zap_id from rm.zap_list where tenant_id = $1 and tags @> array[$2::text]

-- name: listeners
-- Enabled zaps of a tenant, one version of which at least listens to failures.
select zap_id from rm.zap_list where tenant_id = $1 and listens and status = 'enabled' order by zap_id limit $2

-- name: ever
-- A tenant's zaps, newest first, deleted ones too.
select zap_id from rm.zap_list
where tenant_id = $1 and zap_id < coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
order by zap_id desc limit $3

-- name: until
-- What the rows of some zaps come from, up to a position: their first events, the last one about the draft, the live
-- version and the status each, and all about flags.
select position, kind, stream_id, version, tenant_id, ordering_key, event_id, type, schema_version, recorded_at,
       meta, data
from (
    select e.*, row_number() over (partition by e.stream_id, case
               when e.type in ('zap.created', 'zap.draft_changed') then 'draft'
               when e.type in ('zap.published', 'zap.rolled_back') then 'live'
               when e.type in ('zap.enabled', 'zap.paused', 'zap.deleted') then 'status'
               else e.version::text end order by e.version desc) as n
    from unnest($1::uuid[]) s(id)
    cross join lateral (
        select * from es.events where kind = 0 and stream_id = s.id and position <= $2 and type = any($3::text[]) offset 0
    ) e
) d
where n = 1 or version = 1 order by stream_id, version

-- name: zaps_of
select zap_id from rm.zap_list where tenant_id = $1 order by zap_id

-- name: tenants
-- All who have zaps, those that were deleted included; found by skipping along an index.
with recursive tenants (tenant_id) as (
    (select tenant_id from rm.zap_list order by tenant_id limit 1)
    union all
    select (select z.tenant_id from rm.zap_list z where z.tenant_id > t.tenant_id order by z.tenant_id limit 1)
    from tenants t where t.tenant_id is not null
)
select tenant_id from tenants where tenant_id is not null
