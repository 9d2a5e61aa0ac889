-- Connections: what zaps call others with. The log has what they are, and who changed them; secrets are here, as they
-- must be forgettable, sealed with a data key per workspace, which is itself sealed under the installation's key.

create table iam.data_keys (
    tenant_id uuid primary key,
    box       bytea not null,
    made_at   timestamptz not null default now()
);

-- secrets: what the user has given; tokens: what OAuth has given for it, both sealed. token_version counts the tokens,
-- so that of several processes one refreshes them; lease_until is its time to do so.
-- position: of the last event of the connection; named_at: of the last change of a zap that names it.
create table iam.connections (
    connection_id     uuid primary key,
    tenant_id         uuid not null,
    name              text not null,
    kind              text not null,
    config            text not null,
    secrets           bytea not null,
    tokens            bytea,
    token_version     bigint not null default 0,
    lease_until       timestamptz,
    status            text not null default 'untested' check (status in ('ok', 'untested', 'needs_reconnect', 'failed')),
    expires_at        timestamptz,
    last_used_at      timestamptz,
    last_refreshed_at timestamptz,
    position          bigint not null,
    named_at          bigint not null default 0
) with (fillfactor = 80);
create index connections_of_tenant on iam.connections (tenant_id, connection_id);

select es.grant_app();
