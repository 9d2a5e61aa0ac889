-- name: create
-- One row per step whose target answered 410 in runs that went on all the same: the last one by position, in whatever
-- order the partitions come.
create table gone_targets (
    tenant_id uuid not null,
    zap_id    uuid not null,
    step_id   text not null,
    run_id    uuid not null,
    last_at   timestamptz not null,
    position  bigint not null,
    primary key (tenant_id, zap_id, step_id)
) with (fillfactor = 70);

-- name: upsert
-- Keys come sorted, so that concurrent writers cannot deadlock.
insert into gone_targets as g (tenant_id, zap_id, step_id, run_id, last_at, position)
select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::timestamptz[], $6::bigint[])
on conflict (tenant_id, zap_id, step_id) do update set
    run_id = excluded.run_id, last_at = excluded.last_at, position = excluded.position
where excluded.position > g.position

-- name: gone
-- Steps of the next enabled zaps, by id, whose targets want no more requests, and that are not flagged for it. Of runs
-- that went on, what came before the zap's last change does not count.
select g.zap_id, g.step_id, g.run_id, g.last_at
from (
    select d.tenant_id, d.zap_id, d.step_id, d.run_id, d.last_at, '-infinity'::timestamptz as after
    from rm.dead_letters d where d.total > d.told and d.code = 'http_410' and d.zap_id > $1
    union all
    select t.tenant_id, t.zap_id, t.step_id, t.run_id, t.last_at, t.last_at from rm.gone_targets t where t.zap_id > $1
) g join rm.zap_list z using (tenant_id, zap_id)
where z.status = 'enabled' and not z.flags ? ('target_gone:' || g.step_id)
  and (g.after = '-infinity' or z.updated_at < g.after)
order by g.zap_id fetch first ($2::int) rows with ties
