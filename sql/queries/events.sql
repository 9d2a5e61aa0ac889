-- name: append
-- The one way into the log. See sql/migrations/0001_event_store.sql and 0038_carried_on.sql.
select cmd, outcome, version, pos, stream
from es.append($1::smallint[], $2::uuid[], $3::int[], $4::uuid[], $5::uuid[], $6::uuid[], $7::bytea[], $8::int[],
               $9::int[], $10::uuid[], $11::text[], $12::smallint[], $13::bytea[], $14::bytea[], $15::bytea[],
               $16::timestamptz[], $17::bigint[])

-- name: read_stream
-- One stream in order, after a version.
select position, kind, stream_id, version, tenant_id, ordering_key, event_id, type, schema_version, recorded_at,
       meta, data
from es.events where kind = $1 and stream_id = $2 and version > $3 order by version

-- name: stream_page
-- The next events of a stream after a version, in order: so many at most, and so many bytes of payload, but one at
-- least; with the stream's last version.
select position, kind, stream_id, version, tenant_id, ordering_key, event_id, type, schema_version, recorded_at,
       meta, data,
       (select max(version) from es.events where kind = $1 and stream_id = $2) as last
from (
    select e.*, sum(octet_length(e.data)) over upward as total, row_number() over upward as place
    from (
        select * from es.events where kind = $1 and stream_id = $2 and version > $3 order by version limit $4
    ) e
    window upward as (order by e.version)
) p
where total <= $5 or place = 1 order by version

-- name: read_streams
-- Several whole streams, each in order.
select position, kind, stream_id, version, tenant_id, ordering_key, event_id, type, schema_version, recorded_at,
       meta, data
from es.events where kind = $1 and stream_id = any($2::uuid[]) order by stream_id, version

-- name: versions
-- The current version of several streams.
select s.stream_id, h.version
from unnest($2::uuid[]) s(stream_id)
cross join lateral (
    select e.version from es.events e where e.kind = $1 and e.stream_id = s.stream_id
    order by e.version desc limit 1
) h

-- name: last_events
-- The last event of several streams that have any, in the order given: with its payload where it is of some types, up
-- to so many bytes of payload but one event at least; and whether there are more.
select position, kind, stream_id, version, tenant_id, ordering_key, event_id, type, schema_version, recorded_at,
       meta, data, more
from (
    select p.*, count(*) over () > count(*) filter (where total <= $4 or n = 1) over () as more
    from (
        select l.*, sum(octet_length(l.data)) over upward as total, row_number() over upward as n, s.place
        from unnest($2::uuid[]) with ordinality s(stream_id, place)
        cross join lateral (
            select e.position, e.kind, e.stream_id, e.version, e.tenant_id, e.ordering_key, e.event_id, e.type,
                   e.schema_version, e.recorded_at, e.meta,
                   case when e.type = any($3::text[]) then e.data else ''::bytea end as data
            from es.events e where e.kind = $1 and e.stream_id = s.stream_id order by e.version desc limit 1
        ) l
        window upward as (order by s.place)
    ) p
) q
where total <= $4 or n = 1 order by place

-- name: sizes
-- How many bytes of payload several streams hold; read from the rows' headers, not from the payloads.
select stream_id, sum(octet_length(data))::bigint from es.events
where kind = $1 and stream_id = any($2::uuid[]) group by stream_id

-- name: read_log
-- The log after a position, in order and without gaps: at most so many events and bytes, but one event at least.
select position, kind, stream_id, version, tenant_id, ordering_key, event_id, type, schema_version, recorded_at,
       meta, data
from es.page($1, null, $2, $3)

-- name: head
select last_position from es.commits order by last_position desc limit 1

-- name: head_before
-- How far the log had come so many seconds ago.
select last_position from es.commits where recorded_at < now() - make_interval(secs => $1)
order by recorded_at desc, last_position desc limit 1

-- name: changed_core_streams
-- The long-lived streams (zaps, users) that grew after a position, and how far the log has come.
select stream_id, max(position) as position from es.events where kind = 0 and position > $1 group by stream_id

-- name: prune_dedupe
-- Forget deliveries whose time was over at a moment: so many at most, the oldest first. Asked again of the row itself,
-- as its key may have been taken anew meanwhile.
delete from es.dedupe
where ctid = any(array(select ctid from es.dedupe where expires_at < $1 order by expires_at limit $2))
  and expires_at < $1

-- name: ensure_run_months
-- Make the leaves that run streams of the coming months go to.
select es.ensure_run_months($1)

-- name: ensure_request_months
-- The same of the streams of requests that start no run.
select es.ensure_request_months($1)

-- name: oldest_request_month
-- The oldest month of requests that was over at a moment.
select es.oldest_request_month($1)

-- name: drop_request_month
-- Drop it; what the hash chain is made of stays on record.
select es.drop_request_month($1)
