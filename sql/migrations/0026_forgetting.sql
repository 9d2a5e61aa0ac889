-- Payloads of runs can be forgotten: the event stays, with its hash, its place and what is no payload.

-- digest: the hash of what stays of the event. The event at recorded_by says that it was forgotten, and holds the digest
-- over all events of the run.
create table es.forgotten_events (
    position    bigint primary key,
    digest      bytea not null,
    recorded_by bigint not null
);
create index forgotten_events_recorded_by on es.forgotten_events (recorded_by);
create trigger append_only before update or delete on es.forgotten_events
    for each row execute function es.refuse_change();
create trigger never_truncated before truncate on es.forgotten_events
    for each statement execute function es.refuse_change();

-- Of a stored event nothing may change but the payload, and that only of one that is on record as forgotten.
create or replace function es.refuse_change() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' and tg_table_name ~ '^events_' then
        if to_jsonb(old) - 'data' = to_jsonb(new) - 'data'
           and exists (select from es.forgotten_events f where f.position = new.position) then
            return new;
        end if;
    end if;
    raise exception 'the event log is append-only: % on % refused', tg_op, tg_table_name
        using errcode = 'insufficient_privilege';
end $$;

-- Stores the event that says that a run's payloads are forgotten, and takes them out of the log, in one transaction.
-- _positions and _payloads: what stays of each event of the run. False where the run has other events by now.
create function es.forget(
    _run uuid, _stream uuid, _tenant uuid, _key uuid, _id uuid, _type text, _sv smallint, _meta bytea, _data bytea,
    _hash bytea, _positions bigint[], _payloads bytea[]
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
    if _positions <> array(select e.position from es.events e where e.kind = 1 and e.stream_id = _run order by e.version)
    then
        raise exception 'the run has other events by now' using errcode = 'serialization_failure';
    end if;
    insert into es.forgotten_events (position, digest, recorded_by)
    select e.position, sha256(
               int2send(e.kind) || int2send(e.schema_version) || int4send(octet_length(e.type))
               || int4send(octet_length(e.meta)) || int4send(octet_length(p.data)) || uuid_send(e.stream_id)
               || uuid_send(e.tenant_id) || uuid_send(e.ordering_key) || uuid_send(e.event_id)
               || convert_to(e.type, 'UTF8') || e.meta || p.data), place
    from unnest(_positions, _payloads) p(position, data)
    join es.events e on e.kind = 1 and e.stream_id = _run and e.position = p.position;
    if (select encode(sha256(string_agg(int8send(position) || digest, '' order by position)), 'hex')
        from es.forgotten_events where recorded_by = place) is distinct from convert_from(_data, 'UTF8')::jsonb ->> 'digest'
    then
        raise exception 'the digest is another' using errcode = 'data_exception';
    end if;
    update es.events e set data = p.data
    from unnest(_positions, _payloads) p(position, data)
    where e.kind = 1 and e.stream_id = _run and e.position = p.position;
    delete from proj.backtests where run_id = _run;
    return place;
end $$;
revoke all on function es.forget from public;

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
        es.forget,         proj.create_build_schema to triggerhub_app;
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
