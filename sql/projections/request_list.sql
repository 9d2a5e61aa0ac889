-- name: create
-- One row per rejected request, and one per count. Ids are UUIDv7, so the primary key serves them newest first.
create table request_list (
    tenant_id    uuid not null,
    zap_id       uuid not null,
    request_id   uuid not null,
    reason       text not null,
    count        int not null,
    at           timestamptz not null,
    until        timestamptz,
    status       int,
    detail       text not null,
    method       text not null,
    path         text not null,
    content_type text not null,
    size         int not null,
    excerpt      text not null,
    delivery_id  text not null,
    admissible   boolean not null,
    run_id       uuid,
    discarded    boolean not null,
    repeats      text not null,
    position     bigint not null,
    bytes        int not null,
    primary key (tenant_id, zap_id, request_id)
) with (fillfactor = 90);
create index request_list_reason on request_list (tenant_id, zap_id, reason, request_id);
create index request_list_held on request_list (tenant_id, zap_id, request_id) include (bytes)
    where reason = 'held' and run_id is null and not discarded;

-- name: insert
-- New rows, sorted by key, so that concurrent writers cannot deadlock.
insert into request_list (tenant_id, zap_id, request_id, reason, count, at, until, status, detail, method, path,
                          content_type, size, excerpt, delivery_id, admissible, run_id, discarded, repeats,
                          position, bytes)
select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::int[], $6::timestamptz[], $7::timestamptz[],
                     $8::int[], $9::text[], $10::text[], $11::text[], $12::text[], $13::int[], $14::text[],
                     $15::text[], $16::bool[], $17::uuid[], $18::bool[], $19::text[], $20::bigint[],
                     $21::int[])
on conflict (tenant_id, zap_id, request_id) do nothing

-- name: admit
-- Requests that were let in, and their runs.
update request_list r set run_id = u.run_id
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[]) u(tenant_id, zap_id, request_id, run_id)
where r.tenant_id = u.tenant_id and r.zap_id = u.zap_id and r.request_id = u.request_id

-- name: forget
-- Of requests that were forgotten, or whose runs were, nothing stays of what they brought.
update request_list r set detail = '', method = '', path = '', content_type = '', excerpt = '', delivery_id = '',
                          admissible = false, bytes = octet_length(e.data)
from unnest($1::uuid[], $2::uuid[], $3::uuid[]) u(tenant_id, zap_id, id), es.events e
where r.tenant_id = u.tenant_id and r.zap_id = u.zap_id and u.id in (r.run_id, r.request_id) and e.position = r.position

-- name: kept_whole
-- Requests of a zap that are kept whole and became no run, behind one: where they are in the log.
select request_id, position from rm.request_list
where tenant_id = $1 and zap_id = $2 and request_id > $3 and admissible and run_id is null order by request_id limit $4

-- name: of_run
-- The request that was let in as a run.
select position from rm.request_list where tenant_id = $1 and zap_id = $2 and run_id = $3 order by position limit 1

-- name: discard
-- Held requests that were given up.
update request_list r set discarded = true
from unnest($1::uuid[], $2::uuid[], $3::uuid[]) u(tenant_id, zap_id, request_id)
where r.tenant_id = u.tenant_id and r.zap_id = u.zap_id and r.request_id = u.request_id

-- name: forget_month
-- The rows of requests whose month is about to be dropped from the log; those of earlier releases are in another part.
delete from rm.request_list where position in (
    select position from es.events
    where kind = 2 and stream_id >= es.first_uuid_at($1::date at time zone 'UTC')
      and stream_id < es.first_uuid_at(($1::date + interval '1 month') at time zone 'UTC'))

-- name: oldest_held
-- What is still held of a zap between two ids, oldest first.
select request_id from rm.request_list
where tenant_id = $1 and zap_id = $2 and reason = 'held' and run_id is null and not discarded
  and request_id > coalesce($3::uuid, '00000000-0000-0000-0000-000000000000') and request_id < $4::uuid
order by request_id limit $5

-- name: held_bytes
-- What each of a tenant's zaps still holds.
select zap_id, sum(bytes)::bigint from rm.request_list
where tenant_id = $1 and reason = 'held' and run_id is null and not discarded group by zap_id

-- name: count_held
select count(*) from (
    select from rm.request_list
    where tenant_id = $1 and zap_id = $2 and reason = 'held' and run_id is null and not discarded
    limit $3
) found

-- name: page
-- A zap's rejected requests, newest first.
select request_id, reason, count, at, until, status, detail, method, path, content_type, size, excerpt, delivery_id,
       admissible, run_id, discarded, repeats, position
from rm.request_list
where tenant_id = $1 and zap_id = $2 and ($4::text is null or reason = $4)
  and request_id < coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
order by request_id desc limit $5

-- name: one
select request_id, reason, count, at, until, status, detail, method, path, content_type, size, excerpt, delivery_id,
       admissible, run_id, discarded, repeats, position
from rm.request_list where tenant_id = $1 and zap_id = $2 and request_id = $3
