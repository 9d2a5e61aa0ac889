-- Requests that start no run have a part of the log of their own, of which retention drops whole months.

-- kind 2: requests that start no run, each in a stream of its own; the ids of streams carry time, as those of runs do.
create table es.events_request partition of es.events for values in (2) partition by range (stream_id);
create table es.events_request_rest partition of es.events_request default;
create trigger never_truncated before truncate on es.events_request
    for each statement execute function es.refuse_change();
create trigger never_truncated before truncate on es.events_request_rest
    for each statement execute function es.refuse_change();

-- Makes the leaf of a month (UTC) of run or request streams, unless there is one. Events that came without it went to
-- the rest leaf, and stay there.
create function es.make_month(parent text, month timestamp) returns boolean language plpgsql
set search_path = es, pg_catalog, pg_temp
as $$
declare
    leaf text := parent || '_' || to_char(month, 'YYYYMM');
begin
    if to_regclass('es.' || leaf) is not null then
        return false;
    end if;
    execute format('create table es.%I partition of es.%I for values from (%L) to (%L)', leaf, parent,
        es.first_uuid_at(month at time zone 'UTC'), es.first_uuid_at((month + interval '1 month') at time zone 'UTC'));
    execute format('create trigger never_truncated before truncate on es.%I
                    for each statement execute function es.refuse_change()', leaf);
    return true;
exception when check_violation then
    raise warning 'streams of % stay in es.%_rest', leaf, parent;
    return false;
end $$;

-- A leaf is made under an exclusive lock on its parent, and whoever waits for that has all appends wait behind it:
-- behind a backup, for as long as that takes. So it gives up soon (lock_not_available); months are made far ahead.
create function es.ensure_months_of(parent text, ahead int) returns int language plpgsql
set search_path = es, pg_catalog, pg_temp set lock_timeout = '200ms'
as $$
declare
    made int := 0;
begin
    perform pg_advisory_xact_lock(7301, 4);
    for i in 0..least(ahead, 60) loop
        made := made + es.make_month(
            parent, date_trunc('month', now() at time zone 'UTC') + make_interval(months => i))::int;
    end loop;
    return made;
end $$;

create or replace function es.ensure_run_months(ahead int) returns int language sql
security definer set search_path = es, pg_catalog, pg_temp
as $$ select es.ensure_months_of('events_run', ahead) $$;

create function es.ensure_request_months(ahead int) returns int language sql
security definer set search_path = es, pg_catalog, pg_temp
as $$ select es.ensure_months_of('events_request', ahead) $$;

-- The oldest month of requests that was over at a moment; null where there is none.
create function es.oldest_request_month(_before timestamptz) returns date language sql stable
set search_path = es, pg_catalog, pg_temp
as $$
    select min(to_date(right(c.relname, 6), 'YYYYMM'))
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'es.events_request'::regclass and c.relname ~ '_\d{6}$'
      and (to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month') at time zone 'UTC' <= _before
$$;

-- Drops the leaf of a month of requests, and keeps on record what the hash chain is made of. Gives the number of events.
-- Whoever asks, it drops nothing that ended in the last six days.
create function es.drop_request_month(month date) returns bigint language plpgsql
security definer set search_path = es, pg_catalog, pg_temp set lock_timeout = '200ms'
as $$
declare
    leaf text := 'events_request_' || to_char(month, 'YYYYMM'); gone bigint;
begin
    if (date_trunc('month', month::timestamp) + interval '1 month') at time zone 'UTC' > now() - interval '6 days' then
        raise exception 'requests of % are too new to be dropped', to_char(month, 'YYYY-MM')
            using errcode = 'insufficient_privilege';
    end if;
    execute format('insert into es.dropped_events select position, version, hash, recorded_at from es.%I', leaf);
    get diagnostics gone = row_count;
    execute format('drop table es.%I', leaf);
    return gone;
end $$;

revoke all on function es.make_month, es.ensure_months_of, es.ensure_request_months, es.drop_request_month from public;

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
        es.drop_timer, es.put_off_timer, proj.create_build_schema to triggerhub_app;
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
select es.ensure_request_months(1);
select es.grant_app();
