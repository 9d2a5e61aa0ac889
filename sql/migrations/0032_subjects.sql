-- Runs are found by whose data they carry, and forgotten in archives, too.

-- What hashes of subjects are made with. Whoever reads it may read payloads, too: it keeps values out of an index, and
-- makes hashes of one installation worthless elsewhere.
create table proj.subject_key (
    lane smallint primary key check (lane = 0),
    key  bytea not null
);
insert into proj.subject_key values (0, sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));

-- Stores the event that says that payloads of a run are forgotten which retention has dropped: nothing but their hashes
-- is in the log, and an archive has them. _digests: of what stays of each of these events. Then nothing else comes back.
create function es.forget_dropped(
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
    join es.dropped_events d on d.position = p.position
    join es.events e on e.kind = 0 and e.stream_id = d.drop_id and e.version = 1 and e.tenant_id = _tenant;
    if (select encode(sha256(string_agg(int8send(position) || digest, '' order by position)), 'hex')
        from es.forgotten_events where recorded_by = place) is distinct from convert_from(_data, 'UTF8')::jsonb ->> 'digest'
    then
        raise exception 'these are not events that were dropped' using errcode = 'serialization_failure';
    end if;
    return place;
end $$;
revoke all on function es.forget_dropped from public;

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
