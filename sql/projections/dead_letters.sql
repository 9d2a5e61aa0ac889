-- name: create
-- One row per cause: all failures of a zap at one step with one code. Events of several partitions come in any order
-- here, so each column is a sum, a smallest, a largest, or the last by position.
create table dead_letters (
    tenant_id         uuid not null,
    group_id          uuid not null,
    zap_id            uuid not null,
    step_id           text not null,
    code              text not null,
    message           text not null,
    run_id            uuid,
    total             bigint not null,
    of_alerts         bigint not null,
    first_at          timestamptz,
    last_at           timestamptz,
    last_position     bigint not null,
    resolved          bigint not null,
    resolved_position bigint not null,
    note              text not null,
    note_position     bigint not null,
    told              bigint not null,
    told_of_alerts    bigint not null,
    primary key (tenant_id, group_id)
) with (fillfactor = 70);
create index dead_letters_last on dead_letters (tenant_id, last_position);
create index dead_letters_zap on dead_letters (tenant_id, zap_id, last_position);
create index dead_letters_untold on dead_letters (tenant_id, zap_id) where total > told;

-- name: upsert
-- What a batch adds to each group. Keys come sorted, so that concurrent writers cannot deadlock.
insert into dead_letters as d (tenant_id, group_id, zap_id, step_id, code, message, run_id, total, of_alerts, first_at,
                               last_at, last_position, resolved, resolved_position, note, note_position, told,
                               told_of_alerts)
select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::bigint[],
                     $9::bigint[], $10::timestamptz[], $11::timestamptz[], $12::bigint[], $13::bigint[], $14::bigint[],
                     $15::text[], $16::bigint[], $17::bigint[], $18::bigint[])
on conflict (tenant_id, group_id) do update set
    message = case when excluded.last_position > d.last_position then excluded.message else d.message end,
    run_id = case when excluded.last_position > d.last_position then excluded.run_id else d.run_id end,
    total = d.total + excluded.total,
    of_alerts = d.of_alerts + excluded.of_alerts,
    first_at = least(d.first_at, excluded.first_at),
    last_at = greatest(d.last_at, excluded.last_at),
    last_position = greatest(d.last_position, excluded.last_position),
    resolved = greatest(d.resolved, excluded.resolved),
    resolved_position = greatest(d.resolved_position, excluded.resolved_position),
    note = case when excluded.note_position > d.note_position then excluded.note else d.note end,
    note_position = greatest(d.note_position, excluded.note_position),
    told = greatest(d.told, excluded.told),
    told_of_alerts = greatest(d.told_of_alerts, excluded.told_of_alerts)

-- name: forget
-- The message of a group is that of its last failure.
update dead_letters d set message = ''
from unnest($1::uuid[], $2::uuid[]) f(tenant_id, run_id) where d.tenant_id = f.tenant_id and d.run_id = f.run_id

-- name: page
-- A tenant's groups, those with the latest failures first. Failures that a replay has made up for do not count, unless
-- they are asked for; `since` are those of them that came after the group was resolved.
select group_id, zap_id, step_id, code, message, run_id, total, resolved, told, first_at, last_at, note, last_position,
       r.recovered, r.since
from rm.dead_letters d
cross join lateral (
    select count(*) as recovered, count(*) filter (where c.failed_position > d.resolved_position) as since
    from rm.recoveries c where c.tenant_id = d.tenant_id and c.group_id = d.group_id
) r
where tenant_id = $1 and total > 0 and last_position < coalesce($4::bigint, 9223372036854775807)
  and ($2::uuid is null or zap_id = $2)
  and ($6::boolean or total > r.recovered)
  and ($3::boolean is null or (total > resolved + case when $6 then 0 else r.since end) = $3)
order by last_position desc limit $5

-- name: one
select group_id, zap_id, step_id, code, message, run_id, total, resolved, told, first_at, last_at, note, last_position,
       r.recovered, r.since
from rm.dead_letters d
cross join lateral (
    select count(*) as recovered, count(*) filter (where c.failed_position > d.resolved_position) as since
    from rm.recoveries c where c.tenant_id = d.tenant_id and c.group_id = d.group_id
) r
where tenant_id = $1 and group_id = $2 and total > 0

-- name: unreported
-- A zap's groups of which not all failures were told of, the largest first.
select step_id, code, message, run_id, first_at, last_at, total, of_alerts, told, told_of_alerts
from rm.dead_letters
where tenant_id = $1 and zap_id = $2 and total > told
order by total - told desc, group_id limit $3
