-- The log, which is also the outbox. Rows are only ever added; see the triggers at the end.

create schema es;

-- One row per group commit: the head of the log, the hash chain, and the index from time to position.
-- prev_position is unique, so two appends can never share a predecessor.
create table es.commits (
    last_position bigint primary key,
    prev_position bigint not null unique,
    recorded_at   timestamptz not null,
    hash          bytea not null
);
create index commits_recorded_at on es.commits (recorded_at);
insert into es.commits values (0, -1, '2000-01-01T00:00:00Z', sha256('triggerhub'));

-- data and meta are JSON as bytes: hashable, verbatim, and free of what jsonb refuses or rewrites.
create table es.events (
    kind           smallint not null,          -- 0 core (for ever), 1 run (until retention)
    stream_id      uuid not null,
    version        int not null check (version > 0),
    position       bigint not null,
    tenant_id      uuid not null,
    ordering_key   uuid not null,
    event_id       uuid not null,
    type           text not null,
    schema_version smallint not null,
    recorded_at    timestamptz not null,
    meta           bytea not null,
    data           bytea not null,
    hash           bytea not null,
    primary key (kind, stream_id, version)
) partition by list (kind);

create table es.events_core partition of es.events for values in (0);
create table es.events_run partition of es.events for values in (1) partition by range (stream_id);
create table es.events_run_rest partition of es.events_run default;
create index events_position on es.events (position);

create view es.readable_events as
select position, kind, stream_id, version, type, schema_version, recorded_at, tenant_id, event_id,
       convert_from(meta, 'UTF8') as meta, convert_from(data, 'UTF8') as data
from es.events;

-- Delays, retries, deadlines. A timer's id is the id of the event that set it.
create table es.timers (
    timer_id     uuid primary key,
    due_at       timestamptz not null,
    kind         smallint not null,
    stream_id    uuid not null,
    ordering_key uuid not null,
    tenant_id    uuid not null
);
create index timers_due_at on es.timers (due_at);

-- Deliveries already seen: key = sha256(zap id, delivery id). Past expires_at the key is free again.
create table es.dedupe (
    key        bytea primary key,
    stream_id  uuid not null,
    position   bigint not null,
    expires_at timestamptz not null
);
create index dedupe_expires_at on es.dedupe using brin (expires_at);

