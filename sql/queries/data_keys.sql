-- name: data_key
select box from iam.data_keys where tenant_id = $1

-- name: add_data_key
-- The key of a workspace that has none yet; of racing processes the first one's stays.
insert into iam.data_keys (tenant_id, box) values ($1, $2) on conflict do nothing
