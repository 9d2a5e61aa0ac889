-- What a draft would have done with runs that were, by job and run. It can be made again, so it is no part of the log, and
-- is deleted after a month.

create table proj.backtests (
    job_id      uuid not null,
    run_id      uuid not null,
    tenant_id   uuid not null,
    verdict     text not null,
    then_status text not null,
    now_status  text not null,
    steps       jsonb not null,
    comparison  bytea not null,
    made_at     timestamptz not null default now(),
    primary key (job_id, run_id)
);
create index backtests_made_at on proj.backtests (made_at);

select es.grant_app();
