-- name: try_take
-- One worker on a job at a time: a session lock, freed when the worker's connection closes.
select pg_try_advisory_lock(7303, hashtext($1::uuid::text))

-- name: give_back
select pg_advisory_unlock(7303, hashtext($1::uuid::text))
