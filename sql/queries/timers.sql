-- name: due
-- Timers whose time has come, the longest overdue first, with the last event of their streams (null: the stream is
-- gone), and whether the stream's first event has set them. Not locked: firing is decided by es.append.
select t.timer_id, t.due_at, t.kind, t.stream_id, t.ordering_key, t.tenant_id,
       last.event_id, last.type, last.schema_version, last.version,
       exists (select from es.events f where f.kind = t.kind and f.stream_id = t.stream_id and f.version = 1
               and f.event_id = t.timer_id)
from es.timers t
left join lateral (
    select e.event_id, e.type, e.schema_version, e.version from es.events e
    where e.kind = t.kind and e.stream_id = t.stream_id order by e.version desc limit 1
) last on true
where t.due_at <= $1 order by t.due_at limit $2

-- name: drop
-- Forget a timer whose run has ended.
select es.drop_timer($1)

-- name: put_off
-- Look at a timer again at a later moment.
select es.put_off_timer($1, $2)
