-- name: ends
-- The log's head, and the last position of which retention has dropped the event (null: none).
select (select last_position from es.commits order by last_position desc limit 1),
       (select max(last) from es.dropped_pages)

-- name: page
-- Events of some tenants and types after a position and up to another, in order: so many at most. Of a payload only the
-- beginning is read, from the disk too.
select position, stream_id, tenant_id, type, recorded_at, substring(data from 1 for 512)
from es.events
where position > $1 and position <= $2 and tenant_id = any($3::uuid[]) and type = any($4::text[])
order by position limit $5

-- name: requests
-- The beginning of the first event of some runs, which says whose they are. $2 and $3 are the bounds of $1: only the leaves
-- between them are opened.
select stream_id, substring(data from 1 for 512)
from es.events where kind = 1 and version = 1 and stream_id = any($1::uuid[]) and stream_id between $2 and $3
