-- name: put_secrets
-- Replace a zap's secrets, all at once.
insert into hooks.secrets (zap_id, tenant_id, boxes) values ($1, $2, $3)
on conflict (zap_id) do update set boxes = excluded.boxes, changed_at = now()

-- name: secrets
select boxes, changed_at from hooks.secrets where zap_id = $1

-- name: lease
-- Up to $3 tokens of a bucket that takes $2 a minute, and how long to wait where there is none.
select granted, retry_after_s from hooks.lease($1, $2, $3)

-- name: prune_buckets
-- Buckets that have not been asked for since a moment (full ones, as long as that is minutes ago): so many at most.
delete from hooks.buckets
where ctid = any(array(select ctid from hooks.buckets where filled_at < $1 limit $2)) and filled_at < $1
