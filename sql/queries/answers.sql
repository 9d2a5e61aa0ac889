-- name: prune
-- A few answers that have expired: each new one makes more room than it takes.
delete from iam.answers where (caller_id, key_hash) in (
    select caller_id, key_hash from iam.answers where expires_at <= $1 order by expires_at limit 20
)

-- name: claim
-- Take a key: one that is new, or has expired, or whose request ($3) has had no answer since $6. No row where it is
-- somebody's, or the principal has $7 keys or $8 bytes of answers.
with kept as (
    select count(*) as keys, coalesce(sum(octet_length(answer)), 0) as bytes from iam.answers where caller_id = $1
)
insert into iam.answers as old (caller_id, key_hash, fingerprint, seed, claimed_at, expires_at)
select $1, $2, $3, $4, $5::timestamptz, $5::timestamptz + interval '24 hours' from kept
where kept.keys < $7 and kept.bytes < $8
on conflict (caller_id, key_hash) do update set
    fingerprint = excluded.fingerprint,
    seed = case when old.expires_at <= $5 then excluded.seed else old.seed end,
    claimed_at = excluded.claimed_at,
    expires_at = excluded.expires_at,
    answer = null
where old.expires_at <= $5 or (old.answer is null and old.fingerprint = excluded.fingerprint and old.claimed_at < $6)
returning seed

-- name: find
select fingerprint, answer from iam.answers where caller_id = $1 and key_hash = $2 and expires_at > $3

-- name: keep
update iam.answers set answer = $4 where caller_id = $1 and key_hash = $2 and seed = $3

-- name: release
-- The request may have had its effect: the same one may be made again, and at once.
update iam.answers set claimed_at = '-infinity' where caller_id = $1 and key_hash = $2 and seed = $3 and answer is null

-- name: forget
-- The request was refused and had no effect: the key is free again.
delete from iam.answers where caller_id = $1 and key_hash = $2 and seed = $3 and answer is null
