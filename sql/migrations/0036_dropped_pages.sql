-- What retention dropped is kept by pages of up to 256 positions instead of a row for each event: a month of a million runs
-- was four million rows, and most of the time of its drop.

-- Of each event, in order of position, what chain and tree are made of. A page has positions of one multiple of 256 to the
-- next; `last` is the last that it has. drop_id: the stream of the event that says what was dropped, with the digest over
-- all that it says so of; null for requests, whose months go as a whole.
create table es.dropped_pages (
    last      bigint primary key,
    drop_id   uuid,
    positions bigint[] not null,
    versions  int[] not null,
    hashes    bytea[] not null,
    times     timestamptz[] not null
);
alter table es.dropped_pages alter hashes set storage external;
create index dropped_pages_drop_id on es.dropped_pages (drop_id) where drop_id is not null;

insert into es.dropped_pages
select max(position), drop_id, array_agg(position order by position), array_agg(version order by position),
       array_agg(hash order by position), array_agg(recorded_at order by position)
from es.dropped_events group by drop_id, position >> 8;
drop table es.dropped_events;

create trigger append_only before update or delete on es.dropped_pages
    for each row execute function es.refuse_change();
create trigger never_truncated before truncate on es.dropped_pages
    for each statement execute function es.refuse_change();

-- The same as rows. Whoever knows between which positions asks es.dropped_between, which reads no other pages.
create view es.dropped_events as
select u.position, u.version, u.hash, u.recorded_at, p.drop_id
from es.dropped_pages p, unnest(p.positions, p.versions, p.hashes, p.times) u(position, version, hash, recorded_at);

create function es.dropped_between(_after bigint, _until bigint)
returns table ("position" bigint, version int, hash bytea, recorded_at timestamptz, drop_id uuid) language sql stable
as $$
    select u.position, u.version, u.hash, u.recorded_at, p.drop_id
    from es.dropped_pages p, unnest(p.positions, p.versions, p.hashes, p.times) u(position, version, hash, recorded_at)
    where p.last > _after and p.last < _until + 256 and u.position > _after and u.position <= _until
$$;

-- Of a stored event nothing may change but the payload, and that only of one that is on record as forgotten; of runs' events
-- those may go whose runs are noted as about to be dropped. A page of what was dropped may go when all of it came back.
create or replace function es.refuse_change() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' and tg_table_name ~ '^events_' then
        if to_jsonb(old) - 'data' = to_jsonb(new) - 'data'
           and exists (select from es.forgotten_events f where f.position = new.position) then
            return new;
        end if;
    elsif tg_op = 'DELETE' and tg_table_name ~ '^events_run' then
        if exists (select from kept.expired g where g.tenant_id = old.tenant_id and g.run_id = old.stream_id) then
            return old;
        end if;
    elsif tg_op = 'DELETE' and tg_table_name = 'dropped_pages' then
        if not exists (select from unnest(old.positions, old.hashes) u(position, hash) where not exists (
                           select from es.events e where e.position = u.position and e.hash = u.hash)) then
            return old;
        end if;
    end if;
    raise exception 'the event log is append-only: % on % refused', tg_op, tg_table_name
        using errcode = 'insufficient_privilege';
end $$;

-- Drops the leaf of a month of run or request streams, and keeps on record what was dropped. Gives the number of events.
create function es.drop_leaf(_leaf text) returns bigint language plpgsql
set search_path = es, pg_catalog, pg_temp
as $$
declare
    gone bigint;
begin
    execute format(
        'with packed as (
             insert into es.dropped_pages (last, positions, versions, hashes, times)
             select max(position), array_agg(position order by position), array_agg(version order by position),
                    array_agg(hash order by position), array_agg(recorded_at order by position)
             from es.%I group by position >> 8 returning cardinality(positions) as events
         ) select coalesce(sum(events), 0) from packed', _leaf) into gone;
    execute format('drop table es.%I', _leaf);
    return gone;
end $$;

create or replace function es.drop_run_month(month date) returns bigint language sql
set search_path = es, pg_catalog, pg_temp set lock_timeout = '2s'
as $$ select es.drop_leaf('events_run_' || to_char(month, 'YYYYMM')) $$;

-- Whoever asks, it drops nothing that ended in the last six days.
create or replace function es.drop_request_month(month date) returns bigint language plpgsql
security definer set search_path = es, pg_catalog, pg_temp set lock_timeout = '200ms'
as $$
begin
    if (date_trunc('month', month::timestamp) + interval '1 month') at time zone 'UTC' > now() - interval '6 days' then
        raise exception 'requests of % are too new to be dropped', to_char(month, 'YYYY-MM')
            using errcode = 'insufficient_privilege';
    end if;
    return es.drop_leaf('events_request_' || to_char(month, 'YYYYMM'));