-- Stores a batch of commands, each whole or not at all, in one statement and one transaction.
--
-- Per command: kind, stream, expected version (-1 any), tenant, ordering key, timer that must still be set, dedupe key
-- and for how many seconds.
-- Per event:   its command (1-based), id, type, schema version, meta, data, hash, due time of a timer to set.
-- A stream, a dedupe key and a timer may occur once per call. A timer is cleared only by a command that is stored.
-- Outcome: 0 stored, 1 already stored (the same call was made before), 2 conflict, 3 duplicate delivery.
create function es.append(
    _kind smallint[], _stream uuid[], _expected int[], _tenant uuid[], _key uuid[], _timer uuid[], _dedupe bytea[],
    _window int[], _cmd int[], _id uuid[], _type text[], _sv smallint[], _meta bytea[], _data bytea[], _hash bytea[],
    _due timestamptz[]
) returns table (cmd int, outcome smallint, version int, pos bigint, stream uuid)
language plpgsql security definer
set search_path = es, pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    head bigint; prev bytea; ts timestamptz; tail bigint; last_ids uuid[]; counts int[];
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'es.append needs read committed';
    end if;
    -- Each command's last event, and how many it has; as arrays, for joins of CTEs are nested loops.
    select array_agg(l.id order by l.cmd), array_agg(l.n order by l.cmd) into last_ids, counts
    from (select e.cmd, (array_agg(e.id order by e.o desc))[1] as id, count(*)::int as n
          from unnest(_cmd, _id) with ordinality e(cmd, id, o) group by e.cmd) l;
    if cardinality(last_ids) <> cardinality(_kind) then
        raise exception 'every command needs an event';
    end if;
    -- Taken before numbering and freed after the commit is visible: positions are contiguous and in commit order.
    perform pg_advisory_xact_lock(7301, 1);
    select c.last_position, c.hash, greatest(clock_timestamp(), c.recorded_at) into strict head, prev, ts
    from es.commits c order by c.last_position desc limit 1;

    return query
    with ev as materialized (
        select x.*, row_number() over (partition by x.cmd order by x.o) as off
        from unnest(_cmd, _id, _type, _sv, _meta, _data, _hash, _due)
             with ordinality x(cmd, id, type, sv, meta, data, hash, due, o)
    ),
    cmds as materialized (
        select c.o::int as cmd, c.k, c.s, c.v, c.t, c.key, c.tm, c.dk, c.dw, coalesce(h.version, 0) as cur,
               (c.tm is null or t.timer_id is not null) as alive,
               d.stream_id as seen_stream, d.position as seen_position, c.last_id,
               -- Where the command's last event stands if the same call was made before; with any version,
               -- that is looked for among the last hundred of the stream.
               case when c.v <> -1 then c.v + c.n
                    else (select max(e.version) from es.events e
                          where e.kind = c.k and e.stream_id = c.s and e.version > h.version - 100
                            and e.event_id = c.last_id)
               end as again
        from unnest(_kind, _stream, _expected, _tenant, _key, _timer, _dedupe, _window, last_ids, counts)
             with ordinality c(k, s, v, t, key, tm, dk, dw, last_id, n, o)
        left join lateral (
            select e.version from es.events e where e.kind = c.k and e.stream_id = c.s
            order by e.version desc limit 1
        ) h on true
        left join es.timers t on t.timer_id = c.tm
        left join es.dedupe d on d.key = c.dk and d.expires_at > ts
    ),
    ins as (
        insert into es.events (kind, stream_id, version, position, tenant_id, ordering_key, event_id, type,
                               schema_version, recorded_at, meta, data, hash)
        select c.k, c.s, c.cur + ev.off, head + row_number() over (order by ev.o), c.t, c.key, ev.id, ev.type,
               ev.sv, ts, ev.meta, ev.data, ev.hash
        from ev join cmds c on c.cmd = ev.cmd
        where c.alive and c.seen_stream is null and (c.v = c.cur or c.v = -1 and c.again is null)
        returning kind, stream_id, version, position, event_id, ordering_key, tenant_id, hash
    ),
    tm as (
        insert into es.timers (timer_id, due_at, kind, stream_id, ordering_key, tenant_id)
        select i.event_id, ev.due, i.kind, i.stream_id, i.ordering_key, i.tenant_id
        from ins i join ev on ev.id = i.event_id where ev.due is not null
    ),
    cm as (
        insert into es.commits (last_position, prev_position, recorded_at, hash)
        select max(position), head, ts,
               sha256(prev || int8send(head) || int8send((extract(epoch from ts) * 1000000)::bigint)
                      || string_agg(int4send(version) || hash, ''::bytea order by position))
        from ins having count(*) > 0
    ),
    got as (
        select kind, stream_id, max(version) as v, max(position) as p from ins group by 1, 2
    ),
    fired as (
        delete from es.timers t using cmds c join got g on g.kind = c.k and g.stream_id = c.s
        where t.timer_id = c.tm
    ),
    dd as (
        insert into es.dedupe (key, stream_id, position, expires_at)
        select c.dk, c.s, g.p, ts + make_interval(secs => c.dw)
        from cmds c join got g on g.kind = c.k and g.stream_id = c.s
        where c.dk is not null
        on conflict (key) do update
        set stream_id = excluded.stream_id, position = excluded.position, expires_at = excluded.expires_at
    )
    select r.cmd,
           (case when r.p is not null then 0
                 when r.again_position is not null then 1
                 when r.seen_stream is not null then 3
                 else 2 end)::smallint,
           case when r.p is not null then r.stored_version
                when r.again_position is not null then r.again
                else r.cur end,
           coalesce(r.p, r.again_position, r.seen_position),
           case when r.p is null and r.again_position is null then coalesce(r.seen_stream, r.s) else r.s end
    from (
        select c.*, g.p, g.v as stored_version,
               case when g.p is null then
                   (select e.position from es.events e
                    where e.kind = c.k and e.stream_id = c.s and e.version = c.again and e.event_id = c.last_id)
               end as again_position
        from cmds c left join got g on g.kind = c.k and g.stream_id = c.s
    ) r;

    select c.last_position into tail from es.commits c order by c.last_position desc limit 1;
    if tail > head then
        perform pg_notify('es', tail::text);
    end if;
end $$;

create function es.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the event log is append-only: % on % refused', tg_op, tg_table_name
        using errcode = 'insufficient_privilege';
end $$;

create trigger append_only before update or delete on es.events
    for each row execute function es.refuse_change();
create trigger append_only before update or delete on es.commits
    for each row execute function es.refuse_change();
create trigger never_truncated before truncate on es.events
    for each statement execute function es.refuse_change();
create trigger never_truncated before truncate on es.commits
    for each statement execute function es.refuse_change();
create trigger never_truncated before truncate on es.events_core
    for each statement execute function es.refuse_change();
create trigger never_truncated before truncate on es.events_run
    for each statement execute function es.refuse_change();
create trigger never_truncated before truncate on es.events_run_rest
    for each statement execute function es.refuse_change();

-- The smallest UUIDv7 of a moment: run streams partition by time through their ids.
create function es.first_uuid_at(at timestamptz) returns uuid language sql immutable strict as $$
    select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid
$$;

-- One leaf per month of run streams, from this month to `ahead` months from now. Retention drops whole leaves.
-- Months are UTC whatever the session's time zone. A month whose runs already went to the rest leaf stays there.
create function es.ensure_run_months(ahead int) returns int language plpgsql as $$
declare
    month timestamp; leaf text; made int := 0;
begin
    perform pg_advisory_xact_lock(7301, 4);
    for i in 0..ahead loop
        month := date_trunc('month', now() at time zone 'UTC') + make_interval(months => i);
        leaf := 'events_run_' || to_char(month, 'YYYYMM');
        continue when to_regclass('es.' || leaf) is not null;
        begin
            execute format('create table es.%I partition of es.events_run for values from (%L) to (%L)', leaf,
                es.first_uuid_at(month at time zone 'UTC'),
                es.first_uuid_at((month + interval '1 month') at time zone 'UTC'));
            execute format('create trigger never_truncated before truncate on es.%I
                            for each statement execute function es.refuse_change()', leaf);
            made := made + 1;
        exception when check_violation then
            raise warning 'run streams of % stay in es.events_run_rest', leaf;
        end;
    end loop;
    return made;
end $$;
select es.ensure_run_months(3);
