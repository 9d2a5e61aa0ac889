-- name: add_user
-- A new account; no row comes back where the address is taken, in any of its spellings.
insert into iam.users (user_id, email, name, password_hash)
select $1, $2, $3, $4 where not exists (select from iam.users where lower(email) = any($5::text[]))
on conflict do nothing returning user_id

-- name: remove_user
-- Takes back an account whose sign-up could not be recorded in the log.
delete from iam.users where user_id = $1

-- name: user_by_email
-- The account with this address; of two that have it in different spellings, the one whose spelling comes first.
select user_id, email, name, password_hash from iam.users where lower(email) = any($1::text[])
order by array_position($1::text[], lower(email)) limit 1

-- name: has_users
select 1 from iam.users limit 1

-- name: user_by_id
select user_id, email, name from iam.users where user_id = $1

-- name: add_session
-- A signed-in device. A user keeps the newest sessions; see prune_sessions.
insert into iam.sessions (session_id, user_id, refresh_hash, expires_at, device) values ($1, $2, $3, $4, $5)

-- name: prune_sessions
-- Forget a user's sessions that have ended, and all but the newest $2.
delete from iam.sessions where user_id = $1 and (expires_at <= now() or session_id not in (
    select session_id from iam.sessions where user_id = $1 order by session_id desc limit $2))

-- name: rotate_session
-- Trade the current refresh token for the next; of racing callers one gets the row, the others none.
update iam.sessions
set previous_hash = refresh_hash, refresh_hash = $3, rotated_at = now(), expires_at = $4
where session_id = $1 and refresh_hash = $2 and expires_at > now()
returning user_id

-- name: session_rotated_since
-- The session that traded this very token after a moment: its reply may have been lost.
select user_id from iam.sessions
where session_id = $1 and previous_hash = $2 and rotated_at > now() - $3::interval and expires_at > now()

-- name: end_session
delete from iam.sessions where session_id = $1 returning user_id

-- name: sessions_of
select session_id, device, rotated_at, expires_at from iam.sessions
where user_id = $1 and expires_at > now() order by session_id desc

-- name: password_of
select email, password_hash from iam.users where user_id = $1

-- name: change_password
update iam.users set password_hash = $2 where user_id = $1

-- name: session_user
-- Whose session this is, while it lasts.
select user_id from iam.sessions where session_id = $1 and user_id = $2 and expires_at > now()

-- name: lasting
-- Of some sessions and API keys, those that are still good.
select session_id from iam.sessions where session_id = any($1::uuid[]) and expires_at > now()
union all
select key_id from iam.api_keys where key_id = any($1::uuid[])

-- name: add_api_key
-- A new key, unless the user has $6 already.
insert into iam.api_keys (key_id, user_id, name, prefix, key_hash, scopes)
select $1, $2, $3, $4, $5, $7::text[] where (select count(*) from iam.api_keys where user_id = $2) < $6
returning created_at

-- name: api_keys
select key_id, name, prefix, scopes, created_at from iam.api_keys
where user_id = $1 and ($2::uuid is null or key_id < $2) order by key_id desc limit $3

-- name: delete_api_key
delete from iam.api_keys where user_id = $1 and key_id = $2 returning key_id

-- name: api_key_owner
select key_id, user_id, scopes, name from iam.api_keys where key_hash = $1

-- name: guesses_closed_for
-- For how many seconds nobody may try any of these keys; null when all may be tried now.
select extract(epoch from max(closed_until) - now())::float8 from iam.failed_guesses
where key = any($1::bytea[]) and closed_until > now()

-- name: guess_failed
-- Counts a failure for each key; beyond $2 within an hour of each other, each closes the key for twice as long as the
-- one before, from a second to $3. Forgets some that are over.
with forgotten as (
    delete from iam.failed_guesses where key in (
        select key from iam.failed_guesses where failed_at < now() - interval '1 hour' limit 20
        for update skip locked)
    and key <> all($1::bytea[]))
insert into iam.failed_guesses as f (key, failures, failed_at, closed_until)
select k.key, 1, now(), now() from unnest($1::bytea[], $2::int[], $3::int[]) k (key, free, longest_s)
on conflict (key) do update set
    failures = case when f.failed_at < now() - interval '1 hour' then 1 else f.failures + 1 end,
    failed_at = now(),
    closed_until = now() + interval '1 second' * (
        select case
            when f.failed_at < now() - interval '1 hour' or f.failures < k.free then 0
            else least(k.longest_s, 2 ^ least(f.failures - k.free, 20)) end
        from unnest($1::bytea[], $2::int[], $3::int[]) k (key, free, longest_s) where k.key = f.key)

-- name: guess_worked
delete from iam.failed_guesses where key = $1
