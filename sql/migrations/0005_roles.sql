-- Two roles: the owner, who migrates, and triggerhub_app, as which every process may run. It can not log in until
-- somebody says so: alter role triggerhub_app login password '...';
-- It appends through es.append, whose rights are the owner's, and may change nothing of the log by itself.

-- Creates a build's schema for whoever asks, who needs no right to create others.
create function proj.create_build_schema(_projection text, _version int) returns void language plpgsql
security definer set search_path = pg_catalog, pg_temp
as $$
begin
    execute format('create schema %I authorization %I', proj.build_schema(_projection, _version), session_user);
end $$;

-- Whatever is not the live build was left by a crash.
create or replace function proj.begin_build(_projection text) returns int language plpgsql as $$
declare
    live int := coalesce((select version from proj.projections where projection = _projection), 0);
    found record;
begin
    for found in
        select substring(nspname from '_v(\d+)$')::int as version from pg_namespace
        where nspname ~ format('^rm_%s_v\d+$', _projection)
    loop
        if found.version <> live then
            perform proj.drop_build(_projection, found.version);
        end if;
    end loop;
    delete from proj.parked where consumer = _projection and version <> live;
    perform proj.create_build_schema(_projection, live + 1);
    return live + 1;
end $$;

alter function es.ensure_run_months(int) security definer set search_path = es, pg_catalog, pg_temp;

-- Gives triggerhub_app what it needs, where that role exists; may be asked again at any time, for instance after an
-- administrator has created the role because the owner may not. What the owner built of read models becomes its.
create function es.grant_app() returns boolean language plpgsql as $$
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
    grant execute on function es.append, es.ensure_run_months, proj.create_build_schema to triggerhub_app;
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

revoke all on function es.append, es.ensure_run_months, es.grant_app, proj.create_build_schema from public;

do $$ begin
    if not exists (select from pg_roles where rolname = 'triggerhub_app') then
        create role triggerhub_app nologin;
        grant triggerhub_app to current_user;
    end if;
exception
    when insufficient_privilege then raise notice 'create the role triggerhub_app, then: select es.grant_app()';
    when duplicate_object or unique_violation then null; -- made for another database at the same moment
end $$;
select es.grant_app();
