-- name: forget
-- Store that a run was forgotten, and take its payloads out of the log. See the migration that made es.forget.
select es.forget($1::uuid, $2::uuid, $3::uuid, $4::uuid, $5::uuid, $6::text, $7::smallint, $8::bytea, $9::bytea,
                 $10::bytea, $11::bigint[], $12::bytea[])

-- name: forget_dropped
-- Store that a run was forgotten that an archive has. See the migration that made es.forget_dropped.
select es.forget_dropped($1::uuid, $2::uuid, $3::uuid, $4::uuid, $5::text, $6::smallint, $7::bytea, $8::bytea, $9::bytea,
                         $10::bigint[], $11::bytea[])

-- name: forgotten_of
-- How many of the events at some positions were forgotten, and how many are in the log.
select (select count(*) from es.forgotten_events where position = any($1::bigint[])),
       (select count(*) from es.events where position = any($1::bigint[]))

-- name: lock_archives
-- Who writes archives, and who takes something out of them: one at a time; freed when the connection closes.
select pg_advisory_lock(7305, 1)

-- name: is_forgotten
-- Whether the event at a position was.
select exists (select from es.forgotten_events where position = $1)

-- name: forgotten_among
-- The positions of events that were.
select position from es.forgotten_events where position = any($1::bigint[])
