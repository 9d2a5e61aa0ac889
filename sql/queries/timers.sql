-- name: due
-- Timers whose time has come, the longest overdue first. Not locked: firing is decided by es.append.
select timer_id, due_at, kind, stream_id, ordering_key, tenant_id from es.timers
where due_at <= $1 order by due_at limit $2

-- name: next_due
select min(due_at) from es.timers

-- name: drop
-- Forget a timer whose run has ended.
select es.drop_timer($1)

-- name: put_off
-- Look at a timer again at a later moment.
select es.put_off_timer($1, $2)
