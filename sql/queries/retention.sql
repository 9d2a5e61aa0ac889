-- name: months
-- Months of runs that were over at a moment, oldest first.
select month from es.run_months($1)

-- name: zaps
-- All zaps, of one tenant where that is given, those that were deleted included, some behind one.
select zap_id from rm.zap_list where zap_id > $1 and ($3::uuid is null or tenant_id = $3) order by zap_id limit $2

-- name: counts
-- How many runs are noted, by part, tenant, zap and status.
select part, tenant_id, zap_id, status, count(*) from kept.expired group by 1, 2, 3, 4 order by 1, 2, 3, 4

-- name: noted
-- The last of them, and how many there are.
select (select run_id from kept.expired order by run_id desc limit 1), (select count(*) from kept.expired)

-- name: forget
delete from kept.expired

-- name: set_aside
-- Put the events of the runs that are noted on record as dropped; $2 are the drops by part.
select drop_id, events, digest from es.set_runs_aside($1::date, $2::uuid[])

-- name: drop
-- The last that the transaction does, as appends wait from here on.
select es.drop_runs_aside($1::date, $2::uuid[], $3::uuid[], $4::uuid[], $5, $6::smallint, $7::bytea[], $8::bytea[],
                          $9::bytea[])

-- name: forget_listed
delete from rm.run_list l using kept.expired g where l.tenant_id = g.tenant_id and l.run_id = g.run_id

-- name: forget_keys
delete from rm.run_keys l using kept.expired g where l.tenant_id = g.tenant_id and l.run_id = g.run_id

-- name: forget_told
delete from rm.audit l using kept.expired g
where l.kind = 1 and l.tenant_id = g.tenant_id and l.stream_id = g.run_id
  and l.stream_id between es.first_uuid_at($1::date at time zone 'UTC')
                      and es.first_uuid_at(($1::date + interval '1 month') at time zone 'UTC')

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

-- name: segments_with
-- Those that have some of them yet.
select r.tenant_id, r.segment from rm.run_search r
where r.first = ''::bytea and r.highest >= es.first_uuid_at($1::date at time zone 'UTC')
  and r.lowest < es.first_uuid_at(($1::date + interval '1 month') at time zone 'UTC')
  and exists (select from kept.expired g where g.tenant_id = r.tenant_id and g.run_id between r.lowest and r.highest)
order by r.tenant_id, r.segment

-- name: in_segment
-- Those of them that one segment may have.
select g.run_id from rm.run_search r
join kept.expired g on g.tenant_id = r.tenant_id and g.run_id between r.lowest and r.highest
where r.tenant_id = $1 and r.segment = $2 and r.first = ''::bytea

-- name: with_files
-- Some of them that have files yet.
select distinct f.owner_id from proj.files f join kept.expired g on g.run_id = f.owner_id limit $1

-- name: mark_stale
insert into proj.stale (projection, since) select p, clock_timestamp() from unnest($1::text[]) p
on conflict (projection) do update set since = excluded.since

-- name: stale
select projection, since from proj.stale order by projection

-- name: unmark_stale
-- It was built anew since it was marked.
delete from proj.stale where projection = $1 and since = $2

-- name: partitions
-- For how many partitions a read model is built.
select count(*)::int from proj.gates g join proj.projections p on p.projection = g.consumer and p.version = g.version
where g.consumer = $1

-- name: of_expired
-- Their events in the order of the log.
select position, kind, stream_id, version, tenant_id, ordering_key, event_id, type, schema_version, recorded_at,
       meta, data
from es.events
where kind = $1 and stream_id in (select run_id from kept.expired)
  and stream_id >= es.first_uuid_at($2::date at time zone 'UTC')
  and stream_id < es.first_uuid_at(($2::date + interval '1 month') at time zone 'UTC')
order by position

-- name: make_month
-- Make the leaf of a month that was dropped.
select es.make_run_month($1::date)

-- name: take_back
-- Bring back events that were dropped; see the migration that made es.take_runs_back.
select es.take_runs_back($1::uuid[], $2::int[], $3::bigint[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[],
                         $8::smallint[], $9::timestamptz[], $10::bytea[], $11::bytea[])

-- name: forget_drops
-- All that went with these is back.
select es.forget_drops($1::uuid[])

-- name: drops_of
-- With which drops the events at some positions went.
select distinct drop_id from es.dropped_between((select min(x) - 1 from unnest($1::bigint[]) x),
                                                (select max(x) from unnest($1::bigint[]) x))
where position = any($1::bigint[])

-- name: left_of
-- Whether something that went with these has not come back yet.
select exists (
    select from es.dropped_events d
    where d.drop_id = any($1::uuid[])
      and not exists (select from es.events e where e.position = d.position and e.hash = d.hash))

-- name: unlike
-- The first of some events of which the log has another hash, or none: of what was forgotten, that of what stays counts.
select min(u.position) from unnest($1::bigint[], $2::bytea[]) u(position, hash)
left join es.forgotten_events f on f.position = u.position
left join es.dropped_between((select min(x) - 1 from unnest($1::bigint[]) x),
                             (select max(x) from unnest($1::bigint[]) x)) d on d.position = u.position
left join es.events e on e.position = u.position
where u.hash is distinct from coalesce(f.digest, d.hash, e.hash)
