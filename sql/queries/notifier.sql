-- name: try_notify
-- The one notifier of all schedulers: a session lock, held by the very connection that looks for what is to be told.
select pg_try_advisory_lock(7301, 5)

-- name: listened_until
-- How far the log was read for failures that zaps listen to; null before the first time.
select max(position) from proj.listened

-- name: listen_from
insert into proj.listened values (true, $1) on conflict (alone) do update set position = excluded.position

-- name: failures
-- Runs that failed between two positions, in the order of the log.
select position, tenant_id, stream_id, event_id, type, schema_version, recorded_at, data
from es.events
where kind = 1 and position > $1 and position <= $2 and type in ('zap.run.failed', 'zap.run.timed_out')
order by position limit $3
