-- Triggers that start by themselves: several timers for a zap, and turns that are fair between tenants.

-- since: what was due up to then has been seen to; null before the first look. Timers of runs have none.
alter table es.timers add column since timestamptz;
update es.timers set since = due_at - interval '1 second' where kind = 0 and due_at > '1970-01-02';
create index timers_tenant on es.timers (tenant_id, due_at);

-- Forgets a timer that nobody waits for any more: the last event of its run is an end, or its run is gone; or its zap has
-- been published, enabled, paused or deleted since.
create or replace function es.drop_timer(_timer uuid) returns boolean language plpgsql
security definer set search_path = es, pg_catalog, pg_temp
as $$
begin
    delete from es.timers t where t.timer_id = _timer and t.kind = 1 and coalesce((
        select e.type from es.events e where e.kind = t.kind and e.stream_id = t.stream_id order by e.version desc limit 1
    ), '') in ('', 'zap.run.completed', 'zap.run.filtered', 'zap.run.failed', 'zap.run.timed_out', 'zap.run.cancelled');
    if found then
        return true;
    end if;
    delete from es.timers t where t.timer_id = _timer and t.kind = 0 and exists (
        select from es.events set_by join es.events e using (kind, stream_id)
        where set_by.kind = t.kind and set_by.stream_id = t.stream_id and set_by.event_id = t.timer_id
          and e.version > set_by.version
          and e.type in ('zap.published', 'zap.rolled_back', 'zap.enabled', 'zap.paused', 'zap.deleted')
    );
    return found;
end $$;

-- Puts timers off, each to its next turn; what was due until _since has been seen to.
create function es.put_off_timers(_timers uuid[], _until timestamptz[], _since timestamptz) returns void language sql
security definer set search_path = es, pg_catalog, pg_temp
as $$
    update es.timers t set due_at = u.until, since = greatest(t.since, _since)
    from unnest(_timers, _until) u(timer_id, until) where t.timer_id = u.timer_id and t.due_at < u.until
$$;

-- Has a timer for whoever asks first, until a moment; true for that one. It names the timer as it was seen.
create function es.claim_timer(_timer uuid, _due timestamptz, _until timestamptz) returns boolean language plpgsql
security definer set search_path = es, pg_catalog, pg_temp
as $$
begin
    update es.timers set due_at = _until where timer_id = _timer and due_at = _due;
    return found;
end $$;

-- Has all schedules worked out anew, because the rules of time zones have changed.
create function es.look_at_schedules() returns void language sql
security definer set search_path = es, pg_catalog, pg_temp
as $$
    update es.timers set due_at = 'epoch' where kind = 0 and since is not null
$$;
revoke all on function es.put_off_timers, es.claim_timer, es.look_at_schedules from public;

-- The rules of time zones by which schedules were worked out last.
create table proj.zone_rules (version text not null);

-- Gives triggerhub_app what it needs, where that role exists; may be asked again at any time, for instance after an
-- administrator has created the role because the owner may not. What the owner built of read models becomes its.
create or replace function es.grant_app() returns boolean language plpgsql as $$
declare
    made record;
begin
    if not exists (select from pg_roles where rolname = 'triggerhub_app') then
        return false;
    end if;
    grant usage on schema es, relay, proj, rm, iam, hooks to triggerhub_app;
    grant select on all tables in schema es to triggerhub_app;
    grant delete on es.dedupe to triggerhub_app;
    grant select, update on relay.checkpoint to triggerhub_app;
    grant select, insert, update, delete on all tables in schema proj, iam, hooks to triggerhub_app;
    grant create on schema rm to triggerhub_app;
    grant select on public.triggerhub_migrations to triggerhub_app;
    grant execute on function es.append, es.ensure_run_months, es.ensure_request_months, es.drop_request_month,
        es.drop_timer, es.put_off_timer, es.put_off_timers, es.claim_timer, es.look_at_schedules,
        proj.create_build_schema to triggerhub_app;
    if pg_has_role(current_user, 'triggerhub_app', 'member') then
        for made in
            select 'schema' as kind, format('%I', nspname) as name from pg_namespace where nspname ~ '^rm_.+_v\d+$'
            union all
            select case relkind when 'v' then 'view' else 'table' end, format('%I.%I', nspname, relname)
            from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where nspname ~ '^rm(_.+_v\d+)?$' and relkind in ('r', 'v')
        loop
            execute format('alter %s %s owner to triggerhub_app', made.kind, made.name);
        end loop;
    end if;
    return true;
end $$;
revoke all on function es.grant_app from public;
select es.grant_app();
