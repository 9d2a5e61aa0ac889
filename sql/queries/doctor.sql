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
       coalesce((select max(greatest(0, case when p.projection = 'run_search' then h.position
                                             else coalesce((k.offsets -> g.partition::text ->> 1)::bigint, 0) end - g.position))
                 from proj.gates g where g.consumer = p.projection and g.version = p.version), 0)::bigint,
       (select count(*) from proj.parked d where d.consumer = p.projection and d.version = p.version)
from proj.projections p
cross join (select offsets from relay.checkpoint where lane = 0) k
cross join (select coalesce(max(last_position), 0) as position from es.commits) h
order by p.projection
