-- name: create
-- One row per turn, or for some in a row that were alike. Ids are UUIDv7, so the primary key serves them newest first.
create table tick_list (
    tenant_id  uuid not null,
    zap_id     uuid not null,
    tick_id    uuid not null,
    trigger_id text not null,
    kind       text not null,
    due_at     timestamptz not null,
    fired_at   timestamptz,
    status     text not null,
    run_ids    uuid[] not null,
    new_items  int not null,
    detail     text not null,
    count      int not null,
    position   bigint not null,
    primary key (tenant_id, zap_id, tick_id)
);

-- name: insert
-- New rows, sorted by key, so that concurrent writers cannot deadlock.
insert into tick_list (tenant_id, zap_id, tick_id, trigger_id, kind, due_at, fired_at, status, run_ids, new_items, detail,
                       count, position)
select tenant_id, zap_id, tick_id, trigger_id, kind, due_at, fired_at, status,
       case run_ids when '' then '{}' else string_to_array(run_ids, ' ')::uuid[] end, new_items, detail, count, position
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[],
            $8::text[], $9::text[], $10::int[], $11::text[], $12::int[], $13::bigint[])
     u(tenant_id, zap_id, tick_id, trigger_id, kind, due_at, fired_at, status, run_ids, new_items, detail, count, position)
on conflict (tenant_id, zap_id, tick_id) do nothing

-- name: forget_month
-- The rows of turns whose month is about to be dropped from the log.
delete from rm.tick_list where position in (
    select position from es.events
    where kind = 2 and stream_id >= es.first_uuid_at($1::date at time zone 'UTC')
      and stream_id < es.first_uuid_at(($1::date + interval '1 month') at time zone 'UTC'))

-- name: page
-- A zap's turns, newest first.
select tick_id, trigger_id, kind, due_at, fired_at, status, run_ids, new_items, detail, count, position
from rm.tick_list
where tenant_id = $1 and zap_id = $2 and ($4::text is null or status = $4)
  and tick_id < coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
order by tick_id desc limit $5
