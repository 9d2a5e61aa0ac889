-- name: create
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
    primary key (tenant_id, zap_id)
) with (fillfactor = 70);

-- name: insert
insert into zap_list (tenant_id, zap_id, name, status, version, trigger_type, step_count, created_at, updated_at,
                      position, stream_version)
values ($1, $2, $3, 'draft', 0, $4, $5, $6, $6, $7, $8)
on conflict (tenant_id, zap_id) do nothing

-- name: update
-- What is null stays as it is.
update zap_list
set name = coalesce($3, name), status = coalesce($4, status), version = coalesce($5, version),
    trigger_type = coalesce($6, trigger_type), step_count = coalesce($7, step_count),
    updated_at = $8, position = $9, stream_version = $10
where tenant_id = $1 and zap_id = $2 and stream_version < $10

-- name: page
-- A tenant's zaps, newest first; deleted ones are gone from the list.
select zap_id, name, status, version, trigger_type, step_count, created_at, updated_at, position
from rm.zap_list
where tenant_id = $1 and status <> 'deleted' and ($2::uuid is null or zap_id < $2)
order by zap_id desc limit $3
