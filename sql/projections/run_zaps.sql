-- name: zaps_of
-- The zaps of runs, by their first events.
select s.id, (convert_from(e.data, 'UTF8')::jsonb ->> 'zap_id')::uuid
from unnest($2::uuid[]) s(id)
cross join lateral (select data from es.events where kind = $1 and stream_id = s.id and version = 1 limit 1) e
