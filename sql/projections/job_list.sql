-- name: create
-- Job ids are UUIDv7, so the primary key also serves a tenant's jobs newest first.
create table job_list (
    tenant_id      uuid not null,
    job_id         uuid not null,
    kind           text not null,
    status         text not null,
    filter         text not null,
    from_step      text,
    version        text not null,
    rate_per_s     int not null,
    total          int not null,
    done           int not null,
    skipped        int not null,
    failed         int not null,
    problem        text not null,
    requested_at   timestamptz not null,
    updated_at     timestamptz not null,
    position       bigint not null,
    stream_version int not null,
    primary key (tenant_id, job_id)
) with (fillfactor = 70);
create index job_list_open on job_list (job_id) where status in ('running', 'paused');

-- name: insert
-- New jobs, as they stand after the batch. Keys come sorted, so that concurrent writers cannot deadlock.
insert into job_list (tenant_id, job_id, kind, status, filter, from_step, version, rate_per_s, total, done, skipped,
                      failed, problem, requested_at, updated_at, position, stream_version)
select tenant_id, job_id, kind, coalesce(status, 'running'), filter, from_step, version, rate_per_s,
       greatest(total, done + skipped + failed), coalesce(done, 0), coalesce(skipped, 0), coalesce(failed, 0),
       coalesce(problem, ''), requested_at, updated_at, position, stream_version
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::int[], $9::int[],
            $10::int[], $11::int[], $12::int[], $13::text[], $14::timestamptz[], $15::timestamptz[], $16::bigint[],
            $17::int[])
     u(tenant_id, job_id, kind, status, filter, from_step, version, rate_per_s, total, done, skipped, failed, problem,
       requested_at, updated_at, position, stream_version)
on conflict (tenant_id, job_id) do nothing

-- name: update
-- What the batch changed in jobs that were there before; what is null stays as it is.
update job_list j
set status = coalesce(u.status, j.status), total = greatest(j.total, u.done + u.skipped + u.failed),
    done = coalesce(u.done, j.done), skipped = coalesce(u.skipped, j.skipped), failed = coalesce(u.failed, j.failed),
    problem = coalesce(u.problem, j.problem), updated_at = u.updated_at, position = u.position,
    stream_version = u.stream_version
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::int[], $5::int[], $6::int[], $7::text[], $8::timestamptz[],
            $9::bigint[], $10::int[])
     u(tenant_id, job_id, status, done, skipped, failed, problem, updated_at, position, stream_version)
where j.tenant_id = u.tenant_id and j.job_id = u.job_id and j.stream_version < u.stream_version

-- name: page
-- A tenant's jobs, newest first.
select job_id, kind, status, filter, from_step, version, rate_per_s, total, done, skipped, failed, problem,
       requested_at, updated_at, position
from rm.job_list
where tenant_id = $1 and job_id < coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
order by job_id desc limit $3

-- name: running
-- Jobs of all tenants that somebody should work on: the oldest of each tenant, then the second of each, and so on.
select job_id, tenant_id from rm.job_list where status = 'running'
order by row_number() over (partition by tenant_id order by job_id), job_id

-- name: open_count
-- How many jobs a tenant has that are not at their end.
select count(*) from rm.job_list where tenant_id = $1 and status in ('running', 'paused')
