-- name: create
-- Sums of a zap, and of all zaps of a tenant under the nil id; by minute, hour and day; of the run, and of each step. All of a
-- bucket is one row (domain/history/sums.py), so that a month by hour is 744 rows.
create table stats (
    tenant_id uuid not null,
    zap_id    uuid not null,
    width     text not null,
    at        timestamptz not null,
    step_id   text not null,
    sums      bytea not null,
    primary key (tenant_id, zap_id, width, at, step_id)
) with (fillfactor = 70);
alter table stats alter sums set storage main;

-- name: held
-- Those of some buckets that are there, with the place of each among the keys; nobody else changes them until the end of the
-- transaction. Keys come sorted, so that concurrent writers cannot deadlock.
select u.place::int - 1, s.sums
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[])
     with ordinality u(tenant_id, zap_id, width, at, step_id, place)
join stats s on s.tenant_id = u.tenant_id and s.zap_id = u.zap_id and s.width = u.width and s.at = u.at
            and s.step_id = u.step_id
order by u.place for update of s

-- name: change
update stats s set sums = u.sums
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[], $6::bytea[])
     u(tenant_id, zap_id, width, at, step_id, sums)
where s.tenant_id = u.tenant_id and s.zap_id = u.zap_id and s.width = u.width and s.at = u.at and s.step_id = u.step_id

-- name: insert
-- New buckets; those that somebody else has made meanwhile stay as they are, and are not given back.
insert into stats (tenant_id, zap_id, width, at, step_id, sums)
select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[], $6::bytea[])
on conflict (tenant_id, zap_id, width, at, step_id) do nothing
returning tenant_id, zap_id, width, at, step_id

-- name: delete
delete from stats s
using unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[]) u(tenant_id, zap_id, width, at, step_id)
where s.tenant_id = u.tenant_id and s.zap_id = u.zap_id and s.width = u.width and s.at = u.at and s.step_id = u.step_id

-- name: read
-- The buckets of a zap or of all, of one width, in order; what is kept for good comes in rows of its own.
(select at, step_id, sums from rm.stats
 where tenant_id = $1 and zap_id = $2 and width = $3 and at >= $4 and at < $5 and (step_id = '') <> $6)
union all
(select at, step_id, sums from proj.stats
 where tenant_id = $1 and zap_id = $2 and width = $3 and at >= $4 and at < $5 and (step_id = '') <> $6)
order by at, step_id

-- name: write_kept
-- Statistics are written elsewhere from now on, as to the read model.
set local search_path = kept, rm

-- name: write_sealed
set local search_path = proj, rm

-- name: write_lists
set local search_path = rm

-- name: end_kept
delete from kept.stats

-- name: kept_events
-- The events of the next runs of a month, of some zaps, that the list still has, each run in order.
select position, kind, stream_id, version, tenant_id, ordering_key, event_id, type, schema_version, recorded_at,
       '{}'::bytea, data
from (
    select l.run_id from rm.run_list l
    where l.zap_id = any($2::uuid[]) and l.run_id > greatest($3::uuid, es.first_uuid_at($1::date at time zone 'UTC'))
      and l.run_id < es.first_uuid_at(($1::date + interval '1 month') at time zone 'UTC')
    order by l.run_id limit $4
) kept
join es.events on kind = 1 and stream_id = kept.run_id
order by stream_id, version

-- name: of_month
-- The next buckets of a zap in a month behind one, and what runs that are kept have added to each.
select s.width, s.at, s.step_id, s.sums, k.sums
from rm.stats s
left join kept.stats k on k.tenant_id = s.tenant_id and k.zap_id = s.zap_id and k.width = s.width and k.at = s.at
                         and k.step_id = s.step_id
where s.tenant_id = $1 and s.zap_id = $2
  and s.at >= $3::date at time zone 'UTC' and s.at < ($3::date + interval '1 month') at time zone 'UTC'
  and (s.width, s.at, s.step_id) > ($4::text, $5::timestamptz, $6::text)
order by s.width, s.at, s.step_id limit $7

-- name: zaps_of_month
-- Whoever has buckets in a month, but for all zaps of a tenant together.
select distinct tenant_id, zap_id from rm.stats
where width = 'day' and step_id = '' and zap_id <> '00000000-0000-0000-0000-000000000000'
  and at >= $1::date at time zone 'UTC' and at < ($1::date + interval '1 month') at time zone 'UTC'
