-- name: try_notify
-- The one notifier of all schedulers: a session lock, held by the very connection that looks for what is to be told.
select pg_try_advisory_lock(7301, 5)
