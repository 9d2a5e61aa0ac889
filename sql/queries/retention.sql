-- name: months
-- Months of runs that were over at a moment, oldest first.
select month from es.run_months($1)

-- name: zaps
-- All zaps, those that were deleted included, some behind one.
select zap_id from rm.zap_list where zap_id > $1 order by zap_id limit $2

-- name: expired
-- Runs of a month that have ended, and whose time is over: $2 of zaps, with whether that is so of completed ones, and of
-- others. Items of loops go with what has them.
select l.tenant_id, l.run_id, l.zap_id, l.status
from rm.run_list l
join unnest($2::uuid[], $3::bool[], $4::bool[]) z(zap_id, completed, failed) on z.zap_id = l.zap_id
left join rm.run_list p on l.source = 'item' and p.tenant_id = l.tenant_id and p.run_id = l.parent_id
where l.run_id >= es.first_uuid_at($1::date at time zone 'UTC')
  and l.run_id < es.first_uuid_at(($1::date + interval '1 month') at time zone 'UTC')
  and l.finished_at is not null and (p.run_id is null or p.finished_at is not null)
  and case when coalesce(p.status, l.status) in ('completed', 'filtered') then z.completed else z.failed end
order by l.tenant_id, l.run_id

-- name: set_aside
select drop_id, events, digest from es.set_runs_aside($1::date, $2::uuid[], $3::uuid[])

-- name: drop
select es.drop_runs_aside($1::date, $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6, $7::smallint, $8::bytea[],
                          $9::bytea[], $10::bytea[])

-- name: forget_listed
delete from rm.run_list l using unnest($1::uuid[], $2::uuid[]) g(tenant_id, run_id)
where l.tenant_id = g.tenant_id and l.run_id = g.run_id

-- name: forget_keys
delete from rm.run_keys l using unnest($1::uuid[], $2::uuid[]) g(tenant_id, run_id)
where l.tenant_id = g.tenant_id and l.run_id = g.run_id

-- name: forget_told
delete from rm.audit l using unnest($1::uuid[], $2::uuid[]) g(tenant_id, run_id)
where l.kind = 1 and l.tenant_id = g.tenant_id and l.stream_id = g.run_id
  and l.stream_id between es.first_uuid_at($3::date at time zone 'UTC')
                      and es.first_uuid_at(($3::date + interval '1 month') at time zone 'UTC')

-- name: forget_segments
-- Segments of the search index that have no run any more; after the list has forgotten them.
delete from rm.run_search s
using (
    select h.tenant_id, h.segment from rm.run_search h
    where h.first = ''::bytea and h.lowest >= es.first_uuid_at($1::date at time zone 'UTC')
      and h.highest < es.first_uuid_at(($1::date + interval '1 month') at time zone 'UTC')
      and not exists (select from rm.run_list l where l.tenant_id = h.tenant_id and l.run_id between h.lowest and h.highest)
) gone
where s.tenant_id = gone.tenant_id and s.segment = gone.segment

-- name: tenants_with_segments
-- Who has segments with runs of a month yet.
select distinct tenant_id from rm.run_search
where first = ''::bytea and highest >= es.first_uuid_at($1::date at time zone 'UTC')
  and lowest < es.first_uuid_at(($1::date + interval '1 month') at time zone 'UTC')

-- name: partitions
-- For how many partitions a read model is built.
select count(*)::int from proj.gates g join proj.projections p on p.projection = g.consumer and p.version = g.version
where g.consumer = $1

-- name: ended
-- All runs of a month that have ended, with the items of their loops where these have ended, too.
select l.tenant_id, l.run_id, l.zap_id, l.status from rm.run_list l
left join rm.run_list p on l.source = 'item' and p.tenant_id = l.tenant_id and p.run_id = l.parent_id
where l.run_id >= es.first_uuid_at($1::date at time zone 'UTC')
  and l.run_id < es.first_uuid_at(($1::date + interval '1 month') at time zone 'UTC')
  and l.finished_at is not null and (p.run_id is null or p.finished_at is not null)
order by l.tenant_id, l.run_id

-- name: of_runs
-- The events of some runs in the order of the log.
select position, kind, stream_id, version, tenant_id, ordering_key, event_id, type, schema_version, recorded_at,
       meta, data
from es.events where kind = $1 and stream_id = any($2::uuid[]) order by position

-- name: make_month
-- Make the leaf of a month that was dropped.
select es.make_run_month($1::date)

-- name: take_back
-- Bring back events that were dropped; see the migration that made es.take_runs_back.
select es.take_runs_back($1::uuid[], $2::int[], $3::bigint[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[],
                         $8::smallint[], $9::timestamptz[], $10::bytea[], $11::bytea[])

-- name: drops_of
-- With which drops the events at some positions went.
select distinct drop_id from es.dropped_events where position = any($1::bigint[])

-- name: left_of
-- Whether something is gone yet that went with these.
select exists (select from es.dropped_events where drop_id = any($1::uuid[]))
