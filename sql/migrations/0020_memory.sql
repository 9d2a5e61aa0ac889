-- What zaps remember from run to run. Beside the log: it changes with each run, and must be forgettable.
-- memory_totals: bytes of a tenant, and a number for each change. Its row is the tenant's turn.
create table proj.memory_totals (
    tenant_id uuid primary key,
    bytes     bigint not null,
    changes   bigint not null
) with (fillfactor = 50);

-- scope: a zap, or the tenant itself for what all its zaps share.
create table proj.memory_values (
    tenant_id  uuid not null,
    scope      uuid not null,
    key        text not null,
    value      bytea not null,
    version    bigint not null,
    size       int not null,
    expires_at timestamptz,
    primary key (tenant_id, scope, key)
) with (fillfactor = 70);
create index memory_values_expire on proj.memory_values (expires_at) where expires_at is not null;

-- Which step of which run has made its change: it is not made again.
create table proj.memory_changes (
    tenant_id uuid not null,
    operation text not null,
    output    bytea not null,
    made_at   timestamptz not null,
    primary key (tenant_id, operation)
);
create index memory_changes_made on proj.memory_changes (made_at);

-- Keys of items that were seen; operation: the step that saw them first.
create table proj.memory_seen (
    tenant_id  uuid not null,
    scope      uuid not null,
    name       text not null,
    key        bytea not null,
    operation  text not null,
    expires_at timestamptz not null,
    primary key (tenant_id, scope, name, key)
);
create index memory_seen_expire on proj.memory_seen (expires_at);

select es.grant_app();
