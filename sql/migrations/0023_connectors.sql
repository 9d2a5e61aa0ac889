-- Connectors that workspaces have added: beside the log, as they may be large, and can be added again. A version never
-- changes. number: counts the versions of a connector. document: an action with all that it needs, as the runner reads
-- it; item: the same as the catalog lists it.
create table proj.connectors (
    tenant_id   uuid not null,
    name        text not null,
    version     text not null,
    number      int not null,
    source      text not null,
    title       text not null,
    description text not null,
    icon        text not null,
    kinds       text[] not null,
    file        bytea not null,
    sha256      bytea not null,
    actions     int not null,
    created_at  timestamptz not null default now(),
    primary key (tenant_id, name, version)
);

create table proj.connector_actions (
    tenant_id uuid not null,
    name      text not null,
    version   text not null,
    id        text not null,
    document  bytea not null,
    item      bytea not null,
    primary key (tenant_id, name, version, id)
);

select es.grant_app();
