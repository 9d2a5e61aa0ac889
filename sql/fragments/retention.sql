-- The parts of what retention asks of the run list; put together (consumers/scheduler/retention.py). A `:name` is a value.

-- name: over
-- Runs of a month that have ended, and whose time is over: of zaps, with whether that is so of completed ones, and of others;
-- without zaps all. Items of loops go with what has them.
from rm.run_list l
left join unnest(:zaps::uuid[], :completed::bool[], :failed::bool[]) z(zap_id, completed, failed) on z.zap_id = l.zap_id
left join rm.run_list p on l.source = 'item' and p.tenant_id = l.tenant_id and p.run_id = l.parent_id
where l.run_id >= es.first_uuid_at(:month::date at time zone 'UTC')
  and l.run_id < es.first_uuid_at((:month::date + interval '1 month') at time zone 'UTC')
  and l.finished_at is not null and (p.run_id is null or p.finished_at is not null)
  and (:zaps::uuid[] is null
       or case when coalesce(p.status, l.status) in ('completed', 'filtered') then z.completed else z.failed end)

-- name: note
-- Note them, in parts: each is of one tenant, and of so many runs at most.
insert into kept.expired (tenant_id, run_id, zap_id, status, part)
select tenant_id, run_id, zap_id, status, dense_rank() over (order by tenant_id, portion)
from (
    select l.tenant_id, l.run_id, l.zap_id, l.status,
           (row_number() over (partition by l.tenant_id order by l.run_id) - 1) / :most::int as portion

-- name: noted
) over_

-- name: count
-- How many there are.
select l.tenant_id, l.zap_id, l.status, count(*)

-- name: counted
group by 1, 2, 3 order by 1, 2, 3
