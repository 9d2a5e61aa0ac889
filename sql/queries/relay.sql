-- name: try_lead
-- Leadership: a session lock, held by the very connection that reads and checkpoints.
select pg_try_advisory_lock(7301, 2)

-- name: take_over
-- A new leader's epoch fences whoever led before.
update relay.checkpoint set epoch = epoch + 1, updated_at = now() where lane = 0
returning epoch, position, offsets::text

-- name: advance
-- No row: another leader has taken over.
update relay.checkpoint set position = $2, offsets = $3::text::jsonb, updated_at = now()
where lane = 0 and epoch = $1 and position <= $2
returning rewind_to

-- name: rewind
-- Go back and publish again. A request for an even earlier position stays.
update relay.checkpoint
set position = $2, offsets = $3::text::jsonb, updated_at = now(),
    rewind_to = case when rewind_to < $2 then rewind_to end
where lane = 0 and epoch = $1
returning rewind_to

-- name: rewind_wanted
select rewind_to from relay.checkpoint where lane = 0 and epoch = $1

-- name: erasure
-- The last event that says that something was forgotten, unless the topic has been cleared since.
select (select max(recorded_by) from es.forgotten_events where recorded_by > c.cleared)
from relay.checkpoint c where c.lane = 0 and c.epoch = $1

-- name: cleared
update relay.checkpoint set cleared = $2 where lane = 0 and epoch = $1 returning cleared

-- name: ask_rewind
-- A consumer that missed messages, or an operator, asks for all after a position to be published again.
update relay.checkpoint set rewind_to = least(rewind_to, $1) where lane = 0

-- name: consumer_gates
-- How far each consumer has come in each partition: the runner, and the live build of each projection that is fed by
-- the topic.
select c.consumer, g.partition, g.position
from (select 'runner' as consumer, 1 as version
      union all select projection, version from proj.projections where from_topic) c
left join proj.gates g on g.consumer = c.consumer and g.version = c.version

-- name: lag
-- What is still to be published.
select (select last_position from es.commits order by last_position desc limit 1) - position
from relay.checkpoint where lane = 0

-- name: read
-- A page of the log, to be published: payloads above a size travel by reference and are not read.
select position, kind, stream_id, version, tenant_id, ordering_key, event_id, type, schema_version, recorded_at,
       meta, coalesce(data, '')
from es.page($1, null, $2, $3, null, $4)

-- name: dropped
-- How many events after a position and up to another retention has dropped.
select count(*) from es.dropped_between($1, $2)

-- name: keys
-- What says to which partitions a stretch of the log goes.
select position, ordering_key from es.events where position > $1 and position <= $2 order by position
