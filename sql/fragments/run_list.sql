-- Parts of queries of the run list, to be written one behind the other (projections/run_query.py). A `:name` is a value.
-- The five minutes around times are for clocks that differ and for commits that took long: ids carry the time.

-- name: items
select l.run_id, l.zap_id, l.zap_version, l.status, l.source, l.started_at, l.finished_at, l.duration_ms, l.error_code,
       l.error_message, l.error_step, l.attempts, l.replay_of, l.parent_id,
       (select c.recovered_by from rm.recoveries c where c.tenant_id = l.tenant_id and c.run_id = l.run_id),
       l.position

-- name: ids
select l.run_id

-- name: count
select count(*) from (select

-- name: counted
) found

-- name: runs
-- Items of loops are listed with their parent only: one run may have thousands.
from rm.run_list l
where l.tenant_id = :tenant and l.source <> 'item'

-- name: of_parent
from rm.run_list l
where l.tenant_id = :tenant and l.parent_id = :parent::uuid

-- name: recovered_runs
-- They are few, and listed by themselves.
from rm.recoveries c join rm.run_list l on l.tenant_id = c.tenant_id and l.run_id = c.run_id
where c.tenant_id = :tenant and l.source <> 'item'

-- name: each_zap
-- Each of several zaps has its own stretch of an index.
from unnest(:zaps::uuid[]) x(zap_id)
cross join lateral (
    select * from rm.run_list l
    where l.tenant_id = :tenant and l.source <> 'item' and l.zap_id = x.zap_id

-- name: each_status
from unnest(:statuses::text[]) x(status)
cross join lateral (
    select * from rm.run_list l
    where l.tenant_id = :tenant and l.source <> 'item' and l.status = x.status and l.status <> 'completed'

-- name: each
) l

-- name: ids_of
and l.run_id = any(:ids::uuid[])

-- name: zap
and l.zap_id = :zap::uuid

-- name: zaps
and l.zap_id = any(:zaps::uuid[])

-- name: status
and l.status = :status::text

-- name: not_completed
-- Written out, it lets the planner take a partial index.
and l.status <> 'completed'

-- name: statuses
and l.status = any(:statuses::text[])

-- name: source
and l.source = :source::text

-- name: not_webhook
and l.source <> 'webhook'

-- name: zap_version
and l.zap_version = :zap_version::int

-- name: step
and l.error_step = :step::text

-- name: error_code
and l.error_code = :error_code::text

-- name: from
and l.started_at >= :from::timestamptz and l.run_id >= es.first_uuid_at(:from::timestamptz - '5 min'::interval)

-- name: to
and l.started_at < :to::timestamptz and l.run_id < es.first_uuid_at(:to::timestamptz + '5 min'::interval)

-- name: finished_from
and l.finished_at >= :finished_from::timestamptz

-- name: finished_to
-- Nothing ends before it has begun.
and l.finished_at < :finished_to::timestamptz and l.run_id < es.first_uuid_at(:finished_to::timestamptz + '5 min'::interval)

-- name: min_duration
and l.duration_ms >= :min_duration::float8

-- name: max_duration
and l.duration_ms <= :max_duration::float8

-- name: recovered
and (select c.run_id from rm.recoveries c where c.tenant_id = l.tenant_id and c.run_id = l.run_id) is not null

-- name: not_recovered
-- Asked for each run that is listed, so that the plan stays a walk along one index.
and case when exists (select from rm.recoveries c where c.tenant_id = l.tenant_id and c.run_id = l.run_id)
         then false else true end

-- name: before_id
and l.run_id < :before_id::uuid

-- name: after_id
and l.run_id > :after_id::uuid

-- name: finished
and l.finished_at is not null

-- name: before_finished_at
and (l.finished_at, l.run_id) < (:value::timestamptz, :before_id::uuid)

-- name: after_finished_at
and (l.finished_at, l.run_id) > (:value::timestamptz, :after_id::uuid)

-- name: timed
and l.duration_ms is not null

-- name: before_duration_ms
and (l.duration_ms, l.run_id) < (:value::float8, :before_id::uuid)

-- name: after_duration_ms
and (l.duration_ms, l.run_id) > (:value::float8, :after_id::uuid)

-- name: started_at_desc
order by l.run_id desc

-- name: started_at_asc
order by l.run_id

-- name: finished_at_desc
order by l.finished_at desc, l.run_id desc

-- name: finished_at_asc
order by l.finished_at, l.run_id

-- name: duration_ms_desc
order by l.duration_ms desc, l.run_id desc

-- name: duration_ms_asc
order by l.duration_ms, l.run_id

-- name: limit
limit :limit

-- name: plan_for_values
-- Where ranges of values are asked for, which index is best depends on the values.
set local plan_cache_mode = force_custom_plan
