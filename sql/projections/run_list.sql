-- name: create
-- Run ids are UUIDv7, so an index of them serves a tenant's runs newest first. The items of loops are here, too, and
-- listed by their parent only: the other indexes leave them out, as one run may have thousands.
create table run_list (
    tenant_id      uuid not null,
    run_id         uuid not null,
    zap_id         uuid not null,
    zap_version    int not null,
    status         text not null,
    source         text not null,
    started_at     timestamptz not null,
    finished_at    timestamptz,
    duration_ms    double precision,
    error_code     text,
    error_message  text,
    error_step     text,
    attempts       int not null,
    replay_of      uuid,
    parent_id      uuid,
    parent_step    text,
    item_index     int,
    position       bigint not null,
    stream_version int not null,
    primary key (tenant_id, run_id)
) with (fillfactor = 85);
create index run_list_roots on run_list (tenant_id, run_id) where source <> 'item';
create index run_list_children on run_list (tenant_id, parent_id, run_id) where parent_id is not null;
create index run_list_zap on run_list (tenant_id, zap_id, run_id) where source <> 'item';
create index run_list_not_completed on run_list (tenant_id, status, run_id)
    where status <> 'completed' and source <> 'item';
create index run_list_zap_not_completed on run_list (tenant_id, zap_id, status, run_id)
    where status <> 'completed' and source <> 'item';
create index run_list_not_webhook on run_list (tenant_id, source, run_id)
    where source <> 'webhook' and source <> 'item';
create index run_list_error on run_list (tenant_id, error_code, run_id)
    where error_code is not null and source <> 'item';
create index run_list_step on run_list (tenant_id, error_step, run_id)
    where error_step is not null and source <> 'item';
create index run_list_version on run_list (tenant_id, zap_id, zap_version, run_id) where source <> 'item';
create index run_list_finished on run_list (tenant_id, finished_at, run_id)
    where finished_at is not null and source <> 'item';
create index run_list_duration on run_list (tenant_id, duration_ms, run_id)
    where duration_ms is not null and source <> 'item';
create index run_list_replays on run_list (tenant_id, replay_of, run_id) where replay_of is not null;

-- name: insert
-- New runs, as they stand after the batch. Keys come sorted, so that concurrent writers cannot deadlock.
insert into run_list (tenant_id, run_id, zap_id, zap_version, status, source, started_at, finished_at, duration_ms,
                      error_code, error_message, error_step, attempts, replay_of, parent_id, parent_step, item_index,
                      position, stream_version)
select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::text[], $6::text[], $7::timestamptz[],
                     $8::timestamptz[], $9::float8[], $10::text[], $11::text[], $12::text[], $13::int[], $14::uuid[],
                     $15::uuid[], $16::text[], $17::int[], $18::bigint[], $19::int[])
on conflict (tenant_id, run_id) do nothing

-- name: update
-- What happened in the batch to runs that were there before.
update run_list r
set status = u.status, finished_at = u.finished_at,
    duration_ms = round(extract(epoch from u.finished_at - r.started_at) * 1000, 3)::float8,
    error_code = u.error_code, error_message = u.error_message, error_step = u.error_step,
    attempts = r.attempts + u.attempts, position = u.position, stream_version = u.stream_version
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::int[],
            $9::bigint[], $10::int[])
     u(tenant_id, run_id, status, finished_at, error_code, error_message, error_step, attempts, position,
       stream_version)
where r.tenant_id = u.tenant_id and r.run_id = u.run_id and r.stream_version < u.stream_version

-- name: forget
-- What a list shows of a payload is the message of an error.
update run_list r set error_message = ''
from unnest($1::uuid[], $2::uuid[]) f(tenant_id, run_id)
where r.tenant_id = f.tenant_id and r.run_id = f.run_id and r.error_message is not null

-- name: family
-- A run, and all runs that hold something of it: what it called or had as items, and its replays, and so on.
with recursive family (run_id) as (
    select $2::uuid
    union
    select r.run_id from family f
    cross join lateral (
        select c.run_id from rm.run_list c where c.tenant_id = $1 and c.parent_id = f.run_id
        union all
        select c.run_id from rm.run_list c where c.tenant_id = $1 and c.replay_of = f.run_id
    ) r
)
select run_id from family limit $3

