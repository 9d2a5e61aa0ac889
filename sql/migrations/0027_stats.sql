-- Statistics of months whose events have gone: what the read model `stats` had of them, which no rebuild brings back.

create table proj.sealed_stats (
    tenant_id uuid not null,
    zap_id    uuid not null,
    width     text not null,
    at        timestamptz not null,
    step_id   text not null,
    cell      text not null,
    count     bigint not null,
    primary key (tenant_id, zap_id, width, at, step_id, cell)
);

select es.grant_app();
