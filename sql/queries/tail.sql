-- name: published
-- How far the relay has come: its position, the last offset and position of each partition; and the log's head.
select position, offsets::text, (select last_position from es.commits order by last_position desc limit 1)
from relay.checkpoint where lane = 0

-- name: hurry
-- Tell the relay that somebody waits for what it publishes: a reader, or a consumer that has events from the topic only.
select pg_notify('relay', '')

-- name: after
-- Events of some types after a position and up to another. A payload above a size is left out (empty).
select position, kind, stream_id, version, tenant_id, ordering_key, event_id, type, schema_version, recorded_at,
       meta, case when octet_length(data) <= $4 then data else '' end
from es.events where position > $1 and position <= $2 and type = any($3::text[]) order by position
