-- name: page
-- What left the log of a tenant's runs, newest first; whether it is away yet.
select a.position, a.at, e.data,
       exists (select from es.dropped_pages d where d.drop_id = a.stream_id)
from rm.audit a
join es.events e on e.kind = 0 and e.stream_id = a.stream_id and e.version = 1
where a.tenant_id = $1 and a.type = 'runs.dropped' and a.position < coalesce($2, 9223372036854775807)
order by a.position desc limit $3

-- name: of_file
-- Whether a file has runs of a tenant, and whether some of these are away yet.
select count(*), coalesce(bool_or(exists (select from es.dropped_pages d where d.drop_id = a.stream_id)), false)
from rm.audit a
join es.events e on e.kind = 0 and e.stream_id = a.stream_id and e.version = 1
where a.tenant_id = $1 and a.type = 'runs.dropped' and convert_from(e.data, 'UTF8')::jsonb ->> 'archive' = $2

-- name: months
-- Runs of some zaps that have ended, by month and status, and how many have their payloads yet; and the bytes of one, as
-- fifty of each have them.
select z.zap_id, m.month, l.status, l.runs, l.whole, l.oldest, l.newest, b.bytes
from unnest($2::uuid[]) z(zap_id)
cross join es.run_months(now() + interval '2 months') m
cross join lateral (
    select r.status, count(*) as runs,
           count(*) filter (where not exists (select from es.forgotten_events f where f.position = r.position)) as whole, min(r.started_at) as oldest, max(r.started_at) as newest
    from rm.run_list r
    where r.tenant_id = $1 and r.zap_id = z.zap_id and r.source <> 'item' and r.finished_at is not null
      and r.run_id >= es.first_uuid_at(m.month::timestamp at time zone 'UTC')
      and r.run_id < es.first_uuid_at((m.month::timestamp + interval '1 month') at time zone 'UTC')
    group by r.status
) l
cross join lateral (
    select coalesce(sum(octet_length(e.data) + octet_length(e.meta)) / count(distinct e.stream_id), 0)::bigint as bytes
    from (select r.run_id from rm.run_list r
          where r.tenant_id = $1 and r.zap_id = z.zap_id and r.source <> 'item' and r.status = l.status
            and r.run_id >= es.first_uuid_at(m.month::timestamp at time zone 'UTC')
            and r.run_id < es.first_uuid_at((m.month::timestamp + interval '1 month') at time zone 'UTC')
          order by r.run_id limit 50) fifty
    join es.events e on e.kind = 1 and e.stream_id = fifty.run_id
) b
order by m.month, z.zap_id, l.status