end $$;

-- Puts on record what is to be dropped of a month: the runs noted in kept.expired, which have ended; _drops has the drop of
-- each part. Gives by drop how many events, and the digest over position, version and hash of each. It looks them up run
-- by run, whatever statistics say: an order of the whole month would not fit into memory.
drop function es.set_runs_aside(date, uuid[], uuid[]);
create function es.set_runs_aside(_month date, _drops uuid[]) returns table (drop_id uuid, events bigint, digest text)
language plpgsql security definer
set search_path = es, pg_catalog, pg_temp set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set work_mem = '32MB'
as $$
#variable_conflict use_column
declare
    leaf text := 'events_run_' || to_char(_month, 'YYYYMM');
    runs bigint; ended bigint; last_tenant uuid := '00000000-0000-0000-0000-000000000000'; last_run uuid := last_tenant;
begin
    if (date_trunc('month', _month::timestamp) + interval '1 month') at time zone 'UTC' > now() then
        raise exception 'runs of % are too new to be dropped', to_char(_month, 'YYYY-MM')
            using errcode = 'insufficient_privilege';
    end if;
    loop
        execute format($q$
            with batch as materialized (
                select g.tenant_id, g.run_id, g.part from kept.expired g where (g.tenant_id, g.run_id) > ($1, $2)
                order by g.tenant_id, g.run_id limit 20000
            ), packed as materialized (
                select s.part, max(e.position) as last, array_agg(e.position order by e.position) as positions,
                       array_agg(e.version order by e.position) as versions, array_agg(e.hash order by e.position) as hashes,
                       array_agg(e.recorded_at order by e.position) as times,
                       count(*) filter (where e.type in ('zap.run.completed', 'zap.run.filtered', 'zap.run.failed',
                                                         'zap.run.timed_out', 'zap.run.cancelled')) as ended
                from batch s join es.%I e on e.kind = 1 and e.stream_id = s.run_id and e.tenant_id = s.tenant_id
                group by s.part, e.position >> 8
            ), put as (
                insert into es.dropped_pages (last, drop_id, positions, versions, hashes, times)
                select p.last, $3[p.part], p.positions, p.versions, p.hashes, p.times from packed p
            )
            select (select count(*) from batch), (select coalesce(sum(p.ended), 0) from packed p), s.tenant_id, s.run_id
            from batch s order by s.tenant_id desc, s.run_id desc limit 1 $q$, leaf)
        into runs, ended, last_tenant, last_run using last_tenant, last_run, _drops;
        exit when runs is null;
        if ended <> runs then
            raise exception 'runs that are under way, or of another month, are not dropped'
                using errcode = 'insufficient_privilege';
        end if;
    end loop;
    return query
    select p.drop_id, count(*),
           encode(sha256(string_agg(int8send(u.position) || int4send(u.version) || u.hash, '' order by u.position)), 'hex')
    from es.dropped_pages p, unnest(p.positions, p.versions, p.hashes) u(position, version, hash)
    where p.drop_id = any(_drops) group by p.drop_id;
end $$;

-- Drops what was set aside, and stores the events that say so (one a stream, as es.append takes them); in the transaction
-- that has set it aside. Where the whole month goes its leaf does: then the log is locked, for as long as that takes,
-- and not waited for longer than 100 ms at a time. True where it was the leaf.
drop function es.drop_runs_aside(date, uuid[], uuid[], uuid[], uuid[], text, smallint, bytea[], bytea[], bytea[]);
create function es.drop_runs_aside(
    _month date, _stream uuid[], _tenant uuid[], _id uuid[], _type text, _sv smallint, _meta bytea[], _data bytea[],
    _hash bytea[]
) returns boolean language plpgsql security definer
set search_path = es, pg_catalog, pg_temp set lock_timeout = '100ms'
as $$
declare
    leaf text := 'events_run_' || to_char(_month, 'YYYYMM'); kept bigint; gone bigint; wanted bigint; seen bigint; n int := cardinality(_id);
    refused bigint; tries int := 0;
