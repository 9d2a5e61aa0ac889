-- A payload of more than 32 KiB is compressed before the lock, as larger ones were before: that takes PostgreSQL 5 ms for
-- 100 KB of JSON, in which nobody else could append. What else es.append promises stands in 0001_event_store.sql.
create or replace function es.append(
    _kind smallint[], _stream uuid[], _expected int[], _tenant uuid[], _key uuid[], _timer uuid[], _dedupe bytea[],
    _window int[], _cmd int[], _id uuid[], _type text[], _sv smallint[], _meta bytea[], _data bytea[], _hash bytea[],
    _due timestamptz[], _of bigint[] default null
) returns table (cmd int, outcome smallint, version int, pos bigint, stream uuid)
language plpgsql security definer
set search_path = es, pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    size int := cardinality(_kind);
    -- The bounds of a call's kinds and streams: PostgreSQL opens only those leaves of es.events that lie between them,
    -- however many months there are.
    kinds smallint[] := array(select k from unnest(_kind) k order by k);
    streams uuid[] := array(select s from unnest(_stream) s order by s);
    has_deliveries boolean := array_remove(_dedupe, null) <> '{}';
    has_timers boolean := array_remove(_timer, null) <> '{}';
    has_forgotten boolean := false;
    head bigint; prev bytea; ts timestamptz;
    -- Of each command: the place of its last event in the call, the version of its stream before, and its outcome.
    ends bigint[] := array(select max(e.o) from unnest(_cmd) with ordinality e(cmd, o) group by e.cmd order by e.cmd);
    versions int[];
    outcomes smallint[] := array_fill(0::smallint, array[size]);
    -- How many events of refused commands come up to here; and of a refused command what is there instead.
    refused bigint[] := array_fill(0::bigint, array[size]);
    there_version int[]; there_position bigint[]; there_stream uuid[];
    -- The place of a payload that was compressed beforehand, and itself.
    packed_at bigint; packed bytea;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'es.append needs read committed';
    end if;
    if cardinality(ends) <> size then
        raise exception 'every command needs an event';
    end if;
    if _cmd <> array(select c from unnest(_cmd) c order by c) then
        raise exception 'events come in the order of their commands';
    end if;
    if size = 1 and pg_column_size(_data) > 32768 then  -- large commands come alone
        select x.o into packed_at from unnest(_data) with ordinality x(data, o) order by octet_length(x.data) desc limit 1;
        insert into es.packing (event_id, data) values (_id[packed_at], _data[packed_at]);
        select p.data into strict packed from es.packing p where p.event_id = _id[packed_at];
    end if;
    -- Taken before numbering and freed after the commit is visible: positions are contiguous and in commit order.
    perform pg_advisory_xact_lock(7301, 1);
    select c.last_position, c.hash, greatest(clock_timestamp(), c.recorded_at) into strict head, prev, ts
    from es.commits c order by c.last_position desc limit 1;

    versions := array(
        select coalesce((
            select e.version from es.events e
            where e.kind = c.k and e.kind between kinds[1] and kinds[size]
              and e.stream_id = c.s and e.stream_id between streams[1] and streams[size]
            order by e.version desc limit 1
        ), 0)
        from unnest(_kind, _stream) with ordinality c(k, s, o) order by c.o
    );

    if array_remove(_of, null) <> '{}' then
        has_forgotten := exists (select from es.forgotten_events g where g.position = any(_of));
    end if;
    if has_deliveries or has_timers or has_forgotten or versions <> _expected then
        select array_agg(j.outcome order by j.o), array_agg(j.refused order by j.o), array_agg(j.version order by j.o),
               array_agg(j.position order by j.o), array_agg(j.stream_id order by j.o)
        into outcomes, refused, there_version, there_position, there_stream
        from (
            select f.o, f.outcome, f.again as version, coalesce(f.again_position, f.seen_position) as position,
                   case when f.outcome = 3 then f.seen_stream end as stream_id,
                   sum(case f.outcome when 0 then 0 else f.n end) over (order by f.o)::bigint as refused
            from (
                select c.o, c.n, a.version as again, a.position as again_position, d.stream_id as seen_stream,
                       d.position as seen_position,
                       (case when (c.tm is null or t.timer_id is not null) and d.key is null and g.position is null
                                  and (c.v = c.cur or c.v = -1 and a.version is null) then 0
                             when a.version is not null then 1
                             when d.key is not null then 3
                             else 2 end)::smallint as outcome
                from (
                    select u.*, u.e - coalesce(ends[u.o - 1], 0) as n, _id[u.e] as last_id
                    from unnest(_kind, _stream, _expected, versions, ends, _timer, _dedupe, _of)
                         with ordinality u(k, s, v, cur, e, tm, dk, src, o)
                ) c
                left join es.timers t on t.timer_id = c.tm
                left join es.dedupe d on d.key = c.dk and d.expires_at > ts
                left join es.forgotten_events g on g.position = c.src
                -- The command's last event, if the same call was made before; with any version, that is looked for
                -- among the last hundred of the stream.
                left join lateral (
                    select e.version, e.position from es.events e
                    where e.kind = c.k and e.kind between kinds[1] and kinds[size]
                      and e.stream_id = c.s and e.stream_id between streams[1] and streams[size]
                      and e.version between case c.v when -1 then c.cur - 99 else c.v + c.n end
                                        and case c.v when -1 then c.cur else c.v + c.n end
                      and e.event_id = c.last_id
                    order by e.version desc limit 1
                ) a on c.v <> c.cur
            ) f
        ) j;
    end if;

    with stored as (
        insert into es.events (kind, stream_id, version, position, tenant_id, ordering_key, event_id, type,
                               schema_version, recorded_at, meta, data, hash)
        select _kind[x.cmd], _stream[x.cmd], versions[x.cmd] + x.o - coalesce(ends[x.cmd - 1], 0),
               head + x.o - refused[x.cmd], _tenant[x.cmd], _key[x.cmd], x.id, x.type, x.sv, ts, x.meta,
               case when x.o = packed_at then packed else x.data end, x.hash
        from unnest(_cmd, _id, _type, _sv, _meta, _data, _hash)
             with ordinality x(cmd, id, type, sv, meta, data, hash, o)
        where outcomes[x.cmd] = 0
        returning position, version, hash
    )
    insert into es.commits (last_position, prev_position, recorded_at, hash)
    select max(position), head, ts,
           sha256(prev || int8send(head) || int8send((extract(epoch from ts) * 1000000)::bigint)
                  || string_agg(int4send(version) || hash, ''::bytea order by position))
    from stored having count(*) > 0;

    if found then
        if array_remove(_due, null) <> '{}' then
            insert into es.timers (timer_id, due_at, kind, stream_id, ordering_key, tenant_id)
            select x.id, x.due, _kind[x.cmd], _stream[x.cmd], _key[x.cmd], _tenant[x.cmd]
            from unnest(_cmd, _id, _due) x(cmd, id, due) where x.due is not null and outcomes[x.cmd] = 0;
        end if;
        if has_timers then
            delete from es.timers t using unnest(_timer, outcomes) c(tm, outcome)
            where t.timer_id = c.tm and c.outcome = 0;
        end if;
        if has_deliveries then
            insert into es.dedupe (key, stream_id, position, expires_at)
            select c.dk, c.s, head + c.e - c.r, ts + make_interval(secs => c.w)
            from unnest(_dedupe, _window, _stream, ends, refused, outcomes) c(dk, w, s, e, r, outcome)
            where c.dk is not null and c.outcome = 0
            on conflict (key) do update
            set stream_id = excluded.stream_id, position = excluded.position, expires_at = excluded.expires_at;
        end if;
        perform pg_notify('es', (head + ends[size] - refused[size])::text);
    end if;

    if packed_at is not null then
        delete from es.packing p where p.event_id = _id[packed_at];
    end if;
    return query
    select c.o::int, c.outcome,
           (case c.outcome when 0 then c.cur + c.e - coalesce(ends[c.o - 1], 0)
                           when 1 then there_version[c.o] else c.cur end)::int,
           case c.outcome when 0 then head + c.e - c.r else there_position[c.o] end,
           coalesce(there_stream[c.o], c.s)
    from unnest(outcomes, versions, ends, refused, _stream) with ordinality c(outcome, cur, e, r, s, o);
end $$;
