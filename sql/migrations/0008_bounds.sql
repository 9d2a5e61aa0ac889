-- What is read or deleted at once is bounded in bytes, and nothing here keeps appends waiting for long.

-- The log after a position and up to another (null: to its end), in order: at most so many events, and so many bytes of payload, but one
-- event at least. `_types`: only these. A payload of more than `_inline` bytes is left out (null) and weighs nothing.
-- Sizes are read from the rows' headers, so that payloads which are not part of the page stay on the disk. Were a
-- position there twice, both rows would be of one page.
create function es.page(_after bigint, _until bigint, _rows int, _bytes bigint,
                        _types text[] default null, _inline int default 2147483647)
returns setof es.events language sql stable as $$
    select p.kind, p.stream_id, p.version, p.position, p.tenant_id, p.ordering_key, p.event_id, p.type,
           p.schema_version, p.recorded_at, p.meta, case when octet_length(p.data) <= _inline then p.data end, p.hash
    from (
        select l.*, sum(case when octet_length(l.data) <= _inline then octet_length(l.data) else 0 end) over log as total,
               rank() over log as place
        from (
            select e.* from es.events e
            where e.position > _after and (_until is null or e.position <= _until) and (_types is null or e.type = any(_types))
            order by e.position fetch first (_rows) rows with ties
        ) l
        window log as (order by l.position)
    ) p
    where p.total <= _bytes or p.place = 1
    order by p.position
$$;

-- A month's leaf is made under an exclusive lock on its parent, and whoever waits for that has all appends wait behind
-- it: behind a backup, for as long as that takes. So it gives up soon (lock_not_available); months are made far ahead.
create or replace function es.ensure_run_months(ahead int) returns int language plpgsql
security definer set search_path = es, pg_catalog, pg_temp set lock_timeout = '200ms'
as $$
declare
    month timestamp; leaf text; made int := 0;
begin
    perform pg_advisory_xact_lock(7301, 4);
    for i in 0..least(ahead, 60) loop
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

-- Old keys are found by their order, however often their pages were used again.
drop index es.dedupe_expires_at;
create index dedupe_expires_at on es.dedupe (expires_at);

-- Forgets a timer that nobody waits for any more: the last event of its run is an end, or its run is gone.
create or replace function es.drop_timer(_timer uuid) returns boolean language plpgsql
security definer set search_path = es, pg_catalog, pg_temp
as $$
begin
    delete from es.timers t where t.timer_id = _timer and coalesce((
        select e.type from es.events e where e.kind = t.kind and e.stream_id = t.stream_id order by e.version desc limit 1
    ), '') in ('', 'zap.run.completed', 'zap.run.failed', 'zap.run.timed_out', 'zap.run.cancelled');
    return found;
end $$;

-- What retention dropped: of each event what the hash chain is made of, so that the chain can still be proved.
create table es.dropped_events (
    position    bigint primary key,
    version     int not null,
    hash        bytea not null,
    recorded_at timestamptz not null
);
create trigger append_only before update or delete on es.dropped_events
    for each row execute function es.refuse_change();
create trigger never_truncated before truncate on es.dropped_events
    for each statement execute function es.refuse_change();

-- Drops the leaf of a month of run streams, and keeps on record what was dropped. Gives the number of events.
create function es.drop_run_month(month date) returns bigint language plpgsql
set search_path = es, pg_catalog, pg_temp set lock_timeout = '2s'
as $$
declare
    leaf text := 'events_run_' || to_char(month, 'YYYYMM'); gone bigint;
begin
    execute format('insert into es.dropped_events select position, version, hash, recorded_at from es.%I', leaf);
    get diagnostics gone = row_count;
    execute format('drop table es.%I', leaf);
    return gone;
end $$;
revoke all on function es.drop_run_month from public;
select es.grant_app();
