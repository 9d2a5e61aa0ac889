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
-- The sums of a zap or of all, of buckets of one width, in order.
select at, step_id, cell, sum(count)::bigint from (
    select at, step_id, cell, count from rm.stats
    where tenant_id = $1 and zap_id = $2 and width = $3 and at >= $4 and at < $5 and (step_id = '') <> $6
    union all
    select at, step_id, cell, count from proj.sealed_stats
    where tenant_id = $1 and zap_id = $2 and width = $3 and at >= $4 and at < $5 and (step_id = '') <> $6
) both_kinds
group by at, step_id, cell order by at, step_id

-- name: seal
-- Take what is before a moment out of the read model, and keep it for good.
with gone as (
    delete from rm.stats where at < $1 returning tenant_id, zap_id, width, at, step_id, cell, count
)
insert into proj.sealed_stats as s (tenant_id, zap_id, width, at, step_id, cell, count)
select * from gone order by 1, 2, 3, 4, 5, 6
on conflict (tenant_id, zap_id, width, at, step_id, cell) do update set count = s.count + excluded.count
