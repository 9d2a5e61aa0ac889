-- name: create
-- One row per zap whose runs have ended. What its runs add comes in any order; the rest is of single streams, in order.
create table zap_health (
    tenant_id         uuid not null,
    zap_id            uuid not null,
    completed         bigint not null,
    failed            bigint not null,
    last_completed_at timestamptz,
    last_failed_at    timestamptz,
    flagged_until     bigint not null,
    stream_version    int not null,
    alert_id          uuid,
    alert_position    bigint,
    alert_at          timestamptz,
    told_until        timestamptz,
    flags_told_until  bigint not null,
    quiet_until       timestamptz,
    attempts          int,
    results           text,
    retry_at          timestamptz,
    primary key (tenant_id, zap_id)
) with (fillfactor = 50);
create index zap_health_failing on zap_health (zap_id)
    where last_failed_at is not null and (last_completed_at is null or last_failed_at > last_completed_at);
create index zap_health_retry on zap_health (retry_at) where retry_at is not null;
create index zap_health_flagged on zap_health (zap_id) where flagged_until > flags_told_until;

-- name: upsert
-- What a batch adds to each zap; what is null stays as it is. Keys come sorted, so that writers cannot deadlock.
insert into zap_health as h (tenant_id, zap_id, completed, failed, last_completed_at, last_failed_at, flagged_until,
                             stream_version, alert_id, alert_position, alert_at, told_until, flags_told_until,
                             quiet_until, attempts, results, retry_at)
select * from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::timestamptz[],
                     $7::bigint[], $8::int[], $9::uuid[], $10::bigint[], $11::timestamptz[], $12::timestamptz[],
                     $13::bigint[], $14::timestamptz[], $15::int[], $16::text[], $17::timestamptz[])
on conflict (tenant_id, zap_id) do update set
    completed = h.completed + excluded.completed,
    failed = h.failed + excluded.failed,
    last_completed_at = greatest(h.last_completed_at, excluded.last_completed_at),
    last_failed_at = greatest(h.last_failed_at, excluded.last_failed_at),
    flagged_until = greatest(h.flagged_until, excluded.flagged_until),
    stream_version = greatest(h.stream_version, excluded.stream_version),
    alert_id = coalesce(excluded.alert_id, h.alert_id),
    alert_position = coalesce(excluded.alert_position, h.alert_position),
    alert_at = coalesce(excluded.alert_at, h.alert_at),
    told_until = coalesce(excluded.told_until, h.told_until),
    flags_told_until = greatest(h.flags_told_until, excluded.flags_told_until),
    quiet_until = coalesce(excluded.quiet_until, h.quiet_until),
    attempts = coalesce(excluded.attempts, h.attempts),
    results = coalesce(excluded.results, h.results),
    retry_at = case when excluded.attempts is null then h.retry_at else excluded.retry_at end

-- name: one
select completed, failed, last_completed_at, last_failed_at, alert_id, alert_at, attempts, results, retry_at
from rm.zap_health where tenant_id = $1 and zap_id = $2

-- name: pending
-- Zaps of which something is to be told at a moment: an alert that did not get through, or, `fresh`, a new flag or new
-- failures. These do not wait until channels that did not take the last alert have been tried again.
select h.tenant_id, h.zap_id, h.stream_version, h.flagged_until, h.told_until, h.alert_id, h.alert_position,
       h.attempts, h.results, h.retry_at, p.fresh
from rm.zap_health h
join (
    select tenant_id, zap_id, bool_or(fresh) as fresh from (
        select tenant_id, zap_id, false as fresh from rm.zap_health where retry_at <= $1
        union all
        select tenant_id, zap_id, true from rm.zap_health where flagged_until > flags_told_until
        union all
        select d.tenant_id, d.zap_id, true
        from rm.dead_letters d join rm.zap_health h using (tenant_id, zap_id)
        where d.total > d.told and (h.quiet_until is null or h.quiet_until <= $1)
    ) found group by tenant_id, zap_id
) p using (tenant_id, zap_id)
order by h.retry_at, h.quiet_until nulls first limit $2

-- name: failing
-- The next enabled zaps, by id, that are not flagged and whose last run to end has failed.
select h.tenant_id, h.zap_id, h.last_completed_at
from rm.zap_health h join rm.zap_list z using (tenant_id, zap_id)
where h.last_failed_at is not null and (h.last_completed_at is null or h.last_failed_at > h.last_completed_at)
  and z.status = 'enabled' and not z.flags ? 'failing:' and h.zap_id > $1
order by h.zap_id limit $2

-- name: healed
-- The next zaps, by id, that are flagged as failing, and of which a run has completed since.
select h.zap_id
from rm.zap_list z join rm.zap_health h using (tenant_id, zap_id)
where z.flags <> '{}' and z.status <> 'deleted'
  and h.last_completed_at > (z.flags -> 'failing:' ->> 'since')::timestamptz and h.zap_id > $1
order by h.zap_id limit $2