begin
    select coalesce(sum(cardinality(p.positions)), 0), max(p.last) into wanted, seen from es.dropped_pages p where p.drop_id = any(_stream);
    execute format('select count(*) from es.%I', leaf) into kept;
    if kept > wanted then
        execute format('
            with gone as (
                delete from es.%I e using kept.expired g
                where e.kind = 1 and e.stream_id = g.run_id and e.tenant_id = g.tenant_id returning e.position, e.hash
            ) select count(*) from gone
            join es.dropped_events d on d.drop_id = any($1) and d.position = gone.position and d.hash = gone.hash', leaf)
            into gone using _stream;
        if gone <> wanted then
            raise exception 'the runs have other events by now' using errcode = 'serialization_failure';
        end if;
    end if;
    delete from kept.expired;
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

-- Brings back some of what was dropped: rows whose hashes are those on record. Gives how many. They stay on record as dropped
-- until es.forget_drops says that all of their drops are back, in the same transaction.
create or replace function es.take_runs_back(
    _stream uuid[], _version int[], _position bigint[], _tenant uuid[], _key uuid[], _id uuid[], _type text[],
    _sv smallint[], _at timestamptz[], _meta bytea[], _data bytea[]
) returns bigint language plpgsql security definer
set search_path = es, pg_catalog, pg_temp
as $$
declare
    back bigint;
begin
    insert into es.events (kind, stream_id, version, position, tenant_id, ordering_key, event_id, type, schema_version,
                           recorded_at, meta, data, hash)
    select 1, u.s, u.v, u.p, u.t, u.k, u.i, u.ty, u.sv, d.recorded_at, u.m, u.d, d.hash
    from unnest(_stream, _version, _position, _tenant, _key, _id, _type, _sv, _at, _meta, _data)
         u(s, v, p, t, k, i, ty, sv, at, m, d)
    join es.dropped_between((select min(x) - 1 from unnest(_position) x), (select max(x) from unnest(_position) x)) d
      on d.position = u.p and d.version = u.v and d.recorded_at = u.at and d.drop_id is not null
    left join es.forgotten_events f on f.position = u.p
    where coalesce(f.digest, d.hash) = sha256(
        int2send(1::smallint) || int2send(u.sv) || int4send(octet_length(u.ty)) || int4send(octet_length(u.m))
        || int4send(octet_length(u.d)) || uuid_send(u.s) || uuid_send(u.t) || uuid_send(u.k) || uuid_send(u.i)
        || convert_to(u.ty, 'UTF8') || u.m || u.d);
    get diagnostics back = row_count;
    if back <> cardinality(_position) then
        raise exception 'these are not the events that were dropped' using errcode = 'data_exception';
    end if;
    return back;
end $$;

-- Takes off the record what was dropped and has come back. Of drops that are not back whole the trigger refuses it.
create function es.forget_drops(_drops uuid[]) returns void language sql security definer
set search_path = es, pg_catalog, pg_temp
as $$ delete from es.dropped_pages where drop_id = any(_drops) $$;

create or replace function es.forget_dropped(
    _stream uuid, _tenant uuid, _key uuid, _id uuid, _type text, _sv smallint, _meta bytea, _data bytea, _hash bytea,
    _positions bigint[], _digests bytea[]
) returns bigint language plpgsql security definer
set search_path = es, pg_catalog, pg_temp
as $$
declare
    result smallint; place bigint;
begin
    select a.outcome, a.pos into result, place
    from es.append(array[0]::smallint[], array[_stream], array[0], array[_tenant], array[_key], array[null]::uuid[],
                   array[null]::bytea[], array[0], array[1], array[_id], array[_type], array[_sv], array[_meta],
                   array[_data], array[_hash], array[null]::timestamptz[]) a;
    if result <> 0 then
        return place;
    end if;
    insert into es.forgotten_events (position, digest, recorded_by)
    select p.position, p.digest, place
    from unnest(_positions, _digests) p(position, digest)
    cross join lateral es.dropped_between(p.position - 1, p.position) d
    join es.events e on e.kind = 0 and e.stream_id = d.drop_id and e.version = 1 and e.tenant_id = _tenant;
    if (select encode(sha256(string_agg(int8send(position) || digest, '' order by position)), 'hex')
        from es.forgotten_events where recorded_by = place) is distinct from convert_from(_data, 'UTF8')::jsonb ->> 'digest'
    then
        raise exception 'these are not events that were dropped' using errcode = 'serialization_failure';
    end if;
    return place;
end $$;

revoke all on function es.drop_leaf, es.set_runs_aside, es.drop_runs_aside, es.forget_drops from public;

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
        es.forget, es.forget_dropped, es.run_months, es.set_runs_aside,
        es.drop_runs_aside, es.take_runs_back, es.forget_drops, es.make_run_month,
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
