-- name: try_take
-- One worker on a job at a time: a session lock, freed when the worker's connection closes.
select pg_try_advisory_lock(7303, hashtext($1::uuid::text))

-- name: give_back
select pg_advisory_unlock(7303, hashtext($1::uuid::text))

-- name: carried_out
-- The runs or requests on which a job's command was carried out after a position: events of a type that name the job as
-- their cause.
select distinct stream_id from es.events
where position > $1 and tenant_id = $2 and type = $3
  and convert_from(meta, 'UTF8')::jsonb ->> 'causation_id' = $4::uuid::text

-- name: forgotten_by
-- The runs that a job has forgotten since a position.
select (convert_from(data, 'UTF8')::jsonb ->> 'run_id')::uuid from es.events
where position > $1 and tenant_id = $2 and type = 'run.forgotten'
  and convert_from(meta, 'UTF8')::jsonb ->> 'causation_id' = $3::uuid::text
