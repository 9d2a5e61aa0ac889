-- Parts of queries of the run list, to be written one behind the other (projections/run_query.py). A `:name` is a value.
-- The five minutes around times are for clocks that differ and for commits that took long: ids carry the time.

-- name: items
select l.run_id, l.zap_id, l.zap_version, l.status, l.source, l.started_at, l.finished_at, l.duration_ms, l.error_code,
       l.error_message, l.error_step, l.attempts, l.replay_of, l.parent_id,
       (select c.recovered_by from rm.recoveries c where c.tenant_id = l.tenant_id and c.run_id = l.run_id),
       l.position,
       (select json_object_agg(n.name, case when get_byte(n.key, octet_length(n.name) + 1) in (98, 110) then n.value::json
                                            else to_json(n.value) end)::text
        from rm.run_keys n where n.tenant_id = l.tenant_id and n.run_id = l.run_id and n.name <> '')

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

-- name: parent
and l.parent_id = :parent::uuid

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

-- name: keyed
-- Runs that have a search key. The planner knows which values are rare.
from rm.run_keys k join rm.run_list l on l.tenant_id = k.tenant_id and l.run_id = k.run_id
where k.tenant_id = :tenant and k.name = :key_name::text and l.tenant_id = :tenant and l.source <> 'item'

-- name: keyed_twice
from rm.run_keys k
join rm.run_keys other on other.tenant_id = k.tenant_id and other.run_id = k.run_id
join rm.run_list l on l.tenant_id = k.tenant_id and l.run_id = k.run_id
where k.tenant_id = :tenant and k.name = :key_name::text and l.tenant_id = :tenant and l.source <> 'item'
  and other.tenant_id = :tenant and other.name = :other_name::text

-- name: key_is
and k.key = any(:key_values::bytea[])

-- name: key_between
and k.key >= :key_low::bytea and k.key < :key_high::bytea

-- name: key_between_either
and (k.key >= :key_low::bytea and k.key < :key_high::bytea or k.key >= :key_also_low::bytea and k.key < :key_also_high::bytea)

-- name: other_is
and other.key = any(:other_values::bytea[])

-- name: other_between
and other.key >= :other_low::bytea and other.key < :other_high::bytea

-- name: other_between_either
and (other.key >= :other_low::bytea and other.key < :other_high::bytea
     or other.key >= :other_also_low::bytea and other.key < :other_also_high::bytea)

-- name: keys
-- Each comparison holds for one of its spans.
and :key_terms::int = (
    select count(distinct w.n)
    from unnest(:term_numbers::int[], :term_names::text[], :term_lows::bytea[], :term_highs::bytea[], :term_texts::text[])
         w(n, name, low, high, inside)
    join rm.run_keys m on m.tenant_id = l.tenant_id and m.run_id = l.run_id and m.name = w.name
    where m.key >= w.low and m.key < w.high and (w.inside = '' or strpos(lower(m.value), w.inside) > 0))

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

-- name: before_key
and (k.key, k.run_id) < (:value::bytea, :before_id::uuid)

-- name: after_key
and (k.key, k.run_id) > (:value::bytea, :after_id::uuid)

-- name: key_desc
order by k.key desc, k.run_id desc

-- name: key_asc
order by k.key, k.run_id

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
