-- name: events
-- A page of the log with what each event's hash is made of, put together as sql/log/hashing.py does: version and
-- stored hash, as they enter the commit's; the time; and the preimage.
select position, int4send(version) || hash, timestamptz_send(recorded_at),
       int2send(kind) || int2send(schema_version) || int4send(octet_length(type)) || int4send(octet_length(meta))
       || int4send(octet_length(data)) || uuid_send(stream_id) || uuid_send(tenant_id) || uuid_send(ordering_key)
       || uuid_send(event_id) || convert_to(type, 'UTF8') || meta || data
from es.page($1, null, $2, $3)

-- name: dropped
-- The same of what retention dropped; there is no preimage any more.
select position, int4send(version) || hash, timestamptz_send(recorded_at), null::bytea
from es.dropped_events where position > $1 and position <= $2 order by position limit $3

-- name: commits
-- The commits after a position and up to another: the chain to verify. What comes between the hash before and the
-- events in the preimage; and the time.
select last_position, prev_position,
       int8send(prev_position) || int8send((extract(epoch from recorded_at) * 1000000)::bigint),
       timestamptz_send(recorded_at), hash
from es.commits where last_position > $1 and last_position <= $2 order by last_position limit $3

-- name: stray
-- An event beyond the last commit. One statement sees appends whole, so one that goes on is not taken for a stray.
select position from es.events
where position > (select last_position from es.commits order by last_position desc limit 1)
order by position limit 1

-- name: holes
-- The first event of the stream, earliest in the log, whose versions are not 1, 2, 3 …; the primary key keeps them apart.
select min(first) from (
    select min(position) as first from es.events group by kind, stream_id having count(*) <> max(version)
) broken
