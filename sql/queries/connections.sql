-- name: put_connection
-- A connection as it is after its event at a position; an older change does not undo a newer one. Whatever was found
-- out about secrets that are replaced no longer counts.
insert into iam.connections as c (connection_id, tenant_id, name, kind, config, secrets, position)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (connection_id) do update set
    name = excluded.name, config = excluded.config, secrets = excluded.secrets, position = excluded.position,
    status = case when $8 then 'untested' else c.status end, tokens = case when $8 then null else c.tokens end,
    expires_at = case when $8 then null else c.expires_at end, token_version = c.token_version + $8::int
where c.position < excluded.position

-- name: connection
select connection_id, name, kind, config, status, expires_at, last_used_at, last_refreshed_at, position, secrets,
       tokens, token_version, named_at
from iam.connections where tenant_id = $1 and connection_id = $2

-- name: connections_page
select connection_id, name, kind, config, status, expires_at, last_used_at, last_refreshed_at, position
from iam.connections
where tenant_id = $1 and connection_id < coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
order by connection_id desc limit $3

-- name: count_connections
select count(*) from iam.connections where tenant_id = $1

-- name: delete_connection
delete from iam.connections where tenant_id = $1 and connection_id = $2

-- name: name_connections
-- A zap that names these connections was changed at this position of the log.
update iam.connections set named_at = greatest(named_at, $3)
where tenant_id = $1 and connection_id = any($2::uuid[])

-- name: note_connection
-- What its last use has shown, and when that was, unless the secrets have changed since.
update iam.connections set status = coalesce($4, status), last_used_at = greatest(last_used_at, $5)
where tenant_id = $1 and connection_id = $2 and position = $3

-- name: lease_connection
-- One process at a time gets new tokens: who gets the row may, until $4. A version that was replaced gets none.
update iam.connections set lease_until = $4
where connection_id = $1 and token_version = $2 and (lease_until is null or lease_until <= $3)
returning true

-- name: release_connection
update iam.connections set lease_until = null where connection_id = $1 and token_version = $2

-- name: put_tokens
-- New tokens in the place of those of a version; no row where others were put meanwhile.
update iam.connections
set tokens = $3, token_version = token_version + 1, lease_until = null, status = 'ok', expires_at = $4,
    last_refreshed_at = $5
where connection_id = $1 and token_version = $2 returning true

-- name: lose_connection
-- Somebody has to reconnect it; no row where new tokens were put meanwhile, or that is known.
update iam.connections set status = 'needs_reconnect', lease_until = null
where connection_id = $1 and token_version = $2 and status <> 'needs_reconnect' returning true
