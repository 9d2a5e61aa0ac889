-- name: create
-- Segments of the index, as projections/search/blocks.py has them: of each its head, with the ids of its runs in order,
-- and blocks of keys by their first one. Data is compressed already; what is long is stored so that parts of it are read.
create table run_search (
    tenant_id uuid not null,
    segment   bigint not null,
    first     bytea not null,
    lowest    uuid,
    highest   uuid,
    size      int,
    data      bytea not null,
    primary key (tenant_id, segment, first)
);
alter table run_search alter column data set storage external;
create index run_search_segments on run_search (tenant_id, highest) where first = ''::bytea;

-- name: streams
-- The runs that a batch is about, up to its last event, each in order. Of each the first mebibyte of payload counts, and
-- no event above 256 KiB: a run whose request is larger is left out.
select position, kind, stream_id, version, tenant_id, ordering_key, event_id, type, schema_version, recorded_at,
       '{}'::bytea, data
from unnest($1::uuid[]) s(id)
cross join lateral (
    select e.*, sum(octet_length(e.data)) over (order by e.version) as total
    from es.events e where e.kind = $2 and e.stream_id = s.id and e.position <= $3 order by e.version limit 1000
) e
where total <= 1048576 and octet_length(data) <= 262144
order by stream_id, version

-- name: told_of_to_the_end
-- Of the runs that a batch is about those of which no later batch tells more: the others are read there.
select id from unnest($1::uuid[]) s(id)
left join lateral (
    select true as more from es.events e
    where e.kind = $2 and e.stream_id = s.id and e.position > $3 and e.type = any($4::text[]) limit 1) e on true
where more is null

-- name: version
-- A published version of a zap: others are not brought here, as a zap may have hundreds.
select schema_version, data from es.events
where kind = $1 and stream_id = $2 and type = 'zap.published' and convert_from(data, 'UTF8')::jsonb ->> 'number' = $3::int::text
order by version limit 1

-- name: add
-- The rows of one segment, with its head.
insert into run_search (tenant_id, segment, first, lowest, highest, size, data)
select $1, $2, u.first, case when u.first = ''::bytea then $3::uuid end, case when u.first = ''::bytea then $4::uuid end,
       case when u.first = ''::bytea then $5::int end, u.data
from unnest($6::bytea[], $7::bytea[]) u(first, data)

-- name: free_number
-- The highest number up to one that no segment of a tenant has: what comes back from an archive may end at the same event.
select n from generate_series($2::bigint, $2::bigint - 1000, -1) n
where not exists (select from run_search r where r.tenant_id = $1 and r.segment = n and r.first = ''::bytea)
limit 1

-- name: sizes
-- The segments of a tenant, newest first.
select segment, size from run_search where tenant_id = $1 and first = ''::bytea order by segment desc

-- name: rows
-- All rows of some segments, in order.
select segment, first, data from run_search where tenant_id = $1 and segment = any($2::bigint[]) order by segment, first

-- name: drop
delete from run_search where tenant_id = $1 and segment = any($2::bigint[])

-- name: segments
-- A tenant's segments that have runs between two, those with the newest runs first.
select segment, highest from rm.run_search
where tenant_id = $1 and first = ''::bytea and ($2::uuid is null or lowest < $2) and ($3::uuid is null or highest >= $3)
order by highest desc, segment desc

-- name: oldest
-- No run of a tenant is older than this one.
select lowest from rm.run_search where tenant_id = $1 and first = ''::bytea order by lowest limit 1

-- name: blocks
-- Of some segments the blocks in which spans of keys lie: the last that begins at or before the span, and those that
-- begin inside it, up to a limit for each.
select s.segment, t.n, b.data
from unnest($2::bigint[]) s(segment)
cross join unnest($3::int[], $4::bytea[], $5::bytea[]) t(n, low, high)
cross join lateral (
    (select r.data from rm.run_search r
     where r.tenant_id = $1 and r.segment = s.segment and r.first <= t.low and r.first > ''::bytea
     order by r.first desc limit 1)
    union all
    (select r.data from rm.run_search r
     where r.tenant_id = $1 and r.segment = s.segment and r.first > t.low and r.first < t.high
     order by r.first limit $6)
) b

-- name: ids
-- The ids of all runs of some segments.
select segment, data from rm.run_search where tenant_id = $1 and segment = any($2::bigint[]) and first = ''::bytea

-- name: ids_at
-- The ids of runs at places of segments.
select substring(r.data from p.place * 16 + 1 for 16)
from unnest($2::bigint[], $3::int[]) p(segment, place)
join rm.run_search r on r.tenant_id = $1 and r.segment = p.segment and r.first = ''::bytea

-- name: segments_of
-- The segments of a tenant that may have some of these runs.
select distinct r.segment from run_search r join unnest($2::uuid[]) u(run_id) on u.run_id between r.lowest and r.highest
where r.tenant_id = $1 and r.first = ''::bytea