-- name: with_payloads
-- Runs of a zap that have ended, behind one and before a moment, oldest first. The last event of a run says whether it is
-- forgotten.
select l.run_id from rm.run_list l
where l.tenant_id = $1 and l.zap_id = $2 and l.source <> 'item' and l.run_id > $3::uuid and l.run_id < es.first_uuid_at($4)
  and l.finished_at is not null and not exists (select from es.forgotten_events f where f.position = l.position)
order by l.run_id limit $5

-- name: with_items
with recursive household (run_id) as (
    select $2::uuid
    union all
    select c.run_id from household h
    join rm.run_list c on c.tenant_id = $1 and c.parent_id = h.run_id and c.source = 'item'
)
select run_id from household

-- name: first_failed
-- When the first of a zap's runs was asked for, of those that came after a moment and have failed; null if none has.
select min(f.started_at)
from unnest(array['failed', 'timed_out']) s(status)
cross join lateral (
    select r.started_at from rm.run_list r
    where r.tenant_id = $1 and r.source <> 'item' and r.zap_id = $2 and r.status = s.status and r.status <> 'completed'
      and r.run_id > es.first_uuid_at(date_trunc('milliseconds', $3::timestamptz)) -- which rounds
    order by r.run_id limit 1
) f

-- name: items
-- The items of a run's loops, or of one; in the order of their ids, which is that of a list, or failed ones first.
-- `rank` is of the row behind which the page starts, as it is now.
select l.run_id, l.parent_step, l.item_index, l.status, l.started_at, l.finished_at, l.duration_ms, l.attempts,
       (select c.recovered_by from rm.recoveries c where c.tenant_id = l.tenant_id and c.run_id = l.run_id),
       l.error_code, l.error_message, l.error_step
from rm.run_list l
cross join lateral (
    select case when $5 and l.status not in ('failed', 'timed_out') then 1 else 0 end as rank) r
left join (
    select b.run_id, case when $5 and b.status not in ('failed', 'timed_out') then 1 else 0 end as rank
    from rm.run_list b where b.tenant_id = $1 and b.run_id = $6::uuid
) b on true
where l.tenant_id = $1 and l.parent_id = $2::uuid and l.source = 'item'
  and ($3::text is null or l.parent_step = $3) and ($4::text is null or l.status = $4)
  and (b.run_id is null or (r.rank, l.run_id) > (b.rank, b.run_id))
order by r.rank, l.run_id limit $7

-- name: replays_of
-- The runs that replay one, newest first.
select run_id from rm.run_list where tenant_id = $1 and replay_of = $2::uuid order by run_id desc limit $3

-- name: oldest_triggers
-- Runs of a zap that have ended and that something started from outside, between two ids, oldest first: no replays, and no
-- items of loops.
select run_id from rm.run_list
where tenant_id = $1 and zap_id = $2 and source not in ('replay', 'item')
  and status in ('completed', 'filtered', 'failed', 'cancelled', 'timed_out')
  and run_id > greatest($5::uuid, es.first_uuid_at($3::timestamptz - '5 min'::interval),
                        '00000000-0000-0000-0000-000000000000')
  and run_id <= least($6::uuid, es.first_uuid_at($4::timestamptz + '5 min'))
  and ($3 is null or started_at >= $3) and ($4 is null or started_at < $4)
order by run_id limit $7

-- name: newest_triggers
-- How many of these there are, counted up to a limit from the newest on; and the oldest and newest of those.
with newest as (
    select run_id from rm.run_list
    where tenant_id = $1 and zap_id = $2 and source not in ('replay', 'item')
      and status in ('completed', 'filtered', 'failed', 'cancelled', 'timed_out')
      and run_id > greatest(es.first_uuid_at($3::timestamptz - '5 min'::interval), '00000000-0000-0000-0000-000000000000')
      and run_id < least(es.first_uuid_at($4::timestamptz + '5 min'), 'ffffffff-ffff-ffff-ffff-ffffffffffff')
      and ($3 is null or started_at >= $3) and ($4 is null or started_at < $4)
    order by run_id desc limit $5
)
select count(*), (select run_id from newest order by run_id limit 1), (select run_id from newest order by run_id desc limit 1)
from newest
