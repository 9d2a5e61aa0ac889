-- What the runner and the scheduler keep beside the log.

-- Open runs of serial zaps: of each ordering key the first one runs, the others wait. position: of the run's request.
create table proj.serial_runs (
    ordering_key uuid not null,
    position     bigint not null,
    run_id       uuid not null,
    primary key (ordering_key, position)
);

-- Forgets a timer that nobody waits for any more: the last event of its run is an end.
create function es.drop_timer(_timer uuid) returns boolean language plpgsql
security definer set search_path = es, pg_catalog, pg_temp
as $$
begin
    delete from es.timers t where t.timer_id = _timer and (
        select e.type from es.events e where e.kind = t.kind and e.stream_id = t.stream_id order by e.version desc limit 1
    ) in ('zap.run.completed', 'zap.run.failed', 'zap.run.timed_out', 'zap.run.cancelled');
    return found;
end $$;

-- Has a timer looked at again later: its run can not be read by this release, or is damaged.
create function es.put_off_timer(_timer uuid, _until timestamptz) returns void language sql
security definer set search_path = es, pg_catalog, pg_temp
as $$
    update es.timers set due_at = _until where timer_id = _timer and due_at < _until
$$;

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
    grant execute on function es.append, es.ensure_run_months, es.drop_timer, es.put_off_timer,
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
revoke all on function es.drop_timer, es.put_off_timer, es.grant_app from public;
select es.grant_app();
