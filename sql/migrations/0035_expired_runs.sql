-- The runs of a month that are about to be dropped, for as long as a transaction lasts: they are too many to be brought to
-- a process and back. `part`: which of the events that say what was dropped tells of it.
create unlogged table kept.expired (
    tenant_id uuid not null,
    run_id    uuid not null,
    zap_id    uuid not null,
    status    text not null,
    part      int not null
);
create index expired_runs on kept.expired (tenant_id, run_id);

-- Read models of sums from which dropped runs have not been taken out yet, since when: they are built anew.
create table proj.stale (
    projection text primary key,
    since      timestamptz not null
);

select es.grant_app();
