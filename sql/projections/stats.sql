-- name: create
-- Sums by zap, and of all zaps of a tenant under the nil id; by minute, hour and day; of the run, and of each step. A cell
-- counts an outcome, or durations of about one length (domain/history/durations.py). So rows add up in any order.
create table stats (
    tenant_id uuid not null,
    zap_id    uuid not null,
    width     text not null,
    at        timestamptz not null,
    step_id   text not null,
    cell      text not null,
    count     bigint not null,
    primary key (tenant_id, zap_id, width, at, step_id, cell)
) with (fillfactor = 85);

-- name: add
-- Keys come sorted, so that concurrent writers cannot deadlock.
insert into stats as s (tenant_id, zap_id, width, at, step_id, cell, count)
select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::bigint[])
on conflict (tenant_id, zap_id, width, at, step_id, cell) do update set count = s.count + excluded.count

-- name: zaps_of
-- The zaps of runs, by their first events.
select s.id, (convert_from(e.data, 'UTF8')::jsonb ->> 'zap_id')::uuid
from unnest($2::uuid[]) s(id)
join es.events e on e.kind = $1 and e.stream_id = s.id and e.version = 1

-- name: read
-- The cells of a zap or of all, of buckets of one width, in order; by bucket in one row, as there are many. What is kept for
-- good comes in rows of its own. Rows are read in the order of the keys, so nothing is sorted.
(select at, step_id, array_agg(cell) as cells, array_agg(count) as counts from rm.stats
 where tenant_id = $1 and zap_id = $2 and width = $3 and at >= $4 and at < $5 and (step_id = '') <> $6
 group by at, step_id)
union all
(select at, step_id, array_agg(cell), array_agg(count) from proj.sealed_stats
 where tenant_id = $1 and zap_id = $2 and width = $3 and at >= $4 and at < $5 and (step_id = '') <> $6
 group by at, step_id)
order by at, step_id

-- name: write_kept
-- Statistics are written elsewhere from now on, as to the read model.
set local search_path = kept, rm

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

-- name: seal_runs
-- Take what runs of a month have added, but for those that are kept, out of the read model; of zaps, and of all of them.
with gone as (
    select s.tenant_id, s.zap_id, s.width, s.at, s.step_id, s.cell, s.count - coalesce(k.count, 0) as count
    from unnest($2::uuid[], $3::uuid[]) z(tenant_id, zap_id)
    join rm.stats s on s.tenant_id = z.tenant_id and s.zap_id = z.zap_id
    left join kept.stats k on k.tenant_id = s.tenant_id and k.zap_id = s.zap_id and k.width = s.width and k.at = s.at
                             and k.step_id = s.step_id and k.cell = s.cell
    where s.at >= $1::date at time zone 'UTC' and s.at < ($1::date + interval '1 month') at time zone 'UTC'
      and (s.cell = 'requests:accepted' or s.cell not like 'requests:%') and s.count > coalesce(k.count, 0)
), moved as materialized (
    select * from gone
    union all
    select tenant_id, '00000000-0000-0000-0000-000000000000', width, at, step_id, cell, sum(count)::bigint
    from gone group by tenant_id, width, at, step_id, cell
), emptied as (
    delete from rm.stats s using moved b
    where s.tenant_id = b.tenant_id and s.zap_id = b.zap_id and s.width = b.width and s.at = b.at
      and s.step_id = b.step_id and s.cell = b.cell and s.count = b.count
), lowered as (
    update rm.stats s set count = s.count - b.count from moved b
    where s.tenant_id = b.tenant_id and s.zap_id = b.zap_id and s.width = b.width and s.at = b.at
      and s.step_id = b.step_id and s.cell = b.cell and s.count > b.count
)
insert into proj.sealed_stats as t (tenant_id, zap_id, width, at, step_id, cell, count)
select * from moved
on conflict (tenant_id, zap_id, width, at, step_id, cell) do update set count = t.count + excluded.count

-- name: seal_requests
-- The same of requests that started no run.
with gone as (
    delete from rm.stats
    where at >= $1::date at time zone 'UTC' and at < ($1::date + interval '1 month') at time zone 'UTC'
      and cell like 'requests:%' and cell <> 'requests:accepted'
    returning tenant_id, zap_id, width, at, step_id, cell, count
)
insert into proj.sealed_stats as t (tenant_id, zap_id, width, at, step_id, cell, count)
select * from gone
on conflict (tenant_id, zap_id, width, at, step_id, cell) do update set count = t.count + excluded.count

-- name: unseal
-- What came back, which the read model has counted as new, is kept elsewhere no more.
with gone as (
    delete from proj.sealed_stats t using kept.stats k
    where t.tenant_id = k.tenant_id and t.zap_id = k.zap_id and t.width = k.width and t.at = k.at
      and t.step_id = k.step_id and t.cell = k.cell and t.count <= k.count
)
update proj.sealed_stats t set count = t.count - k.count from kept.stats k
where t.tenant_id = k.tenant_id and t.zap_id = k.zap_id and t.width = k.width and t.at = k.at
  and t.step_id = k.step_id and t.cell = k.cell and t.count > k.count
