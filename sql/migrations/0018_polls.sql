-- What is known of the sources that triggers poll. Beside the log: it changes with each poll, and must not make the log
-- grow when nothing is new. source: a fingerprint of the trigger's config, as far as it says which source it is, so that
-- edits and publishes keep what is known. version: counts the polls, so that of two at once one is kept.
create table proj.polls (
    zap_id        uuid not null,
    source        bytea not null,
    tenant_id     uuid not null,
    trigger_id    text not null,
    version       bigint not null,
    known         bytea not null,
    place         text not null,
    beginning     boolean not null,
    failures      int not null,
    problem       text not null,
    last_at       timestamptz,
    last_ok_at    timestamptz,
    last_new_at   timestamptz,
    empties       int not null,
    empties_since timestamptz,
    told          text,
    told_at       timestamptz,
    next_at       timestamptz,
    primary key (zap_id, source)
) with (fillfactor = 70);
create index polls_last_at on proj.polls (last_at);

-- How far the log was read for failures that zaps listen to.
create table proj.listened (
    alone    boolean primary key check (alone),
    position bigint not null
);
select es.grant_app();
