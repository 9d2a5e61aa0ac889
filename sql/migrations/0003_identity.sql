-- Users, sessions and API keys: plain tables, not events, so that a person can be erased.

create schema iam;

create table iam.users (
    user_id       uuid primary key,
    email         text not null,
    name          text not null,
    password_hash text not null,
    created_at    timestamptz not null default now()
);
create unique index users_email on iam.users (lower(email));

-- One row per signed-in device. The refresh token is rotated at each use; only its hash is kept.
-- previous_hash lets a reuse of the token before last be told from a random guess: it ends the session.
create table iam.sessions (
    session_id    uuid primary key,
    user_id       uuid not null references iam.users on delete cascade,
    refresh_hash  bytea not null,
    previous_hash bytea,
    rotated_at    timestamptz not null default now(),
    expires_at    timestamptz not null
);
create unique index sessions_refresh_hash on iam.sessions (refresh_hash);
create unique index sessions_previous_hash on iam.sessions (previous_hash);
create index sessions_user on iam.sessions (user_id);

create table iam.api_keys (
    key_id       uuid primary key,
    user_id      uuid not null references iam.users on delete cascade,
    name         text not null,
    prefix       text not null,
    key_hash     bytea not null unique,
    created_at   timestamptz not null default now()
);
create index api_keys_user on iam.api_keys (user_id);
