-- name: create
-- One row per run that did not complete, and of which a replay has. Of several replays the one that completed first
-- counts, in whatever order the partitions come.
create table recoveries (
    tenant_id       uuid not null,
    run_id          uuid not null,
    recovered_by    uuid not null,
    group_id        uuid not null,
    failed_position bigint not null,
    position        bigint not null,
    primary key (tenant_id, run_id)
) with (fillfactor = 90);
create index recoveries_group on recoveries (tenant_id, group_id, failed_position);

-- name: upsert
-- Keys come sorted, so that concurrent writers cannot deadlock.
insert into recoveries as r (tenant_id, run_id, recovered_by, group_id, failed_position, position)
select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::bigint[])
on conflict (tenant_id, run_id) do update set
    recovered_by = excluded.recovered_by, position = excluded.position
where excluded.position < r.position

-- name: recovered_by
select recovered_by from rm.recoveries where tenant_id = $1 and run_id = $2
