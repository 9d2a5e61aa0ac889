-- name: due
-- Timers whose time has come, the longest overdue first. Not locked: firing is decided by es.append.
select timer_id, due_at, kind, stream_id, ordering_key, tenant_id from es.timers
where due_at <= $1 order by due_at limit $2

-- name: next_due
select min(due_at) from es.timers
