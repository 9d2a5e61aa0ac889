-- name: hook_secrets_after
-- The next $1 rows of boxes behind a zap.
select zap_id, boxes from hooks.secrets where zap_id > $2 order by zap_id limit $1

-- name: hook_secrets_swap
-- Put boxes ($1) in the place of those that were there ($2). No row where they have changed meanwhile.
update hooks.secrets set boxes = $1 where boxes = $2 and zap_id = $3 returning true

-- name: data_keys_after
select tenant_id, array[box] from iam.data_keys where tenant_id > $2 order by tenant_id limit $1

-- name: data_keys_swap
update iam.data_keys set box = ($1::bytea[])[1] where box = ($2::bytea[])[1] and tenant_id = $3 returning true

-- name: answers_after
select caller_id, key_hash, array[answer] from iam.answers
where (caller_id, key_hash) > ($2, $3) and octet_length(answer) > 0 order by caller_id, key_hash limit $1

-- name: answers_swap
update iam.answers set answer = ($1::bytea[])[1]
where answer = ($2::bytea[])[1] and caller_id = $3 and key_hash = $4 returning true
