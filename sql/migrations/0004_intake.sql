-- What the webhook intake keeps outside the log: the secrets that senders sign with, and rate limits.

create schema hooks;

-- Encrypted with a key that the database does not have; newest first. At most two live: the new one and the old one.
create table hooks.secrets (
    zap_id     uuid primary key,
    tenant_id  uuid not null,
    boxes      bytea[] not null,
    changed_at timestamptz not null default now()
);

-- One bucket of tokens per limited zap or user. Lost in a crash of the server: buckets are full again, then.
create unlogged table hooks.buckets (
    key       uuid primary key,
    tokens    float8 not null,
    filled_at timestamptz not null
) with (fillfactor = 50);

-- Takes up to `want` tokens out of a bucket that holds a minute's worth and fills continuously.
-- Where none is left, says how many seconds it takes until there is one.
create function hooks.lease(_key uuid, _per_minute int, _want int)
returns table (granted int, retry_after_s float8) language plpgsql as $$
declare
    has float8; at timestamptz; got int;
begin
    insert into hooks.buckets (key, tokens, filled_at) values (_key, _per_minute, clock_timestamp())
    on conflict (key) do nothing;
    select b.tokens, b.filled_at into has, at from hooks.buckets b where b.key = _key for update;
    -- Read once the row is ours: a moment from before the wait would lie before the last fill.
    has := least(_per_minute, has + greatest(extract(epoch from clock_timestamp() - at), 0) * _per_minute / 60.0);
    got := least(_want, floor(has))::int;
    update hooks.buckets b set tokens = has - got, filled_at = clock_timestamp() where b.key = _key;
    return query select got, case when got > 0 then 0 else (1 - has) * 60.0 / _per_minute end::float8;
end $$;
