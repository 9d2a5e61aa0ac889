-- name: forget
-- Store that a run was forgotten, and take its payloads out of the log. See the migration that made es.forget.
select es.forget($1::uuid, $2::uuid, $3::uuid, $4::uuid, $5::uuid, $6::text, $7::smallint, $8::bytea, $9::bytea,
                 $10::bytea, $11::bigint[], $12::bytea[])

-- name: is_forgotten
-- Whether the event at a position was.
select exists (select from es.forgotten_events where position = $1)
