-- name: next_due
-- When the next timer is due, or the longest overdue was: the look that an idle system takes.
select min(due_at) from es.timers

-- name: due
-- Timers whose time has come, the longest overdue first, with the last event of their streams (null: the stream is
-- gone), and whether the stream's first event has set them. Without those that another scheduler has in hand, until this
-- transaction ends; es.append decides about firing all the same. Materialized: the lock is taken of what is given only.
--
-- While many are due, the next $4 tenants behind $3 share half of what is given before: no crowd of one makes the others
-- wait. The last column is the tenant behind which the next turns begin; null for the beginning. Tenants take turns in
-- what is given, too.
with recursive tenants as (
    (select t.tenant_id, 1 as n from es.timers t where $4 > 0 and t.tenant_id > $3 order by t.tenant_id limit 1)
    union all
    select (select t.tenant_id from es.timers t where t.tenant_id > p.tenant_id order by t.tenant_id limit 1), p.n + 1
    from tenants p where p.tenant_id is not null and p.n < $4
),
turns as materialized (
    select * from (
        select o.* from tenants p cross join lateral (
            select * from es.timers t where t.tenant_id = p.tenant_id and t.due_at <= $1 order by t.due_at
            limit greatest(1, $2 / 2 / (select nullif(count(*), 0) from tenants))
        ) o offset 0
    ) t where pg_try_advisory_xact_lock(7302, hashtext(t.timer_id::text)) limit $2 / 2
),
oldest as materialized (
    select * from (select * from es.timers where due_at <= $1 order by due_at offset 0) t
    where not exists (select from turns where turns.timer_id = t.timer_id)
      and pg_try_advisory_xact_lock(7302, hashtext(t.timer_id::text))
    limit $2 - (select count(*) from turns)
)
select t.timer_id, t.due_at, t.kind, t.stream_id, t.ordering_key, t.tenant_id, t.since,
       last.event_id, last.type, last.schema_version, last.version,
       exists (select from es.events f where f.kind = t.kind and f.stream_id = t.stream_id and f.version = 1
               and f.event_id = t.timer_id),
       (select p.tenant_id from tenants p order by p.n desc limit 1)
from (select * from turns union all select * from oldest) t
left join lateral (
    select e.event_id, e.type, e.schema_version, e.version from es.events e
    where e.kind = t.kind and e.stream_id = t.stream_id order by e.version desc limit 1
) last on true
order by row_number() over (partition by t.tenant_id order by t.due_at), t.due_at

-- name: give_up_soon
-- A scheduler that stands still in the middle of firing holds its timers no longer than this.
set local idle_in_transaction_session_timeout = '5s'

-- name: drop
-- Forget a timer whose run has ended.
select es.drop_timer($1)

-- name: put_off
-- Look at a timer again at a later moment.
select es.put_off_timer($1, $2)

-- name: put_off_each
-- Look at timers of zaps again at their next turns; what was due until a moment has been seen to.
select es.put_off_timers($1::uuid[], $2::timestamptz[], $3)

-- name: runs_of
-- The runs that ticks have, by their dedupe keys.
select key, stream_id from es.dedupe where key = any($1::bytea[])

-- name: zone_rules
-- The rules of time zones by which schedules were worked out last; null for none.
select min(version) from proj.zone_rules

-- name: look_at_schedules
-- Have all schedules worked out anew.
select es.look_at_schedules()

-- name: forget_zone_rules
delete from proj.zone_rules

-- name: set_zone_rules
insert into proj.zone_rules values ($1)
