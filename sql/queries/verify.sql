-- name: preimages
-- Each event after a position and up to another as bytes: position, version, stored hash, time; then what the hash is the
-- hash of, as sql/log/hashing.py puts it together. Of what retention dropped there is no such thing.
select int8send(position) || int4send(version) || hash || timestamptz_send(recorded_at)
       || int2send(kind) || int2send(schema_version) || int4send(octet_length(type)) || int4send(octet_length(meta))
       || int4send(octet_length(data)) || uuid_send(stream_id) || uuid_send(tenant_id) || uuid_send(ordering_key)
       || uuid_send(event_id) || convert_to(type, 'UTF8') || meta || data
from es.events where position > $1 and position <= $2
union all
select int8send(position) || int4send(version) || hash || timestamptz_send(recorded_at)
from es.dropped_between($1, $2)

-- name: forgotten
-- The hashes of what stays of events that were forgotten.
select position, digest from es.forgotten_events where position = any($1::bigint[])

-- name: commits
-- The commits after a position and up to another: the chain to verify. What comes between the hash before and the
-- events in the preimage; and the time.
select last_position, prev_position,
       int8send(prev_position) || int8send((extract(epoch from recorded_at) * 1000000)::bigint),
       timestamptz_send(recorded_at), hash
from es.commits where last_position > $1 and last_position <= $2 order by last_position

-- name: commit_before
-- The last commit whose events all come before a position.
select last_position, hash from es.commits where last_position < $1 order by last_position desc limit 1

-- name: commit_of
-- Where the commit of a position ends; of one beyond the log, where the log ends.
select coalesce(
    (select last_position from es.commits where last_position >= $1 order by last_position limit 1),
    (select last_position from es.commits order by last_position desc limit 1), 0)

-- name: stray
-- An event beyond the last commit. One statement sees appends whole, so one that goes on is not taken for a stray.
select position from es.events
where position > (select last_position from es.commits order by last_position desc limit 1)
order by position limit 1

-- name: holes
-- The first event of the stream, earliest in the log, whose versions are not 1, 2, 3 …; the primary key keeps them apart,
-- and is all that is read where no stream is broken.
select min(e.position)
from (select kind, stream_id from es.events group by kind, stream_id having count(*) <> max(version)) broken
join es.events e using (kind, stream_id)

-- name: untold
-- The first event that was dropped although no event says so, or says so of others.
select min(position) from (
    select min(d.position) as position, d.drop_id,
           encode(sha256(string_agg(int8send(d.position) || int4send(d.version) || d.hash, '' order by d.position)), 'hex')
               as digest
    from es.dropped_events d where d.drop_id is not null group by d.drop_id
) said
where not exists (
    select from es.events e where e.kind = 0 and e.stream_id = said.drop_id and e.version = 1 and e.type = 'runs.dropped'
      and convert_from(e.data, 'UTF8')::jsonb ->> 'digest' = said.digest
)

-- name: unrecorded
-- The first event that was forgotten although no event says so, or says of what stays that it were something else.
select min(position) from (
    select min(f.position) as position, f.recorded_by,
           encode(sha256(string_agg(int8send(f.position) || f.digest, '' order by f.position)), 'hex') as digest
    from es.forgotten_events f group by f.recorded_by
) said
where not exists (
    select from es.events e where e.position = said.recorded_by and e.type = 'run.forgotten'
      and convert_from(e.data, 'UTF8')::jsonb ->> 'digest' = said.digest
)
