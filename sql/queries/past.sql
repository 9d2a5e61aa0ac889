-- name: position_at
-- The last position that was recorded by a moment; whether anything was recorded later, and whether the moment is over.
select coalesce((select last_position from es.commits where recorded_at <= $1
                 order by recorded_at desc, last_position desc limit 1), 0) as position,
       exists (select from es.commits where recorded_at > $1) as settled,
       $1 < clock_timestamp() as over

-- name: hold_appends
-- Until the end of the transaction nothing is recorded: whatever had its time before has its position now.
select pg_advisory_xact_lock_shared(7301, 1)

-- name: recorded_at
-- When a position was recorded; no row for one that the log has not come to.
select recorded_at from es.commits where last_position >= $1 order by last_position limit 1

-- name: stream_until
-- One stream up to a position.
select position, kind, stream_id, version, tenant_id, ordering_key, event_id, type, schema_version, recorded_at,
       meta, data
from es.events where kind = $1 and stream_id = $2 and position <= $3 order by version

-- name: zap_until
-- The same of a zap, without the drafts that later ones replaced: nothing that came after them looks at them.
select position, kind, stream_id, version, tenant_id, ordering_key, event_id, type, schema_version, recorded_at,
       meta, data
from (
    select e.*, e.type = 'zap.draft_changed' and lead(e.type) over draft = 'zap.draft_changed' as replaced
    from es.events e where e.kind = 0 and e.stream_id = $1 and e.position <= $2
    window draft as (partition by e.type in ('zap.draft_changed', 'zap.rolled_back') order by e.version)
) d
where replaced is not true order by version

-- name: first_positions
-- Where some runs begin.
select stream_id, position from es.events where kind = 1 and stream_id = any($1::uuid[]) and version = 1
