-- Answers to requests that came with an Idempotency-Key: a repeat gets the same one, and has no further effect.
-- `seed` is where the ids come from that the request makes, so that a request that was cut short makes the same ones
-- when it is repeated. `answer` is encrypted, null while the first request is under way, empty where it was too large.

create table iam.answers (
    caller_id     uuid not null,
    key_hash    bytea not null,
    fingerprint bytea not null,
    seed        uuid not null,
    claimed_at  timestamptz not null,
    expires_at  timestamptz not null,
    answer      bytea,
    primary key (caller_id, key_hash)
);
create index answers_expires_at on iam.answers (expires_at);

select es.grant_app();
