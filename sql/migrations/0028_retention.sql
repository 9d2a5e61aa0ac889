-- Runs whose time is over leave the log: a month of which nothing is kept by dropping its leaf, others row by row.

-- drop_id: the stream of the event that says what was dropped, with the digest over all that it says so of. Null for
-- requests, whose months go as a whole.
alter table es.dropped_events add column drop_id uuid;
create index dropped_events_drop_id on es.dropped_events (drop_id) where drop_id is not null;

-- Statistics of a part of the log, for as long as a transaction lasts: written as the read model is, by that name.
create schema kept;
create unlogged table kept.stats (like proj.sealed_stats including all);

-- Of a stored event nothing may change but the payload, and that only of one that is on record as forgotten; and of runs'
-- events those may go that are on record as dropped. What was dropped may come back.
create or replace function es.refuse_change() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' and tg_table_name ~ '^events_' then
        if to_jsonb(old) - 'data' = to_jsonb(new) - 'data'
           and exists (select from es.forgotten_events f where f.position = new.position) then
            return new;
        end if;
    elsif tg_op = 'DELETE' and tg_table_name ~ '^events_run' then
        if exists (select from es.dropped_events d where d.position = old.position and d.hash = old.hash) then
            return old;
        end if;
    elsif tg_op = 'DELETE' and tg_table_name = 'dropped_events' then
        if exists (select from es.events e where e.position = old.position and e.hash = old.hash) then
            return old;
        end if;
    end if;
    raise exception 'the event log is append-only: % on % refused', tg_op, tg_table_name
        using errcode = 'insufficient_privilege';
end $$;

