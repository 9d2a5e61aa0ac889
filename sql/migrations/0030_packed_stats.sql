-- Statistics of months whose events have gone: all that is counted of one bucket is one row, as in the read model `stats`,
-- so that a month by hour is 744 rows of a zap. It has that one's name, so that the same statements write both.

create table proj.stats (
    tenant_id uuid not null,
    zap_id    uuid not null,
    width     text not null,
    at        timestamptz not null,
    step_id   text not null,
    sums      bytea not null,
    primary key (tenant_id, zap_id, width, at, step_id)
);
alter table proj.stats alter sums set storage main;

insert into proj.stats
select tenant_id, zap_id, width, at, step_id, convert_to(
    json_build_array(
        coalesce(json_object_agg(substr(cell, 10), count) filter (where cell like 'requests:%'), '{}'),
        coalesce(json_object_agg(substr(cell, 6), count) filter (where cell like 'runs:%'), '{}'),
        coalesce(json_object_agg(substr(cell, 7), count) filter (where cell like 'queue:%'), '{}'),
        coalesce(json_object_agg(substr(cell, 6), count) filter (where cell like 'took:%'), '{}')
    )::text, 'UTF8')
from proj.sealed_stats group by tenant_id, zap_id, width, at, step_id;

drop table proj.sealed_stats;
drop table kept.stats;
create unlogged table kept.stats (like proj.stats including all);

select es.grant_app();
