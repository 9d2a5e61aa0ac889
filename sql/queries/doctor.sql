-- name: sizes
-- Bytes of the log, of the read models and of the rest, with their indexes; how many events there are, and how many came
-- in the last day.
select coalesce(sum(size) filter (where schema = 'es'), 0)::bigint as log,
       coalesce(sum(size) filter (where schema ~ '^rm_'), 0)::bigint as read_models,
       coalesce(sum(size) filter (where schema !~ '^(es$|rm_)'), 0)::bigint as rest,
       h.events, h.events - coalesce((select last_position from es.commits where recorded_at < now() - interval '1 day'
                                      order by recorded_at desc, last_position desc limit 1), 0) as of_last_day
from (
    select n.nspname as schema, pg_total_relation_size(c.oid) as size
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and n.nspname !~ '^(pg_|information_schema)'
) tables
cross join (select max(last_position) as events from es.commits) h
group by h.events

-- name: behind
-- How many events the relay has not published.
select (select max(last_position) from es.commits) - position from relay.checkpoint

-- name: dead_rows
-- Tables of which a fifth or more is space of rows that are gone, the largest first.
select format('%I.%I', schemaname, relname) as name, n_dead_tup as dead, n_live_tup as live
from pg_stat_user_tables
where n_dead_tup > 100000 and n_dead_tup > n_live_tup / 4 order by n_dead_tup desc limit 5

-- name: read_models
-- Each read model: its bytes, how many positions it is behind what it could have, and how many events it has parked.
select p.projection,
       (select coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint from pg_class c
        where c.relnamespace = to_regnamespace(proj.build_schema(p.projection, p.version)) and c.relkind = 'r'),
       coalesce((select max(greatest(0, case when not p.from_topic then h.position
                                             else coalesce((k.offsets -> g.partition::text ->> 1)::bigint, 0) end - g.position))
                 from proj.gates g where g.consumer = p.projection and g.version = p.version), 0)::bigint,
       (select count(*) from proj.parked d where d.consumer = p.projection and d.version = p.version)
from proj.projections p
cross join (select offsets from relay.checkpoint where lane = 0) k
cross join (select coalesce(max(last_position), 0) as position from es.commits) h
order by p.projection

-- name: is_alone
-- Whether there is no second account.
select count(*) < 2 from (select from iam.users limit 2) few

-- name: own
-- What an account has: its runs, counted up to $2, and those of the last day; the moment of its oldest; the bytes of one run, as
-- fifty of the newest have them; of its files; and of requests that are held.
select (select count(*) from (select from rm.run_list where tenant_id = $1 limit $2) all_of_them),
       (select count(*) from (select from rm.run_list where tenant_id = $1
                              and run_id >= es.first_uuid_at(now() - interval '1 day') limit $2) of_last_day),
       (select started_at from rm.run_list where tenant_id = $1 order by run_id limit 1),
       (select coalesce(sum(octet_length(e.data) + octet_length(e.meta)) / count(distinct e.stream_id), 0)::bigint
        from (select run_id from rm.run_list where tenant_id = $1 order by run_id desc limit 50) fifty
        join es.events e on e.kind = 1 and e.stream_id = fifty.run_id),
       coalesce((select bytes from proj.file_rooms where tenant_id = $1), 0),
       (select coalesce(sum(bytes), 0)::bigint from rm.request_list
        where tenant_id = $1 and reason = 'held' and run_id is null and not discarded)