-- Months of runs that were over at a moment, oldest first, with how many rows they have by the last estimate.
create function es.run_months(_before timestamptz) returns table (month date, rows bigint) language sql stable
set search_path = es, pg_catalog, pg_temp
as $$
    select to_date(right(c.relname, 6), 'YYYYMM'), greatest(c.reltuples, 0)::bigint
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'es.events_run'::regclass and c.relname ~ '_\d{6}$'
      and (to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month') at time zone 'UTC' <= _before
    order by 1
$$;

-- Puts on record what is to be dropped of a month: runs that have ended, each with its drop. Gives by drop how many
-- events, and the digest over position, version and hash of each.
create function es.set_runs_aside(_month date, _runs uuid[], _drops uuid[])
returns table (drop_id uuid, events bigint, digest text)
language plpgsql security definer set search_path = es, pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    leaf text := 'events_run_' || to_char(_month, 'YYYYMM'); ended bigint;
begin
    if (date_trunc('month', _month::timestamp) + interval '1 month') at time zone 'UTC' > now() then
        raise exception 'runs of % are too new to be dropped', to_char(_month, 'YYYY-MM')
            using errcode = 'insufficient_privilege';
    end if;
    execute format(
        'select count(*) from es.%I where stream_id = any($1) and type in
         (''zap.run.completed'', ''zap.run.filtered'', ''zap.run.failed'', ''zap.run.timed_out'', ''zap.run.cancelled'')',
        leaf) using _runs into ended;
    if ended <> cardinality(_runs) then
        raise exception 'runs that are under way, or of another month, are not dropped' using errcode = 'insufficient_privilege';
    end if;
    execute format(
        'insert into es.dropped_events (position, version, hash, recorded_at, drop_id)
         select e.position, e.version, e.hash, e.recorded_at, r.drop_id
         from unnest($1, $2) r(run_id, drop_id) join es.%I e on e.stream_id = r.run_id', leaf) using _runs, _drops;
    return query
    select d.drop_id, count(*),
           encode(sha256(string_agg(int8send(d.position) || int4send(d.version) || d.hash, '' order by d.position)), 'hex')
    from es.dropped_events d where d.drop_id in (select distinct x from unnest(_drops) x) group by d.drop_id;
end $$;

-- Drops what was set aside, and stores the events that say so (one a stream, as es.append takes them); in the transaction
-- that has set it aside. Where the whole month goes its leaf does: then the log is locked, for as long as that takes,
-- and not waited for longer than 100 ms at a time. True where it was the leaf.
create function es.drop_runs_aside(
    _month date, _runs uuid[], _stream uuid[], _tenant uuid[], _id uuid[], _type text, _sv smallint, _meta bytea[],
    _data bytea[], _hash bytea[]
) returns boolean language plpgsql security definer
set search_path = es, pg_catalog, pg_temp set lock_timeout = '100ms'
as $$
declare
    leaf text := 'events_run_' || to_char(_month, 'YYYYMM'); kept bigint; gone bigint; wanted bigint; seen bigint; n int := cardinality(_id);
    refused bigint; tries int := 0;
begin
    select count(*), max(d.position) into wanted, seen from es.dropped_events d where d.drop_id = any(_stream);
    execute format('select count(*) from es.%I', leaf) into kept;
    if kept > wanted then
        execute format('delete from es.%I where stream_id = any($1)', leaf) using _runs;
        get diagnostics gone = row_count;
        if gone <> wanted then
            raise exception 'the runs have other events by now' using errcode = 'serialization_failure';
        end if;
    end if;
    loop
        begin
            perform pg_advisory_xact_lock(7301, 1);
            if kept = wanted then
                execute format('lock table only es.events_run, es.%I in access exclusive mode', leaf);
            end if;
            exit;
        exception when lock_not_available or deadlock_detected then
            tries := tries + 1;
            if tries > 100 then raise; end if;
            perform pg_sleep(0.3);
        end;
    end loop;
    if kept = wanted then
        -- Nothing is counted anew here: appends wait. An event that came meanwhile has a higher position.
        execute format('select count(*) from es.%I where position > $1', leaf) using seen into refused;
        if refused > 0 then
            raise exception 'the month has other events by now' using errcode = 'serialization_failure';
        end if;
        execute format('drop table es.%I', leaf);
    end if;
    select count(*) into refused
    from es.append(array_fill(0::smallint, array[n]), _stream, array_fill(0, array[n]), _tenant, _tenant,
                   array_fill(null::uuid, array[n]), array_fill(null::bytea, array[n]), array_fill(0, array[n]),
                   array(select generate_series(1, n)), _id, array_fill(_type, array[n]), array_fill(_sv, array[n]), _meta,
                   _data, _hash, array_fill(null::timestamptz, array[n])) a where a.outcome <> 0;
    if refused > 0 then
        raise exception 'the events were refused' using errcode = 'serialization_failure';
    end if;
    return kept = wanted;
end $$;

-- Makes the leaf of a month of runs, which was dropped.
create function es.make_run_month(_month date) returns boolean language sql
security definer set search_path = es, pg_catalog, pg_temp set lock_timeout = '200ms'
as $$ select es.make_month('events_run', date_trunc('month', _month::timestamp)) $$;

-- Brings back what was dropped under some drops: rows whose hashes are those on record. Gives how many.
create function es.take_runs_back(
    _stream uuid[], _version int[], _position bigint[], _tenant uuid[], _key uuid[], _id uuid[], _type text[],
    _sv smallint[], _at timestamptz[], _meta bytea[], _data bytea[]
) returns bigint language plpgsql security definer
set search_path = es, pg_catalog, pg_temp
as $$
declare
    back bigint; gone bigint;
begin
    insert into es.events (kind, stream_id, version, position, tenant_id, ordering_key, event_id, type, schema_version,
                           recorded_at, meta, data, hash)
    select 1, u.s, u.v, u.p, u.t, u.k, u.i, u.ty, u.sv, d.recorded_at, u.m, u.d, d.hash
    from unnest(_stream, _version, _position, _tenant, _key, _id, _type, _sv, _at, _meta, _data)
         u(s, v, p, t, k, i, ty, sv, at, m, d)
    join es.dropped_events d on d.position = u.p and d.version = u.v and d.recorded_at = u.at and d.drop_id is not null
    left join es.forgotten_events f on f.position = u.p
    where coalesce(f.digest, d.hash) = sha256(
        int2send(1::smallint) || int2send(u.sv) || int4send(octet_length(u.ty)) || int4send(octet_length(u.m))
        || int4send(octet_length(u.d)) || uuid_send(u.s) || uuid_send(u.t) || uuid_send(u.k) || uuid_send(u.i)
        || convert_to(u.ty, 'UTF8') || u.m || u.d);
    get diagnostics back = row_count;
    if back <> cardinality(_position) then
        raise exception 'these are not the events that were dropped' using errcode = 'data_exception';
    end if;
    delete from es.dropped_events where position = any(_position);
    get diagnostics gone = row_count;
    if gone <> back then
        raise exception 'these are not the events that were dropped' using errcode = 'data_exception';
    end if;
    return back;
end $$;
revoke all on function es.run_months, es.set_runs_aside, es.drop_runs_aside, es.take_runs_back, es.make_run_month from public;

-- Gives triggerhub_app what it needs, where that role exists; may be asked again at any time, for instance after an
-- administrator has created the role because the owner may not. What the owner built of read models becomes its.
create or replace function es.grant_app() returns boolean language plpgsql as $$
declare
    made record;
begin
    if not exists (select from pg_roles where rolname = 'triggerhub_app') then
        return false;
    end if;
    grant usage on schema es, relay, proj, rm, iam, hooks, kept to triggerhub_app;
    grant select on all tables in schema es to triggerhub_app;
    grant delete on es.dedupe to triggerhub_app;
    grant select, update on relay.checkpoint to triggerhub_app;
    grant select, insert, update, delete on all tables in schema proj, iam, hooks, kept to triggerhub_app;
    grant create on schema rm to triggerhub_app;
    grant select on public.triggerhub_migrations to triggerhub_app;
    grant execute on function es.append, es.ensure_run_months, es.ensure_request_months, es.drop_request_month,
        es.drop_timer, es.put_off_timer, es.put_off_timers, es.claim_timer, es.look_at_schedules,
        es.forget, es.run_months, es.set_runs_aside,
        es.drop_runs_aside, es.take_runs_back, es.make_run_month,
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
