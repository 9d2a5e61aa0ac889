-- name: next_due
-- When the next timer is due, or the longest overdue was: the look that an idle system takes.
select min(due_at) from es.timers

-- name: due
-- Timers whose time has come, the longest overdue first, with the last event of their streams (null: the stream is
-- gone), and whether the stream's first event has set them. Without those that another scheduler has in hand, until this
-- transaction ends; es.append decides about firing all the same. Materialized: the lock is taken of what is given only.
with due as materialized (
    select * from (select * from es.timers where due_at <= $1 order by due_at offset 0) t
    where pg_try_advisory_xact_lock(7302, hashtext(t.timer_id::text)) limit $2
)
select t.timer_id, t.due_at, t.kind, t.stream_id, t.ordering_key, t.tenant_id,
       last.event_id, last.type, last.schema_version, last.version,
       exists (select from es.events f where f.kind = t.kind and f.stream_id = t.stream_id and f.version = 1
               and f.event_id = t.timer_id)
from due t
left join lateral (
    select e.event_id, e.type, e.schema_version, e.version from es.events e
    where e.kind = t.kind and e.stream_id = t.stream_id order by e.version desc limit 1
) last on true
order by t.due_at

-- name: give_up_soon
-- A scheduler that stands still in the middle of firing holds its timers no longer than this.
set local idle_in_transaction_session_timeout = '5s'

-- name: drop
-- Forget a timer whose run has ended.
select es.drop_timer($1)

-- name: put_off
-- Look at a timer again at a later moment.
select es.put_off_timer($1, $2)
